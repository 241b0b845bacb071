"""The picture as a value: derivations with what a plan says of them, and the last run.

Rules of the file: pure; words for people are made here, once for all forms.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from envbuild.derivations import Derivation, Outputs
from envbuild.derivations.bytecode import Bytecode
from envbuild.derivations.link import Link
from envbuild.derivations.trial import Trial
from envbuild.digest import Digest
from envbuild.graph import Graph
from envbuild.misses import named
from envbuild.package import CondaPackage, SourcePackage, Wheel
from envbuild.price import Moved
from envbuild.timeline import Timeline
from envbuild.value import dataclass, replace

if TYPE_CHECKING:
    from envbuild.environments.realized import Planned, Row
    from envbuild.package import InterpreterArchive

    Package = CondaPackage | InterpreterArchive | Wheel | SourcePackage

STATES = {
    "hit": "here",
    "far": "in a shared store",
    "miss": "to do",
    "needs build": "to build",
    "not needed": "not needed",
}
"""What a plan calls a state, and what people read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One derivation.

    Attributes:
        ecosystem: ``conda``, ``PyPI``, ``Python`` or ``environment``.
        place: Where its bytes come from, or where its file came from.
        size: Bytes of its file, where known; ``moves``: bytes that would be moved now.
        expected: Milliseconds that it may take; ``took``: that it took here.
        why: Why it has to be done, in a few words; ``reasons`` at length.
        inputs: Numbers of the nodes that it reads.
        chain: Whether it is a link of the longest chain of what has to be done.
        facts: Title and text of what else is known.
    """

    key: Digest
    kind: str
    label: str
    name: str
    version: str
    ecosystem: str
    state: str
    place: str
    size: int | None
    moves: int | None
    expected: int | None
    took: int | None
    why: str
    reasons: tuple[str, ...]
    inputs: tuple[int, ...]
    chain: bool
    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One job of the last run: see ``envbuild.timeline.Span``. ``node`` and ``input`` are numbers of nodes."""

    node: int
    input: int | None
    phase: str
    lane: str
    slot: int
    start: int
    end: int
    size: int
    state: str
    place: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run that did something of the graph.

    Attributes:
        others: Jobs of the same run that are no part of this graph.
    """

    began: str
    milliseconds: int
    slots: tuple[tuple[str, int], ...]
    bars: tuple[Bar, ...]
    others: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A derivation graph as it stands now.

    Attributes:
        sources: Bytes that would be moved, by where they come from.
        milliseconds: Expected; ``builds``: how many builds of unknown length are not in it.
        earlier: When the version was realized that reasons compare with; None without one.
        run: The newest that made the environment, else that did something of it; None when none is remembered.
    """

    names: tuple[str, ...]
    platform: str
    nodes: tuple[Node, ...]
    sources: tuple[Moved, ...]
    milliseconds: int
    builds: int
    chain_milliseconds: int
    earlier: str | None
    run: Run | None


def picture(
    planned: Planned,
    graph: Graph,
    timelines: Iterable[Timeline] = (),
    recorded: Mapping[Digest, int] = MappingProxyType({}),
    here: Mapping[Digest, Outputs] = MappingProxyType({}),
) -> Picture:
    """The picture of a plan.

    Args:
        planned: What it says.
        graph: What it is over.
        timelines: Of earlier runs, the newest first.
        recorded: Milliseconds that results say, by key.
        here: What this machine has, also of what need not be looked at: their sizes are known, too.
    """
    order = graph.order()
    numbers = {key: number for number, key in enumerate(order)}
    runs = tuple(timelines)
    took = dict(recorded)
    for timeline in runs:
        for span in timeline.spans:
            if span.phase != "prepare" and span.state == "done":
                took.setdefault(span.key, span.end - span.start)
    rows = {row.key: _present(row, here[row.key]) if row.key in here else row for row in planned.rows}
    packages = _packages(graph)
    chain = set(planned.chain)
    made = [graph[key] for key in graph.targets]
    platforms = [item.platform for item in made if isinstance(item, Link)]
    return Picture(
        names=tuple(dict.fromkeys(planned.names)),
        platform=", ".join(dict.fromkeys(platforms)) or planned.platform,
        nodes=tuple(
            _node(rows[key], graph, numbers, packages.get(key), took.get(key), chain=key in chain) for key in order
        ),
        sources=planned.sources,
        milliseconds=planned.milliseconds,
        builds=planned.builds,
        chain_milliseconds=planned.chain_milliseconds,
        earlier=planned.earlier,
        run=_last_run(runs, numbers, {numbers[key] for key in graph.targets}),
    )


def _present(row: Row, outputs: Outputs) -> Row:
    """A row of what this machine has."""
    out = None if row.kind == "link" else outputs.get("out")
    return replace(
        row, state="hit" if row.state == "not needed" else row.state, size=row.size if out is None else out.size
    )


