"""The scheduler: the only loop.

Start as many jobs as the slots allow; wait for one to end; tell the plan; repeat. Everything that the loop hears comes
through one inbox: ends of jobs, and what jobs say while they run (``progress`` and ``note`` may be called from any
thread). So the plan and the reporter are touched by one thread alone.

An interrupt (Ctrl-C, or SIGTERM when the loop runs in the main thread) ends the offering, asks running jobs to end,
waits for them a moment, and is raised again: nothing half-done is ever visible in a store, so leaving is safe.

Rules of the file: no knowledge of kinds beyond what the plan says; no retries; nothing is printed.
"""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from itertools import islice
from queue import SimpleQueue
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from envbuild.derivations import Outputs
from envbuild.digest import Digest
from envbuild.errors import EnvbuildError, NoSpaceError, Terminated, several
from envbuild.executors import Executor
from envbuild.job import LANES, Failure, Job, Lane
from envbuild.plan import Added, Plan
from envbuild.reporter import Reporter
from envbuild.value import dataclass
from envbuild.worker import Done, Task

if TYPE_CHECKING:
    from concurrent.futures import Future

PATIENCE = 2.0
"""Seconds that running jobs get to end after an interrupt."""

PROGRESS_PAUSE = 0.05
"""Seconds between two steps of one job's progress that are passed on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a run did.

    Attributes:
        outputs: By key: hits and what was done.
        milliseconds: How long each ``realise`` took, by key; hits are not there, nor what another process did.
        hits: Derivations that did not have to be done.
        done: Kind and how many of it were done, sorted.
        fetched_bytes: Bytes of all fetches done, but for what came from shared stores.
        failures: In the order in which they happened.
        blocked: Keys that could not be done, each with the failed key that blocked it.
        elapsed: Milliseconds from the first job to the last.
        pulled: Keys whose outputs came from a shared store, each with its name.
    """

    outputs: Mapping[Digest, Outputs]
    milliseconds: Mapping[Digest, int]
    hits: int
    done: tuple[tuple[str, int], ...]
    fetched_bytes: int
    failures: tuple[Failure, ...]
    blocked: Mapping[Digest, Digest]
    elapsed: int
    pulled: Mapping[Digest, str] = MappingProxyType({})

    def count(self, kind: str) -> int:
        """How many derivations of a kind were done."""
        return dict(self.done).get(kind, 0)

    def error(self) -> BaseException | None:
        """The one error that stands for all failures; None when nothing failed.

        The first failure decides class and message; further ones stand in its ``issues``. A full disk is one failure,
        however many jobs met it.
        """
        if not self.failures:
            return None
        errors = [failure.error for failure in self.failures]
        first = errors[0]
        ours = [error for error in errors if isinstance(error, EnvbuildError)]
        if len(ours) < 2 or not isinstance(first, EnvbuildError) or all(isinstance(e, NoSpaceError) for e in ours):
            return first
        return several(ours)


class Scheduler:
    """Runs plans on an executor."""

    def __init__(
        self,
        executor: Executor,
        reporter: Reporter,
        *,
        cancel: Callable[[], None] | None = None,
        patience: float = PATIENCE,
    ) -> None:
        """Wire a scheduler; nothing runs yet.

        Args:
            executor: Where jobs run. The scheduler closes it only after an interrupt.
            reporter: Told everything, in the thread that calls ``run``.
            cancel: Called after an interrupt, to end what jobs wait for (child processes, downloads).
            patience: Seconds that running jobs get to end after an interrupt.
        """
        self._executor = executor
        self._reporter = reporter
        self._cancel = cancel
        self._patience = patience
        self._inbox: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._told: dict[Digest, float] = {}

    def progress(self, key: Digest, done: int, total: int | None) -> None:
        """Pass a job's progress to the reporter, the last step always; may be called from any thread."""
        now = time.monotonic()
        if done == total or now - self._told.get(key, 0.0) >= PROGRESS_PAUSE:
            self._told[key] = now
            self._inbox.put(lambda: self._reporter.progress(key, done, total))

    def note(self, text: str) -> None:
        """Pass a note to the reporter; may be called from any thread."""
        self._inbox.put(partial(self._reporter.note, text))

    def hear(self) -> None:
        """Pass on notes that came after a run had ended; called from the thread that called ``run``."""
        while not self._inbox.empty():
            late = self._inbox.get()
            if isinstance(late, partial):
                late()

    def grow(self, plan: Plan, added: Added) -> None:
        """Tell that the plan of the run has grown; called from what ``run`` calls ``between`` jobs."""
        self._reporter.plan_grown(plan.summary(added))
        for key in added.hits:
            self._reporter.hit(plan.graph[key])

    def run(
        self, plan: Plan, work: Callable[[Task], Done], between: Callable[[Callable[[], Outcome]], None] | None = None
    ) -> Outcome:
        """Run a plan until it is over.

        Args:
            plan: A fresh plan; it is used up.
            work: Does one task: ``envbuild.worker.run`` with its workspace and results filled in. Picklable where the
                executor is far away.
            between: Called before the first job is given out and whenever one has ended, in the thread that called
                ``run``: is told what came of it so far, when it asks, and may let the plan grow.

        Raises:
            KeyboardInterrupt: When the user interrupts; ``Terminated`` for SIGTERM. Failed jobs raise nothing: they
                are in the outcome.
        """
        run = _Run(plan, work, self._executor, self._reporter, self._inbox)
        began = time.monotonic()
        self._reporter.plan_made(plan.summary())
        for key in plan.hits:
            self._reporter.hit(plan.graph[key])
        with _terminated_as_interrupt():
            try:
                while True:
                    if between is not None:
                        between(lambda: run.outcome(round((time.monotonic() - began) * 1000)))
                    if plan.over:
                        break
                    run.fill()
                    if plan.running:
                        self._inbox.get()()
                    while not self._inbox.empty():  # what has come together is asked about, and followed, together
                        self._inbox.get()()
            except KeyboardInterrupt:
                plan.stop()
                self._reporter.interrupted()
                if self._cancel is not None:
                    self._cancel()
                self._executor.close(patience=self._patience)
                raise
            finally:
                elapsed = round((time.monotonic() - began) * 1000)
                self._reporter.ended(elapsed)
        return run.outcome(elapsed)


