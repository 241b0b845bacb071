"""Pulling an environment: its packages come from shared stores alone, and nothing is linked.

Rules of the file: pure.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from envbuild.derivations import Derivation
from envbuild.digest import Digest
from envbuild.errors import Issue, UnreachableError
from envbuild.graph import Graph
from envbuild.plan import Plan
from envbuild.scheduler import Outcome
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


def unavailable(plan: Plan, near: Collection[Digest]) -> list[Derivation]:
    """What would have to come from an origin, or be built; writing a package anew, and linking, takes but a moment.

    Args:
        plan: Nothing of it has started.
        near: Keys that shared stores have.
    """
    needed = [plan.graph[key] for key in plan.needed if key not in near]
    return [item for item in needed if item.kind not in {"transmute", "link"}]


def not_in_stores(labels: Sequence[str], hint: str | None = None) -> UnreachableError:
    """What to say when no store has something.

    Args:
        labels: What, at least one.
        hint: Who could help.
    """
    more = f", and {len(labels) - 1} more" if len(labels) > 1 else ""
    return UnreachableError(
        f"the stores have no {labels[0]}{more}",
        reference="not-in-stores",
        hint=hint,
        issues=tuple(Issue(message=f"the stores have no {label}", reference="not-in-stores") for label in labels),
    )


def pulled(outcome: Outcome | None) -> Pulled:
    """What a run brought."""
    if outcome is None:
        return Pulled(blobs=0, size=0, stores=frozenset())
    outputs = [output for key in outcome.pulled for output in outcome.outputs[key].values()]
    return Pulled(
        blobs=len(outputs), size=sum(output.size for output in outputs), stores=frozenset(outcome.pulled.values())
    )
