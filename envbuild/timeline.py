"""Timelines: what a run did when, by slot; and what later plans learn from it.

A ``Recorder`` listens like any reporter and keeps two numbers of each job. Jobs of a lane are dealt to the lowest slot
that is free, as the executor's own are: the scheduler never starts more jobs than there are slots.

Rules of the file: pure but for the monotonic clock; nothing is read or written here.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Mapping
from typing import Any

from envbuild.digest import Digest
from envbuild.errors import EnvbuildError
from envbuild.job import Job
from envbuild.price import Source, source_of
from envbuild.reporter import Reporter
from envbuild.value import dataclass

TIMELINE_VERSION = 1

_FIELDS = ("key", "kind", "phase", "label", "input", "lane", "slot", "start", "end", "size", "inputs", "state")


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One job of a run.

    Attributes:
        input: The input that was prepared; None in other phases.
        slot: Of its lane, from 0.
        start: Milliseconds since the run began; ``end`` likewise.
        size: Bytes of all its outputs.
        inputs: How many it read.
        state: ``done``, ``failed`` or ``missed``.
        source: Where its bytes came from; None where none came.
    """

    key: Digest
    kind: str
    phase: str
    label: str
    input: Digest | None
    lane: str
    slot: int
    start: int
    end: int
    size: int
    inputs: int
    state: str
    source: Source | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """One run.

    Attributes:
        began: RFC 3339 UTC.
        milliseconds: From its first job to its last.
        hits: Derivations that need not be done.
        slots: How many jobs of each lane could run at once.
    """

    began: str
    milliseconds: int
    hits: int
    slots: Mapping[str, int]
    spans: tuple[Span, ...]


class TimelineRecorder(Reporter):
    """Notes when each job of one run began and ended, and in which slot."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._zero = clock()
        self._began = time.time()
        self._free: dict[str, list[int]] = {}
        self._used: dict[str, int] = {}
        self._running: dict[Job, tuple[int, int]] = {}
        self._ended: list[tuple[Job, int, int, int, int, str]] = []

    def started(self, job: Job) -> None:
        """A job takes the lowest free slot of its lane."""
        free = self._free.setdefault(job.lane, [])
        if free:
            slot = heapq.heappop(free)
        else:
            slot = self._used.get(job.lane, 0)
            self._used[job.lane] = slot + 1
        self._running[job] = (slot, self._now())

    def finished(self, job: Job, milliseconds: int, size: int) -> None:
        """A job is done."""
        self._end(job, size, "done")

    def failed(self, job: Job, error: BaseException) -> None:
        """A job failed."""
        self._end(job, 0, "failed")

    def missed(self, job: Job) -> None:
        """What was to be pulled is gone."""
        self._end(job, 0, "missed")

    def timeline(self, hits: int, slots: Mapping[str, int], pulled: Mapping[Digest, str]) -> Timeline:
        """The run so far.

        Args:
            hits: Derivations that need not be done.
            slots: Of each lane.
            pulled: Keys whose outputs came from a shared store, each with its name.
        """
        spans = tuple(
            Span(
                key=job.key,
                kind=job.derivation.kind,
                phase=job.phase,
                label=job.derivation.label,
                input=job.input,
                lane=job.lane,
                slot=slot,
                start=start,
                end=end,
                size=size,
                inputs=len(job.derivation.inputs),
                state=state,
                source=None if job.phase == "prepare" or state != "done" else _came_from(job, pulled),
            )
            for job, slot, start, end, size, state in self._ended
        )
        began = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._began))
        last = max((span.end for span in spans), default=0)
        return Timeline(began=began, milliseconds=last, hits=hits, slots=slots, spans=spans)

    def _now(self) -> int:
        return round((self._clock() - self._zero) * 1000)

    def _end(self, job: Job, size: int, state: str) -> None:
        slot, start = self._running.pop(job)
        heapq.heappush(self._free.setdefault(job.lane, []), slot)
        self._ended.append((job, slot, start, self._now(), size, state))


def _came_from(job: Job, pulled: Mapping[Digest, str]) -> Source | None:
    from envbuild.derivations.fetch import Fetch

    if job.key in pulled:
        return Source(kind="store", name=pulled[job.key])
    return source_of(job.derivation.origin) if isinstance(job.derivation, Fetch) else None


def timeline_to_tree(timeline: Timeline) -> dict[str, Any]:
    """As stored: one short list for each job."""
    return {
        "version": TIMELINE_VERSION,
        "began": timeline.began,
        "milliseconds": timeline.milliseconds,
        "hits": timeline.hits,
        "slots": dict(timeline.slots),
        "spans": [
            [*(getattr(span, name) for name in _FIELDS), *((span.source.kind, span.source.name) if span.source else ())]
            for span in timeline.spans
        ],
    }


def timeline_from_tree(tree: Any) -> Timeline:
    """A timeline as it was stored.

    Raises:
        EnvbuildError: ``bad-timeline`` for what is none.
    """
    try:
        if tree["version"] != TIMELINE_VERSION:
            raise ValueError("another version")
        spans = tuple(_span(item) for item in tree["spans"])
        slots = {str(lane): _whole(number) for lane, number in tree["slots"].items()}
        return Timeline(
            began=_text(tree["began"]),
            milliseconds=_whole(tree["milliseconds"]),
            hits=_whole(tree["hits"]),
            slots=slots,
            spans=spans,
        )
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise EnvbuildError(f"this is no timeline of a run: {error!s:.80}", reference="bad-timeline") from None


def _span(item: Any) -> Span:
    if not isinstance(item, list) or len(item) not in (len(_FIELDS), len(_FIELDS) + 2):
        raise ValueError("a job has other fields")
    key, kind, phase, label, prepared, lane, slot, start, end, size, inputs, state, *source = item
    return Span(
        key=Digest(_text(key)),
        kind=_text(kind),
        phase=_text(phase),
        label=_text(label),
        input=None if prepared is None else Digest(_text(prepared)),
        lane=_text(lane),
        slot=_whole(slot),
        start=_whole(start),
        end=max(_whole(start), _whole(end)),
        size=_whole(size),
        inputs=_whole(inputs),
        state=_text(state),
        source=Source(kind=_text(source[0]), name=_text(source[1])) if source else None,
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.40} is no text")
    return value


def _whole(value: object) -> int:
    if type(value) is not int or not 0 <= value < 1 << 53:
        raise TypeError(f"{value!r:.40} is no whole number")
    return value
