"""Executors: where jobs run. An executor is ``submit() -> Future`` plus a number of slots for each lane.

An executor knows no plan, no store and no derivation: it is given a function and its one argument. The scheduler never
submits more than the slots, so an executor needs no queue policy. ``tests/contracts/executor.py`` says what all obey.

Rules of the room: one executor, one file, imported when it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from envbuild.errors import UsageError
from envbuild.job import Lane

if TYPE_CHECKING:
    from concurrent.futures import Future

EXECUTORS = ("local", "synchronous")
"""Those of this machine. What is far away is ``envbuild.executors.far``: it is given work beside one of these."""

FAR_SCHEMES = ("dask://", "dask+tls://", "tcp://", "tls://", "ssh://")
"""How the addresses of those begin that are far away."""

Given = TypeVar("Given")
Returned = TypeVar("Returned")


class Executor(Protocol):
    """Runs functions, soon and somewhere."""

    def slots(self, lane: Lane) -> int:
        """How many jobs of a lane may run at once; at least 1, the same during a run."""
        ...

    def submit(self, lane: Lane, function: Callable[[Given], Returned], argument: Given, /) -> Future[Returned]:
        """Run ``function(argument)``; what it returns or raises is the future's.

        Raises:
            RuntimeError: After ``close``.
        """
        ...

    def close(self, *, patience: float | None = None) -> bool:
        """Take nothing more, cancel what has not begun, and wait for the rest.

        Args:
            patience: Seconds to wait; None for as long as it takes.

        Returns:
            Whether everything has ended. Closing twice is fine.
        """
        ...


def open_executor(name: str, *, jobs: int | None = None) -> Executor:
    """An executor by its configured name.

    Args:
        name: One of ``EXECUTORS``.
        jobs: Slots of the ``cpu`` lane; None for this machine's cores.

    Raises:
        UsageError: ``unknown-executor`` for another name, ``bad-jobs`` for fewer than one job.
    """
    if jobs is not None and jobs < 1:
        raise UsageError(f"{jobs} jobs cannot do anything", reference="bad-jobs", hint="--jobs 1")
    if name == "local":
        from envbuild.executors.local import LocalExecutor

        return LocalExecutor(jobs=jobs)
    if name == "synchronous":
        from envbuild.executors.synchronous import SynchronousExecutor

        return SynchronousExecutor()
    raise UsageError(
        f"there is no executor {name!r}: there are {', '.join(EXECUTORS)}, and addresses of Dask",
        reference="unknown-executor",
        hint="executor: local",
    )


def settle(future: Future[Any], function: Callable[[Any], Any], argument: Any) -> None:
    """Run a function and put what it returns or raises into its future; a cancelled future is left alone."""
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = function(argument)
    except BaseException as error:  # the future carries it to the loop, whatever it is
        future.set_exception(error)
    else:
        future.set_result(result)