class _Run:
    """The book-keeping of one run."""

    def __init__(
        self,
        plan: Plan,
        work: Callable[[Task], Done],
        executor: Executor,
        reporter: Reporter,
        inbox: SimpleQueue[Callable[[], None]],
    ) -> None:
        self._plan = plan
        self._work = work
        self._executor = executor
        self._reporter = reporter
        self._inbox = inbox
        self._busy: dict[Lane, int] = dict.fromkeys(LANES, 0)
        self._milliseconds: dict[Digest, int] = {}
        self._done: Counter[str] = Counter()
        self._pulled: dict[Digest, str] = {}
        self._fetched_bytes = 0

    def fill(self) -> None:
        """Give the executor as many jobs as it has free slots for."""
        for lane in LANES:
            free = self._executor.slots(lane) - self._busy[lane]
            for job in self._plan.ready(lane, free) if free > 0 else ():
                self._start(job)

    def _start(self, job: Job) -> None:
        inputs = self._plan.inputs(job)
        task = Task(job=job, inputs=inputs, derivations={key: self._plan.graph[key] for key in inputs})
        self._plan.started(job)
        self._busy[job.lane] += 1
        self._reporter.started(job)
        future = self._executor.submit(job.lane, self._work, task)
        future.add_done_callback(lambda ended: self._inbox.put(lambda: self._end(job, ended)))

    def _end(self, job: Job, future: Future[Any]) -> None:
        self._busy[job.lane] -= 1
        error = future.exception()
        if error is None:
            self._succeeded(job, future.result())
        elif isinstance(error, (KeyboardInterrupt, SystemExit)):
            raise KeyboardInterrupt from error
        else:
            self._failed(job, error)

    def _succeeded(self, job: Job, done: Done) -> None:
        if done.missed:
            self._plan.missed(job)
            self._reporter.missed(job)
            return
        outputs = dict(done.outputs)
        size = sum(output.size for output in outputs.values())
        if done.store is not None and job.phase != "prepare":
            self._pulled[job.key] = done.store
        elif job.phase == "realise" and not done.found:
            kind = job.derivation.kind
            self._done[kind] += 1
            self._milliseconds[job.key] = done.milliseconds
            self._fetched_bytes += size if kind == "fetch" else 0
        self._plan.finished(job, outputs)
        self._reporter.finished(job, done.milliseconds, size)

    def _failed(self, job: Job, error: BaseException) -> None:
        before = len(self._plan.blocked)
        self._plan.failed(job, error)
        self._reporter.failed(job, error)
        newly = list(islice(reversed(self._plan.blocked), len(self._plan.blocked) - before))
        for key in reversed(newly):
            self._reporter.blocked(self._plan.graph[key], job.derivation)

    def outcome(self, elapsed: int) -> Outcome:
        return Outcome(
            outputs=self._plan.outputs,
            milliseconds=self._milliseconds,
            hits=self._plan.hit_count,
            done=tuple(sorted(self._done.items())),
            fetched_bytes=self._fetched_bytes,
            failures=tuple(self._plan.failures),
            blocked=self._plan.blocked,
            elapsed=elapsed,
            pulled=self._pulled,
        )


@contextmanager
def _terminated_as_interrupt() -> Iterator[None]:
    """SIGTERM becomes ``Terminated`` in the main thread, unless somebody else already handles it."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return

    def terminate(number: int, frame: object) -> None:
        raise Terminated(signal.SIGTERM)

    signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
