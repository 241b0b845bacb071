"""The executor for debugging and tests: everything runs at once, in the thread that submits."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future

from envbuild.executors import Given, Returned, settle
from envbuild.job import Lane


class SynchronousExecutor:
    """One slot for each lane, and no thread."""

    def __init__(self) -> None:
        self._closed = False

    def slots(self, lane: Lane) -> int:
        """Always one."""
        return 1

    def submit(self, lane: Lane, function: Callable[[Given], Returned], argument: Given, /) -> Future[Returned]:
        """Run it now; the future is done when this returns.

        Raises:
            RuntimeError: After ``close``.
            KeyboardInterrupt: When the user interrupts the function: the submitting thread is the user's.
        """
        if self._closed:
            raise RuntimeError("the executor is closed")
        future: Future[Returned] = Future()
        settle(future, function, argument)
        error = future.exception()
        if isinstance(error, KeyboardInterrupt):
            raise error
        return future

    def close(self, *, patience: float | None = None) -> bool:
        """Nothing can be running."""
        self._closed = True
        return True
