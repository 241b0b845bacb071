"""What an environment cost: how many of its packages were here, came over the network, were built or written anew.

A package counts once, by what had to be done last for it to be linked; what a shared store gave was in a store.
Bytes that only builds needed (sources, their tools, the Python that ran them) are counted apart: they are no packages
of the environment.

Rules of the file: pure.
"""

from __future__ import annotations

from envbuild.derivations.link import Link
from envbuild.digest import Digest
from envbuild.graph import Graph
from envbuild.scheduler import Outcome
from envbuild.value import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """See ``envbuild.environments.realized.Realized``, whose fields these are."""

    packages: int
    hits: int
    fetched: int
    fetched_bytes: int
    built: int
    build_bytes: int
    transmuted: int
    pulled: int = 0
    pulled_bytes: int = 0


def counts(link: Link, graph: Graph, outcome: Outcome) -> Counts:
    """What was done for a link.

    Args:
        link: The link.
        graph: With everything that leads to it, and perhaps to others.
        outcome: Of the run.
    """

    def done(key: Digest, kind: str) -> bool:
        return key in outcome.milliseconds and graph[key].kind == kind

    def size(key: Digest) -> int:
        return outcome.outputs[key]["out"].size

    def direct_of(key: Digest) -> Digest:
        return graph.inputs(key)[0] if graph[key].kind == "transmute" else key

    packages = [item.key for item in link.packages]
    direct = set(map(direct_of, packages))
    fetched = [key for key in direct if done(key, "fetch")]
    behind = [key for key in graph.closure(link.inputs) - direct if done(key, "fetch")]
    built = sum(done(key, "build-wheel") for key in link.inputs)
    return Counts(
        packages=len(link.packages),
        hits=len(link.packages) - len(fetched) - built,
        fetched=len(fetched),
        fetched_bytes=sum(map(size, fetched)),
        built=built,
        build_bytes=sum(map(size, behind)),
        transmuted=sum(done(key, "transmute") for key in link.inputs),
        pulled=sum(key in outcome.pulled or direct_of(key) in outcome.pulled for key in packages),
        pulled_bytes=sum(size(key) for key in graph.closure(link.inputs) if key in outcome.pulled),
    )
