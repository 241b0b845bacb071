"""Pulling an environment: its packages come from shared stores alone, and nothing is linked.

Rules of the file: pure.
"""

from __future__ import annotations

from envbuild.graph import Graph
from envbuild.plan import Plan
from envbuild.scheduler import Outcome
from envbuild.store.located import Located
from envbuild.value import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulled:
    """What came.

    Attributes:
        blobs: How many; ``size``: their bytes.
        stores: Where from, by name.
    """

    blobs: int
    size: int
    stores: frozenset[str]


def packages_of(graph: Graph) -> Graph:
    """A build graph whose targets are what is linked, without the link."""
    (link,) = graph.targets
    return Graph((item for item in graph if item.key != link), graph.inputs(link))


def unavailable(plan: Plan, located: Located) -> tuple[str, ...]:
    """What would have to come from an origin, or be built, by label; writing a package anew takes but a moment."""
    where = located.by_key(plan.graph)
    needed = [plan.graph[key] for key in plan.needed if key not in where]
    return tuple(item.label for item in needed if item.kind != "transmute")


def pulled(outcome: Outcome | None) -> Pulled:
    """What a run brought."""
    if outcome is None:
        return Pulled(blobs=0, size=0, stores=frozenset())
    outputs = [output for key in outcome.pulled for output in outcome.outputs[key].values()]
    return Pulled(
        blobs=len(outputs), size=sum(output.size for output in outputs), stores=frozenset(outcome.pulled.values())
    )
