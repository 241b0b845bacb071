"""How long a plan may take: learned from what was measured, and played through with the slots that there are.

What a job cost is learned from the timelines of earlier runs on this machine, the newest first: the same derivation,
else a build of the same package, else what a job of that kind and source costs at least and for each byte. What nobody
has measured is estimated, as ``plan.estimate`` does; a build that nobody has seen costs nothing here, and is told as
unknown.

The forecast itself is a run of the real ``Plan`` with a clock that is only a number, so slots, priorities and
preparations count as they will.

Rules of the file: pure; for people, never for truth.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Mapping
from dataclasses import field

from envbuild.derivations import Derivation, Outputs
from envbuild.digest import Digest
from envbuild.graph import Graph
from envbuild.job import LANES, Job, Lane, estimate
from envbuild.plan import Plan
from envbuild.price import Source
from envbuild.timeline import Span, Timeline
from envbuild.value import dataclass

_PREPARE_BYTES_PER_MILLISECOND = 60_000
_SMALL = 100_000
"""Bytes of a file whose time is that of the question, not of the bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """What jobs of one sort cost: at least so many milliseconds, and so many bytes a millisecond."""

    fixed: int
    bytes_per_millisecond: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """What earlier runs took.

    Attributes:
        keys: Milliseconds of derivations that were done.
        builds: Milliseconds of the newest build of each package, by its name.
        links: Microseconds that a link took for each of its inputs; None where none was seen.
        rates: By kind, or by where the bytes came from.
    """

    keys: Mapping[Digest, int] = field(default_factory=dict)
    builds: Mapping[str, int] = field(default_factory=dict)
    links: int | None = None
    rates: Mapping[str | Source, Rate] = field(default_factory=dict)

    def cost(self, derivation: Derivation, source: Source | None, size: int | None) -> int | None:
        """Milliseconds that a derivation may take; None for a build that nobody has seen.

        Args:
            derivation: Which.
            source: Where its bytes come from; None for what is done here.
            size: How many bytes; None when nobody told.
        """
        if source is not None:
            rate = self.rates.get(source)
            if rate is not None:
                return rate.fixed + (size or 0) // rate.bytes_per_millisecond
            return estimate(derivation) if derivation.kind == "fetch" else 60 + (size or 0) // 10_000
        if derivation.key in self.keys:
            return self.keys[derivation.key]
        if derivation.kind == "build-wheel":
            return self.builds.get(_name(derivation.label))
        if derivation.kind == "link" and self.links is not None:
            return self.links * len(derivation.inputs) // 1000
        rate = self.rates.get(derivation.kind)
        return (
            estimate(derivation) if rate is None else rate.fixed + (derivation.size or 0) // rate.bytes_per_millisecond
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What a plan may take.

    Attributes:
        milliseconds: From the first job to the last, with the slots that there are.
        chain: The longest chain of derivations, each waiting for the one before: no slot makes it shorter.
        chain_milliseconds: Of that chain.
    """

    milliseconds: int
    chain: tuple[Digest, ...]
    chain_milliseconds: int


def learn(timelines: Iterable[Timeline]) -> Learned:
    """What timelines tell, the newest first."""
    keys: dict[Digest, int] = {}
    builds: dict[str, int] = {}
    links: list[int] = []
    moved: dict[str | Source, list[Span]] = {}
    for timeline in timelines:
        for span in timeline.spans:
            if span.state != "done" or span.phase == "prepare":
                continue
            if span.source is not None:
                moved.setdefault(span.source, []).append(span)
                continue
            keys.setdefault(span.key, span.end - span.start)
            if span.kind == "build-wheel":
                builds.setdefault(_name(span.label), span.end - span.start)
            elif span.kind == "link":
                links.append((span.end - span.start) * 1000 // max(span.inputs, 1))
            else:
                moved.setdefault(span.kind, []).append(span)
    return Learned(
        keys=keys,
        builds=builds,
        links=sorted(links)[len(links) // 2] if links else None,
        rates={name: _rate(spans) for name, spans in moved.items()},
    )


def forecast(
    graph: Graph,
    known: Mapping[Digest, Outputs],
    far: Collection[Digest],
    costs: Mapping[Digest, int],
    slots: Mapping[Lane, int],
    prepared_kinds: Collection[str] = frozenset(),
) -> Forecast:
    """Play a plan through.

    Args:
        graph: What is wanted.
        known: What is there.
        far: What is only pulled.
        costs: Milliseconds of everything else.
        slots: How many jobs of each lane may run at once.
        prepared_kinds: As for ``Plan``.
    """
    plan = Plan(graph, known, costs, far=far, prepared_kinds=prepared_kinds)
    chain, length = _longest(plan, costs)
    clock, number = 0, 0
    free = {lane: slots[lane] for lane in LANES}
    running: list[tuple[int, int, Job]] = []
    while not plan.over:
        for lane in LANES:
            for job in plan.ready(lane, free[lane]) if free[lane] else ():
                plan.started(job)
                free[lane] -= 1
                number += 1
                heapq.heappush(running, (clock + _cost(job, graph, costs), number, job))
        clock, _, ended = heapq.heappop(running)
        free[ended.lane] += 1
        plan.finished(ended, {})
    return Forecast(milliseconds=clock, chain=chain, chain_milliseconds=length)


def _cost(job: Job, graph: Graph, costs: Mapping[Digest, int]) -> int:
    if job.input is not None:
        return (graph[job.input].size or 0) // _PREPARE_BYTES_PER_MILLISECOND
    return costs.get(job.key, 0)


def _longest(plan: Plan, costs: Mapping[Digest, int]) -> tuple[tuple[Digest, ...], int]:
    """The longest chain of what has to be done."""
    until: dict[Digest, int] = {}
    before: dict[Digest, Digest] = {}
    for key in plan.needed:
        waits = [each for each in plan.graph.inputs(key) if each in until]
        until[key] = costs.get(key, 0)
        if waits:
            before[key] = max(waits, key=until.__getitem__)
            until[key] += until[before[key]]
    if not until:
        return (), 0
    last = max(until, key=until.__getitem__)
    chain = [last]
    while chain[-1] in before:
        chain.append(before[chain[-1]])
    return tuple(reversed(chain)), until[last]


def _rate(spans: list[Span]) -> Rate:
    """The median time of small files, and what large ones took beyond it."""
    small = sorted(span.end - span.start for span in spans if span.size <= _SMALL)
    fixed = small[len(small) // 2] if small else min(span.end - span.start for span in spans) // 2
    large = [span for span in spans if span.size > _SMALL]
    took = sum(max(span.end - span.start - fixed, 1) for span in large)
    speed = sum(span.size for span in large) // took if large else 10_000
    return Rate(fixed=fixed, bytes_per_millisecond=max(speed, 1))


def _name(label: str) -> str:
    """A package's name from the label of its build."""
    return label.rpartition(" ")[0]
