"""The local executor: threads of this process, one pool for each lane.

Downloads wait and hash outside the interpreter's lock, engines work in child processes or in native code, so threads
are enough. They are daemons: an interrupted run must not hang on a download that no longer matters, and stopping
anywhere is safe, for publishing is atomic. (``ThreadPoolExecutor`` joins its threads when the interpreter ends, however
long they take; this is why it is not used.)
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any

from envbuild.executors import Given, Returned, settle
from envbuild.job import LANES, Lane

IO_SLOTS = 64

_Work = tuple["Future[Any]", Callable[[Any], Any], Any]


class LocalExecutor:
    """Threads, started when they are first needed and kept until ``close``."""

    def __init__(self, *, jobs: int | None = None, downloads: int = IO_SLOTS) -> None:
        """Make the pools; no thread starts yet.

        Args:
            jobs: Slots of the ``cpu`` lane; None for the cores that this process may use.
            downloads: Slots of the ``io`` lane.
        """
        self._pools = {"cpu": _Pool("cpu", jobs or _cores()), "io": _Pool("io", downloads)}

    def slots(self, lane: Lane) -> int:
        """Threads of the lane."""
        return self._pools[lane].size

    def submit(self, lane: Lane, function: Callable[[Given], Returned], argument: Given, /) -> Future[Returned]:
        """Run it in a thread of the lane.

        Raises:
            RuntimeError: After ``close``.
        """
        return self._pools[lane].submit(function, argument)

    def close(self, *, patience: float | None = None) -> bool:
        """Cancel what has not begun and wait for the rest, at most ``patience`` seconds."""
        until = None if patience is None else time.monotonic() + patience
        for lane in LANES:
            self._pools[lane].end()
        ended = [self._pools[lane].join(until) for lane in LANES]
        return all(ended)


class _Pool:
    """Up to ``size`` daemon threads that take work from one queue; ``None`` tells a thread to end."""

    def __init__(self, name: str, size: int) -> None:
        self.size = size
        self._name = name
        self._queue: SimpleQueue[_Work | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._lock = threading.Lock()
        self._closed = False

    def submit(self, function: Callable[[Any], Any], argument: Any) -> Future[Any]:
        future: Future[Any] = Future()
        with self._lock:
            if self._closed:
                raise RuntimeError("the executor is closed")
            self._queue.put((future, function, argument))
            if self._idle > 0:
                self._idle -= 1  # spoken for; the thread that takes it does not count itself out
            elif len(self._threads) < self.size:
                thread = threading.Thread(target=self._work, name=f"envbuild-{self._name}", daemon=True)
                self._threads.append(thread)
                thread.start()
        return future

    def end(self) -> None:
        with self._lock:
            self._closed = True
            left: list[_Work] = []
            while not self._queue.empty():
                work = self._queue.get()
                if work is not None:
                    left.append(work)
            for _ in self._threads:
                self._queue.put(None)
        for future, _, _ in left:
            future.cancel()

    def join(self, until: float | None) -> bool:
        for thread in self._threads:
            thread.join(None if until is None else max(0.0, until - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _work(self) -> None:
        while (work := self._queue.get()) is not None:
            settle(*work)
            del work  # so that no result stays alive for as long as the thread is idle
            with self._lock:
                self._idle += 1


def _cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
