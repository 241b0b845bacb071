"""How long the rest of a plan takes from each derivation on: what is urgent, and what people are told to expect.

Rules of the file: pure; each derivation is looked at once, with its users.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from envbuild.digest import Digest
from envbuild.graph import Graph
from envbuild.job import PULL, Summary, estimate


def add_lengths(
    lengths: dict[Digest, int],
    graph: Graph,
    keys: Sequence[Digest],
    costs: Mapping[Digest, int],
    far: Collection[Digest],
) -> None:
    """Add for each key the milliseconds from its start to the end of the longest chain that begins with it.

    Args:
        lengths: Those of others; whatever reads one of the keys and is needed is among them, or among the keys.
        graph: What the keys are of.
        keys: Inputs before users.
        costs: What each takes, instead of an estimate.
        far: Keys that are pulled.
    """
    for key in reversed(keys):
        after = max((lengths[user] for user in graph.users(key) if user in lengths), default=0)
        if key in far:
            lengths[key] = after + PULL
        else:
            lengths[key] = after + (costs[key] if key in costs else estimate(graph[key]))


def summarize(
    graph: Graph,
    hits: int,
    keys: Sequence[Digest],
    lengths: Mapping[Digest, int],
    costs: Mapping[Digest, int],
    far: Collection[Digest],
) -> Summary:
    """What has to be done, in numbers.

    Args:
        graph: What the keys are of.
        hits: How many need not be done.
        keys: What has to be done, inputs before users.
        lengths: As of ``add_lengths``, of these keys at least.
        costs: What each takes, instead of an estimate.
        far: Keys that are pulled.
    """
    needed = [graph[key] for key in keys]
    sizes = [derivation.size for derivation in needed if derivation.kind == "fetch"]
    builds = [each.key for each in needed if each.kind == "build-wheel" and each.key not in far]
    if builds:
        unbuilt: dict[Digest, int] = {}
        add_lengths(unbuilt, graph, keys, {**dict.fromkeys(builds, 0), **costs}, far)
        lengths = unbuilt
    return Summary(
        hits=hits,
        needed=tuple(sorted(Counter(derivation.kind for derivation in needed).items())),
        fetch_bytes=sum(size for size in sizes if size is not None),
        unknown_sizes=sizes.count(None),
        milliseconds=max((lengths[key] for key in keys), default=0),
        builds=len(builds),
        pulls=sum(derivation.key in far for derivation in needed),
    )
