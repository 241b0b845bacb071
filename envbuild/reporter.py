"""Reporters: they listen, and change nothing.

``Reporter`` is a base class of hooks that do nothing; a renderer overrides those that it wants. All hooks are called
from the thread that runs the scheduler's loop, one at a time, so that no reporter needs a lock. A reporter that raises
ends the run: hooks are code of ours, not of strangers.

Rules of the file: no rendering for people here (that is ``cli/render``), no secrets: hooks get labels, keys, counts.
"""

from __future__ import annotations

import json
import time
from dataclasses import field
from typing import Any, TextIO

from envbuild.derivations import Derivation
from envbuild.digest import Digest
from envbuild.errors import EnvbuildError
from envbuild.job import Job, Summary
from envbuild.value import dataclass

EVENTS_VERSION = 1


class Reporter:
    """Hooks that do nothing."""

    def plan_made(self, summary: Summary) -> None:
        """What will be done is known; nothing has started."""

    def plan_grown(self, summary: Summary) -> None:
        """More will be done in this run; the summary is of what was added."""

    def recipe_ended(self, recipe: str, state: str, ended: int, total: int) -> None:
        """One of several recipes is ``done``, ``unchanged``, ``failed`` or ``not-begun``; so many of all have ended."""

    def hit(self, derivation: Derivation) -> None:
        """A derivation need not be done: its outputs are known."""

    def started(self, job: Job) -> None:
        """A job was given to the executor."""

    def progress(self, key: Digest, done: int, total: int | None) -> None:
        """A job has moved ``done`` of ``total`` bytes; the total may be unknown. Not every step is told."""

    def finished(self, job: Job, milliseconds: int, size: int) -> None:
        """A job succeeded, in this time; ``size`` is the bytes of all its outputs, 0 for a preparation."""

    def failed(self, job: Job, error: BaseException) -> None:
        """A job failed."""

    def missed(self, job: Job) -> None:
        """What was to be pulled from a shared store is gone: the derivation is done here, after what leads to it."""

    def blocked(self, derivation: Derivation, failed: Derivation) -> None:
        """A derivation cannot be done any more because another one failed."""

    def note(self, text: str) -> None:
        """Something that a user must know."""

    def interrupted(self) -> None:
        """The run was asked to end; nothing more will start."""

    def ended(self, milliseconds: int) -> None:
        """The run is over, well or not."""


