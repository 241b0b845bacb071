"""Any pool of ``concurrent.futures``, or what looks like one, as a far executor: it has ``submit(function, argument)``.

Processes of this machine, MPI's pool, a batch system's: where its workers are is asked once, by a job of its own. They
are taken to be all alike, and to have no tags.

Rules of the file: the pool belongs to whoever made it; it is never shut down here.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from functools import partial
from typing import Any, Protocol, cast

from envbuild.errors import UsageError
from envbuild.executors import Given, Returned
from envbuild.executors.far import FarExecutor, about, call, follow, not_run
from envbuild.job import Lane


class Pool(Protocol):
    """What is needed of a pool."""

    def submit(self, fn: Callable[..., Any], /, *args: Any) -> Future[Any]:
        """As of ``concurrent.futures.Executor``."""
        ...


class FuturesExecutor(FarExecutor):
    """See the module's docstring.

    Args:
        pool: Where jobs go.
        jobs: How many are given to it at once; its ``max_workers`` when it says so, else this machine's processors.
    """

    def __init__(self, pool: Pool, *, jobs: int | None = None) -> None:
        self._pool = pool
        self._jobs: int = jobs or getattr(pool, "_max_workers", None) or os.cpu_count() or 1
        self._platform: str | None = None
        self._guard = threading.Lock()
        self._sent: set[Future[Any]] = set()
        self._closed = False

    @property
    def address(self) -> str:
        """The pool's class."""
        return type(self._pool).__name__

    def slots(self, lane: Lane) -> int:
        """As many in each lane as the pool has workers."""
        return self._jobs

    def lacks(self, platform: str, tags: Collection[str] = ()) -> str | None:
        """What its workers are not.

        Raises:
            UnreachableError: ``executor-lost`` where the pool does not say what they are.
        """
        if tags:
            return f"a worker with {', '.join(sorted(tags))}"
        if not platform:
            return None
        if self._platform is None:
            self._platform = self._ask()
        return None if platform == self._platform else f"a worker of {platform}"

    def send(
        self,
        function: Callable[[Given], Returned],
        argument: Given,
        /,
        *,
        name: str,
        platform: str = "",
        tags: Collection[str] = (),
    ) -> Future[Returned]:
        """Run it in the pool; any worker will do, for they are alike.

        Raises:
            RuntimeError: After ``close``.
            UnreachableError: ``executor-lost`` where the pool takes nothing any more.
        """
        ours: Future[Returned] = Future()
        with self._guard:
            if self._closed:
                raise RuntimeError("the executor is closed")
            sent = self._given(name, partial(call, function), argument)
            self._sent.add(sent)
        sent.add_done_callback(partial(self._ended, ours=ours, name=name))
        return ours

    def _ask(self) -> str:
        """The platform of its workers; nothing of envbuild's but a function comes into it, for any version to tell."""
        name = "the first job, what its workers are,"
        asked = self._given(name, about, None)
        try:
            _, platform = map(str, asked.result())
        except Exception as error:  # whatever the pool, or what runs in it, raises
            raise not_run(error, name, self.address) from error
        return platform

    def _given(self, name: str, function: Callable[[Any], Any], argument: object) -> Future[Any]:
        """What the pool makes of it; one that was shut down, or whose processes are gone, says so in its own way."""
        try:
            sent = self._pool.submit(function, argument)
            if not callable(getattr(sent, "add_done_callback", None)):
                raise TypeError(f"its `submit` gives {type(sent).__name__}, which is no future")
        except Exception as error:
            raise not_run(error, name, self.address) from error
        return sent

    def _ended(self, sent: Future[Any], *, ours: Future[Any], name: str) -> None:
        self._sent.discard(sent)
        if self._closed and sent.cancelled():
            ours.cancel()
            ours.set_running_or_notify_cancel()
        else:
            follow(sent, ours, name=name, address=self.address)

    def close(self, *, patience: float | None = None) -> bool:
        """Cancel what has not begun and wait for the rest; the pool itself stays."""
        with self._guard:
            self._closed = True
        for future in (sent := list(self._sent)):
            future.cancel()
        return not wait_for(sent, timeout=patience).not_done


def far_of(given: object) -> FarExecutor:
    """A far executor of what somebody made: a client of Dask's, or whatever has ``submit(function, argument)``.

    Raises:
        UsageError: ``unknown-executor``.
    """
    if type(given).__module__.partition(".")[0] == "distributed" and hasattr(given, "scheduler_info"):
        from envbuild.executors.dask_engine import DaskExecutor

        client: Any = given
        return DaskExecutor(client, address=f"dask at {client.scheduler.address}")
    if not callable(getattr(given, "submit", None)):
        raise UsageError(
            f"{type(given).__name__} is no executor: it has no `submit`",
            reference="unknown-executor",
            hint="give a pool of concurrent.futures, a client of dask.distributed, or an address",
        )
    return FuturesExecutor(cast(Pool, given))