def _node(
    row: Row, graph: Graph, numbers: Mapping[Digest, int], package: Package | None, took: int | None, *, chain: bool
) -> Node:
    derivation = graph[row.key]
    about = named(derivation)
    place = str(row.source) if row.source is not None else ""
    if not place and derivation.kind == "fetch":
        from envbuild.price import source_of

        place = str(source_of(derivation.origin))  # type: ignore[attr-defined]
    return Node(
        key=row.key,
        kind=row.kind,
        label=row.label,
        name=about.name or row.label,
        version=about.version,
        ecosystem=_ecosystem(about.kind, package),
        state=row.state,
        place=place,
        size=row.size,
        moves=row.moves,
        expected=row.milliseconds,
        took=took,
        why=_why(row, derivation),
        reasons=() if row.miss is None else tuple(map(str, row.miss.reasons)),
        inputs=tuple(numbers[key] for key in dict.fromkeys(derivation.inputs)),
        chain=chain,
        facts=_facts(package) if package is not None else _own_facts(derivation),
    )


def _why(row: Row, derivation: Derivation) -> str:
    """Why something has to be done, in a few words; of a test, who does it: no ``realize``."""
    if isinstance(derivation, Trial):
        return "" if row.state in {"hit", "far"} else "run by publish"
    return "" if row.miss is None else row.miss.text


def _ecosystem(kind: str, package: Package | None) -> str:
    if kind in {"link", "test"}:
        return "environment"
    if kind == "fetch Python":
        return "Python"
    if kind in {"fetch conda", "transmute"} or isinstance(package, CondaPackage):
        return "conda"
    return "PyPI"


def _packages(graph: Graph) -> dict[Digest, Package]:
    """The package that each derivation is about, as far as something that reads it says."""
    found: dict[Digest, Package] = {}
    for derivation in graph:
        several: Any = [getattr(derivation, name, ()) for name in ("packages", "requires", "host", "runs_on")]
        if isinstance(derivation, Bytecode):
            found.setdefault(derivation.key, derivation.package.package)
        for item in (each for part in several for each in part):
            found.setdefault(item.key, item.package)
    for key, package in list(found.items()):
        for needed in graph.inputs(key) if key in graph and graph[key].kind in {"transmute", "build-wheel"} else ():
            if graph[key].kind == "transmute" or needed == graph.inputs(key)[0]:
                found.setdefault(needed, package)
    return found


def _facts(package: Package) -> tuple[tuple[str, str], ...]:
    facts = [("file", package.file)]
    if isinstance(package, CondaPackage):
        facts.append(("build", package.build))
    if isinstance(package, (CondaPackage, Wheel, SourcePackage)):
        if package.license:
            facts.append(("licence", package.license))
        needs = package.depends if isinstance(package, CondaPackage) else package.requires
        if needs:
            facts.append(("requires", ", ".join(needs)))
        facts.append(("asked for", "by the recipe" if package.asked else "by other packages"))
    return tuple(facts)


def _own_facts(derivation: object) -> tuple[tuple[str, str], ...]:
    if isinstance(derivation, Trial):
        tests = derivation.tests
        commands = (("command", " ".join(words)) for words in tests.commands)
        told = [("imports", ", ".join(tests.imports)), ("entry points", ", ".join(tests.entry_points)), *commands]
        return tuple((title, text) for title, text in told if text)
    if not isinstance(derivation, Link):
        return ()
    python = f"{derivation.python} ({derivation.interpreter})" if derivation.python else "none"
    variables = [(f"variable {name}", value) for name, value in derivation.variables]
    return (("Python", python), ("packages", str(len(derivation.packages))), *variables)


def _last_run(timelines: Iterable[Timeline], numbers: Mapping[Digest, int], targets: set[int]) -> Run | None:
    """The newest run that made the environment; else the newest that did something of it."""
    found = [run for timeline in timelines if (run := _run(timeline, numbers)) is not None]
    whole = (run for run in found if any(bar.node in targets for bar in run.bars))
    return next(whole, found[0] if found else None)


def _run(timeline: Timeline, numbers: Mapping[Digest, int]) -> Run | None:
    """A run as far as it is about the graph; None where it is about others."""
    bars = tuple(
        Bar(
            node=numbers[span.key],
            input=numbers.get(span.input) if span.input is not None else None,
            phase=span.phase,
            lane=span.lane,
            slot=span.slot,
            start=span.start,
            end=span.end,
            size=span.size,
            state=span.state,
            place="" if span.source is None else str(span.source),
        )
        for span in timeline.spans
        if span.key in numbers
    )
    if not bars:
        return None
    return Run(
        began=timeline.began,
        milliseconds=timeline.milliseconds,
        slots=tuple(sorted(timeline.slots.items())),
        bars=bars,
        others=len(timeline.spans) - len(bars),
    )