class Several(Reporter):
    """Tells several reporters, in order."""

    def __init__(self, *reporters: Reporter) -> None:
        self._reporters = reporters

    def plan_made(self, summary: Summary) -> None:  # noqa: D102  the base class says it, here and below
        for reporter in self._reporters:
            reporter.plan_made(summary)

    def plan_grown(self, summary: Summary) -> None:  # noqa: D102
        for reporter in self._reporters:
            reporter.plan_grown(summary)

    def recipe_ended(self, recipe: str, state: str, ended: int, total: int) -> None:  # noqa: D102
        for reporter in self._reporters:
            reporter.recipe_ended(recipe, state, ended, total)

    def hit(self, derivation: Derivation) -> None:  # noqa: D102
        for reporter in self._reporters:
            reporter.hit(derivation)

    def started(self, job: Job) -> None:  # noqa: D102
        for reporter in self._reporters:
            reporter.started(job)

    def progress(self, key: Digest, done: int, total: int | None) -> None:  # noqa: D102
        for reporter in self._reporters:
            reporter.progress(key, done, total)

    def finished(self, job: Job, milliseconds: int, size: int) -> None:  # noqa: D102
        for reporter in self._reporters:
            reporter.finished(job, milliseconds, size)

    def failed(self, job: Job, error: BaseException) -> None:  # noqa: D102
        for reporter in self._reporters:
            reporter.failed(job, error)

    def missed(self, job: Job) -> None:  # noqa: D102
        for reporter in self._reporters:
            reporter.missed(job)

    def blocked(self, derivation: Derivation, failed: Derivation) -> None:  # noqa: D102
        for reporter in self._reporters:
            reporter.blocked(derivation, failed)

    def note(self, text: str) -> None:  # noqa: D102
        for reporter in self._reporters:
            reporter.note(text)

    def interrupted(self) -> None:  # noqa: D102
        for reporter in self._reporters:
            reporter.interrupted()

    def ended(self, milliseconds: int) -> None:  # noqa: D102
        for reporter in self._reporters:
            reporter.ended(milliseconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event as a value.

    Attributes:
        name: The hook's name.
        seconds: Since the listener was made, by the monotonic clock.
        data: The rest, as JSON would hold it.
    """

    name: str
    seconds: float
    data: dict[str, Any] = field(default_factory=dict)


class Listener(Reporter):
    """Turns every hook into an ``Event``; a subclass says in ``heard`` what becomes of it."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def heard(self, event: Event) -> None:
        """Take an event."""

    def _tell(self, name: str, **data: Any) -> None:
        self.heard(Event(name=name, seconds=time.monotonic() - self._began, data=data))

    def plan_made(self, summary: Summary) -> None:  # noqa: D102
        self._tell("plan_made", **_summed(summary))

    def plan_grown(self, summary: Summary) -> None:  # noqa: D102
        self._tell("plan_grown", **_summed(summary))

    def recipe_ended(self, recipe: str, state: str, ended: int, total: int) -> None:  # noqa: D102
        self._tell("recipe_ended", recipe=recipe, state=state, ended=ended, total=total)

    def hit(self, derivation: Derivation) -> None:  # noqa: D102
        self._tell("hit", **_named(derivation))

    def started(self, job: Job) -> None:  # noqa: D102
        self._tell("started", **_job(job))

    def progress(self, key: Digest, done: int, total: int | None) -> None:  # noqa: D102
        self._tell("progress", key=key, done=done, total=total)

    def finished(self, job: Job, milliseconds: int, size: int) -> None:  # noqa: D102
        self._tell("finished", **_job(job), milliseconds=milliseconds, size=size)

    def failed(self, job: Job, error: BaseException) -> None:  # noqa: D102
        reference = error.reference if isinstance(error, EnvbuildError) else "defect"
        self._tell("failed", **_job(job), reference=reference, message=str(error))

    def missed(self, job: Job) -> None:  # noqa: D102
        self._tell("missed", **_job(job))

    def blocked(self, derivation: Derivation, failed: Derivation) -> None:  # noqa: D102
        self._tell("blocked", **_named(derivation), failed=failed.key)

    def note(self, text: str) -> None:  # noqa: D102
        self._tell("note", text=text)

    def interrupted(self) -> None:  # noqa: D102
        self._tell("interrupted")

    def ended(self, milliseconds: int) -> None:  # noqa: D102
        self._tell("ended", milliseconds=milliseconds)


class JsonLines(Listener):
    """One JSON object a line: ``version``, ``event``, ``seconds``, and the event's own fields."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream

    def heard(self, event: Event) -> None:  # noqa: D102
        line = {"version": EVENTS_VERSION, "event": event.name, "seconds": round(event.seconds, 6), **event.data}
        self._stream.write(json.dumps(line, ensure_ascii=False) + "\n")
        self._stream.flush()


class Recorder(Listener):
    """Keeps every event, for tests.

    Attributes:
        events: In order.
    """

    def __init__(self) -> None:
        super().__init__()
        self.events: list[Event] = []

    def heard(self, event: Event) -> None:  # noqa: D102
        self.events.append(event)

    def names(self) -> list[str]:
        """The names of all events, in order."""
        return [event.name for event in self.events]

    def named(self, name: str) -> list[Event]:
        """The events of one name, in order."""
        return [event for event in self.events if event.name == name]

    def span(self, key: Digest, *, input: Digest | None = None) -> tuple[float, float]:
        """When a job ran: seconds at which it started and finished.

        Args:
            key: The derivation's key.
            input: The prepared input; None for the ``realise``.

        Raises:
            KeyError: When it did not start or did not finish.
        """
        times = {
            event.name: event.seconds
            for event in self.events
            if event.name in {"started", "finished"} and (event.data["key"], event.data["input"]) == (key, input)
        }
        return times["started"], times["finished"]


def _summed(summary: Summary) -> dict[str, Any]:
    return {
        "hits": summary.hits,
        "needed": dict(summary.needed),
        "fetch_bytes": summary.fetch_bytes,
        "unknown_sizes": summary.unknown_sizes,
        "expected_milliseconds": summary.milliseconds,
    }


def _named(derivation: Derivation) -> dict[str, Any]:
    return {"kind": derivation.kind, "key": derivation.key, "label": derivation.label}


def _job(job: Job) -> dict[str, Any]:
    return {**_named(job.derivation), "phase": job.phase, "input": job.input}
