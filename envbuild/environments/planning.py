"""What realizing would do, with reasons and a price: the ``Planned`` of a plan.

The plan is the one that a realize would run, over the same answers of the same stores. What it says of bytes is exact
as far as sizes are known: a file that two derivations need counts once, and of a result in a store only the files that
are not here already.

Rules of the file: looks, and does nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from envbuild.derivations import Derivation
from envbuild.derivations.fetch import Fetch
from envbuild.digest import Digest
from envbuild.environments.realized import Planned, Row, Wanted
from envbuild.graph import Graph
from envbuild.job import Lane
from envbuild.plan import Plan
from envbuild.price import Moved, Source, add_up, source_of
from envbuild.store.located import Located
from envbuild.value import dataclass, replace

if TYPE_CHECKING:
    from envbuild.machine.workspace import Workspace
    from envbuild.misses import Miss

_PREPARED = frozenset({"link"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Coming:
    """What comes for one derivation.

    Attributes:
        files: The sha256 and size of each file.
    """

    source: Source
    files: tuple[tuple[Digest, int | None], ...]

    @property
    def size(self) -> int | None:
        """Bytes in all; None where one is not known."""
        sizes = [size for _, size in self.files]
        return None if None in sizes else sum(size for size in sizes if size is not None)


def planned(
    wanted: Sequence[Wanted],
    plan: Plan,
    located: Located,
    workspace: Workspace,
    slots: Mapping[Lane, int],
    graph_of: Callable[[Wanted], Graph],
    *,
    price: bool,
) -> Planned:
    """A plan as a value.

    Args:
        wanted: What it is for.
        plan: Fresh.
        located: What shared stores have.
        workspace: Whose home.
        slots: Of the executor that would run it.
        graph_of: Makes the build graph of an environment.
        price: Also how long it takes, and why each is to do.
    """
    graph = plan.graph
    where = located.by_key(graph)
    coming = {key: found for key in plan.needed if (found := _coming(graph[key], where, workspace)) is not None}
    summary = plan.summary()
    states = {key: "far" if key in where else _missing(graph[key]) for key in plan.needed}
    states |= dict.fromkeys(plan.hits, "hit")
    whole = Planned(
        names=tuple(item.name for item in wanted),
        platform=wanted[0].environment.platform,
        rows=tuple(_row(graph[key], states, where, coming.get(key)) for key in graph.order()),
        fetch_bytes=summary.fetch_bytes,
        unknown_sizes=summary.unknown_sizes,
        milliseconds=summary.milliseconds,
        builds=summary.builds,
        sources=_sources(coming),
    )
    return _priced(whole, wanted, plan, located, workspace, slots, graph_of) if price and plan.needed else whole


def _row(
    derivation: Derivation, states: Mapping[Digest, str], where: Mapping[Digest, str], come: _Coming | None
) -> Row:
    state = states.get(derivation.key, "not needed")
    return Row(
        kind=derivation.kind,
        label=derivation.label,
        key=derivation.key,
        size=derivation.size,
        state=state,
        store=where[derivation.key] if state == "far" else None,
        source=None if come is None else come.source,
        moves=None if come is None else come.size,
    )


def _priced(
    whole: Planned,
    wanted: Sequence[Wanted],
    plan: Plan,
    located: Located,
    workspace: Workspace,
    slots: Mapping[Lane, int],
    graph_of: Callable[[Wanted], Graph],
) -> Planned:
    from envbuild.environments.runs import timelines
    from envbuild.forecast import forecast, learn

    learned = learn(timelines(workspace.home.runs))
    rows = {row.key: row for row in whole.rows}
    costs: dict[Digest, int | None] = {
        key: learned.cost(plan.graph[key], rows[key].source, rows[key].moves) for key in plan.needed
    }
    told = {key: cost or 0 for key, cost in costs.items()}
    known = {key: plan.outputs[key] for key in plan.hits}
    expected = forecast(plan.graph, known, located.results.keys(), told, slots, _PREPARED)
    why, earlier = _reasons(wanted, plan, workspace, graph_of)
    return replace(
        whole,
        rows=tuple(replace(row, milliseconds=costs.get(row.key), miss=why.get(row.key)) for row in whole.rows),
        milliseconds=expected.milliseconds,
        builds=sum(cost is None for cost in costs.values()),
        chain=expected.chain,
        chain_milliseconds=expected.chain_milliseconds,
        earlier=earlier,
    )


def _coming(derivation: Derivation, where: Mapping[Digest, str], workspace: Workspace) -> _Coming | None:
    """What a derivation that has to be done moves; None for work that moves nothing."""
    store = where.get(derivation.key)
    if isinstance(derivation, Fetch):
        source = source_of(derivation.origin) if store is None else Source(kind="store", name=store)
        return _Coming(source=source, files=((derivation.sha256, derivation.size),))
    if store is None or workspace.shared is None:
        return None
    found = workspace.shared.layers.result(derivation.kind, derivation.key)
    outputs = () if found is None else tuple(output for _, output in found[1].outputs)
    here = workspace.store.blobs.path
    files = tuple((output.sha256, output.size) for output in outputs if here(output.sha256) is None)
    return _Coming(source=Source(kind="store", name=store), files=files)


def _sources(coming: Mapping[Digest, _Coming]) -> tuple[Moved, ...]:
    return add_up((item.source, sha256, size) for item in coming.values() for sha256, size in item.files)


def _reasons(
    wanted: Sequence[Wanted], plan: Plan, workspace: Workspace, graph_of: Callable[[Wanted], Graph]
) -> tuple[dict[Digest, Miss], str | None]:
    """Why each is to do, by key; and when what that is said against was realized."""
    from envbuild.environments.last_realized import last_realized
    from envbuild.misses import Earlier

    found: dict[Digest, Miss] = {}
    when: list[str] = []
    needed = set(plan.needed)
    for item in wanted:
        last = last_realized(workspace.home, item)
        earlier = Earlier(None if last is None else graph_of(last.wanted))
        if last is not None:
            when.append(last.when)
        graph = graph_of(item)
        for key in _in(graph, needed):
            miss = earlier.why(graph[key], graph)
            if key not in found or found[key].cause == "first":
                found[key] = miss
    return found, max(when, default=None)


def _in(graph: Graph, keys: set[Digest]) -> Iterator[Digest]:
    return (key for key in graph.order() if key in keys)


def _missing(derivation: Derivation) -> str:
    """What a plan calls a derivation that has to be done."""
    return "needs build" if derivation.kind == "build-wheel" else "miss"
