"""Executors far away: what the one that sends and the one that runs agree upon.

What is sent is a function by its name and one picklable argument; what comes back is an ``Answer``, a small value. An
error comes back as a value, too: so a function that wants to exit ends no worker, and what is raised there says in one
line where that was. Of an error only what envbuild says of it travels: its causes may hold requests with credentials.

Rules of the file: the standard library and ``envbuild.errors``; no engine is imported, only asked where it is.
"""

from __future__ import annotations

import pickle
import platform
import sys
from collections.abc import Callable, Collection
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from typing import Any, Protocol

from envbuild.errors import BuildError, EnvbuildError, UnreachableError, UsageError
from envbuild.executors import Executor, Given, Returned
from envbuild.job import Lane
from envbuild.value import dataclass
from envbuild.version import __version__


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a function came to, far away.

    Attributes:
        value: What it returned.
        error: What it raised; None when it returned.
        where: The worker, in words.
    """

    value: object = None
    error: BaseException | None = None
    where: str = ""


class FarExecutor(Executor, Protocol):
    """An executor whose workers differ, and are not here."""

    @property
    def address(self) -> str:
        """Which it is, for people."""
        ...

    def lacks(self, platform: str, tags: Collection[str] = ()) -> str | None:
        """What a worker would have to have that none has, in words; None when there is one.

        Args:
            platform: The platform that it must be of; empty for any.
            tags: What else it must be marked with.
        """
        ...

    def submit(self, lane: Lane, function: Callable[[Given], Returned], argument: Given, /) -> Future[Returned]:
        """Run it on any worker, whatever the lane.

        Raises:
            RuntimeError: After ``close``.
        """
        return self.send(function, argument, name=getattr(function, "__name__", "a job"))

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
        """Run ``function(argument)`` on a worker that has what is wanted.

        Args:
            function: Found by its module and name over there.
            argument: Picklable.
            name: What people call it.
            platform: As of ``lacks``.
            tags: As of ``lacks``.

        Raises:
            RuntimeError: After ``close``.
        """
        ...


def call(function: Callable[[Any], Any], argument: Any) -> Answer:
    """Run a function where this is, and give back what it came to as a value."""
    try:
        return Answer(value=function(argument), where=_here())
    except BaseException as error:  # the other side decides what it means; a worker lives on
        return Answer(error=_portable(error), where=_here())


def about(_: object = None) -> tuple[str, str]:
    """What runs here: envbuild's version and conda's name of the platform; told in words that every version knows."""
    arm = platform.machine().lower() in {"arm64", "aarch64"}
    names = {"linux": ("linux-64", "linux-aarch64"), "darwin": ("osx-64", "osx-arm64"), "win32": ("win-64", "win-64")}
    return __version__, names.get(sys.platform, ("", ""))[arm]


def follow(answered: Future[Answer], ours: Future[Any], *, name: str, address: str) -> None:
    """Let a future end as the one that was sent away did."""

    def ended(answered: Future[Answer]) -> None:
        if not ours.set_running_or_notify_cancel():
            return
        try:
            answer = answered.result()
        except (CancelledError, OSError) as error:  # its scheduler or pool is gone, or the way to it
            gone = lost(address)
            gone.__cause__ = error
            ours.set_exception(gone)
        except BaseException as error:
            ours.set_exception(not_run(error, name, address))
        else:
            if not isinstance(answer, Answer):
                ours.set_exception(not_run(TypeError(f"{answer!r} came back"), name, address))
            elif answer.error is None:
                ours.set_result(answer.value)
            else:
                ours.set_exception(_told_where(answer.error, answer.where))

    answered.add_done_callback(ended)


def lost(address: str) -> UnreachableError:
    """That nobody answers any more."""
    return UnreachableError(
        f"{address} was lost, and with it what was under way there",
        reference="executor-lost",
        hint="run it again: what was done is in the store",
        retryable=True,
    )


def not_run(error: BaseException, name: str, address: str) -> BaseException:
    """What it means that the engine itself failed."""
    if type(error).__name__ == "KilledWorker":  # Dask's, which is not imported here
        deaths = int(getattr(error, "allowed_failures", 0)) + 1
        return BuildError(
            f"{name} ended {deaths} workers at {address}: each died while it was doing that",
            reference="worker-lost",
            hint="look at what their logs say last, and at the memory that they may use",
        )
    said = f"{error.__cause__ or error}".strip().splitlines()
    line = said[0] if said else type(error).__name__
    if isinstance(error, (ImportError, AttributeError)) or "deseriali" in str(error).lower():
        return UsageError(
            f"what runs at {address} is not this envbuild ({__version__}): {line}",
            reference="other-version",
            hint=f"install envbuild[dask]=={__version__} there, for the scheduler and every worker",
        )
    return UnreachableError(
        f"{name} was not done at {address}: {type(error).__name__}: {line}",
        reference="executor-lost",
        hint="look at the log of its workers; what was done is in the store",
        retryable=True,
    )


def _told_where(error: BaseException, where: str) -> BaseException:
    """What was raised over there, as raised here: an error of ours says where."""
    if not isinstance(error, EnvbuildError) or not where:
        return error
    return _anew(error, f"{error.message} (on {where})")


def _portable(error: BaseException) -> BaseException:
    """An error that can be sent, without traceback and context, which hold what was in hand when it was raised.

    One of ours keeps causes that are ours, too; another one is told in words where it cannot be pickled.
    """
    if isinstance(error, EnvbuildError):
        return _anew(error, error.message)
    bare = error.with_traceback(None)
    bare.__cause__ = bare.__context__ = None
    with suppress(Exception):
        pickle.loads(pickle.dumps(bare))  # noqa: S301  our own bytes, made in this line
        return bare
    return EnvbuildError(f"{type(error).__name__}: {error}")


def _anew(error: EnvbuildError, message: str) -> EnvbuildError:
    """The same error, never raised."""
    told = type(error)(
        message,
        reference=error.reference,
        where=error.where,
        hint=error.hint,
        retryable=error.retryable,
        issues=error.issues,
    )
    cause = error.__cause__
    told.__cause__ = _anew(cause, cause.message) if isinstance(cause, EnvbuildError) else None
    return told


def _here() -> str:
    """The worker that this is, in words; the machine where it is none of Dask's."""
    distributed = sys.modules.get("distributed")
    if distributed is not None:
        with suppress(ValueError):  # no worker of Dask's
            worker = distributed.get_worker()
            return f"the worker {worker.name}" if worker.name != worker.address else f"the worker {worker.address}"
    return platform.node()
