"""The worker: one job, done by one plain function, the same near and far.

A ``Task`` is a job with all that it needs to know about its inputs; ``run`` gives it a context limited to those inputs,
lets the kind do the work, records the result where the kind is pure, and returns a small ``Done``: never bytes. What
was recorded is shared with the stores behind the home's own. A ``pull`` brings from them what somebody else has
recorded; when it is gone by then, that is no error: ``Done`` says ``missed``.

**Long work is done once.** Builds, tests and transmutes hold a lock of their key, also among processes, and look again
once they have it: what another process has recorded meanwhile is the result. So the first result for a key stands, also
for builds that do not give the same bytes twice. A record whose outputs are lost makes way for the new one.

What leaves a job is an error of ``envbuild.errors``: a full disk becomes one here, and whatever nobody foresaw becomes
a defect that names the derivation.

Rules of the file: effects only through the workspace and results given; everything that enters or leaves is picklable.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol, cast

from envbuild.derivations import Context, Derivation, Output, Outputs, preparer, realiser
from envbuild.digest import Digest, short
from envbuild.errors import EnvbuildError, NoSpaceError
from envbuild.job import Job
from envbuild.store import Result, Results
from envbuild.value import dataclass, replace
from envbuild.version import __version__

_ENGINES: Mapping[str, tuple[str, ...]] = {
    "solve": ("py-rattler", "uv"),
    "build-wheel": ("py-rattler", "uv", "pyproject-hooks"),
}
"""Distributions whose versions a result tells, by kind. Not for ``link``: looking them up costs as much as linking."""

_ONCE = frozenset({"transmute", "build-wheel", "bytecode", "test"})
"""Kinds whose work is long enough that a second process rather waits for the first."""

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NOT_WRITABLE = {errno.EROFS, errno.EACCES, errno.EPERM}


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A job and what it may know about its inputs.

    Attributes:
        inputs: Outputs of the inputs that the job may read, by key.
        derivations: The derivations of the same inputs, by key.
    """

    job: Job
    inputs: Mapping[Digest, Outputs]
    derivations: Mapping[Digest, Derivation]


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What a job leaves behind, as told to the scheduler.

    Attributes:
        outputs: By name; empty for a preparation.
        notes: What had to be said, each once.
        found: Another process did it while this one waited.
        missed: What was to be pulled is gone.
        store: The shared store that it came from, by name; None for what came from elsewhere or was done here.
    """

    outputs: tuple[tuple[str, Output], ...]
    milliseconds: int
    notes: tuple[str, ...] = ()
    found: bool = False
    missed: bool = False
    store: str | None = None


class Workspace(Protocol):
    """What the worker needs of ``envbuild.machine.workspace.Workspace``."""

    def for_job(
        self, derivation: Derivation, inputs: Mapping[Digest, Outputs], derivations: Mapping[Digest, Derivation]
    ) -> Context:
        """A context that gives the blobs of these inputs, and of no others."""
        ...

    def known(self, derivations: Iterable[Derivation]) -> Mapping[Digest, Outputs]:
        """Which of these need not be done, and what they gave."""
        ...

    def pull(self, derivation: Derivation) -> Outputs | None:
        """Bring what somebody else has recorded, and record it here; None when it is gone."""
        ...

    def made_since(self, derivation: Derivation) -> Outputs | None:
        """What somebody else has recorded since the plan was made, if this would take long; asked when it begins."""
        ...

    def share(self, derivation: Derivation, outputs: Outputs, result: Result | None) -> Outputs:
        """Offer what was done to shared stores; gives what counts, which may be what somebody else was faster with."""
        ...

    def came_from(self, outputs: Outputs) -> str | None:
        """The shared store that these were brought from by this process."""
        ...

    def waited_for(self, outputs: Outputs) -> bool:
        """Whether another process brought these, while this one was about to."""
        ...


def run(task: Task, workspace: Workspace, results: Results | None) -> Done:
    """Do one job.

    Args:
        task: The job.
        workspace: Where it may work.
        results: Where results of pure kinds are recorded; None to record nothing.

    Raises:
        EnvbuildError: What the kind raised; ``NoSpaceError`` for a disk that is full or not writable; bare, as a
            defect, for anything that the kind did not foresee.
    """
    job = task.job
    context = workspace.for_job(job.derivation, task.inputs, task.derivations)
    try:
        if job.phase != "pull" and (results is None or job.phase == "prepare" or job.derivation.kind not in _ONCE):
            return _done(job, context, workspace, results)
        with context.lock(f"{job.derivation.kind}-{job.key}", patient=True):
            outputs = workspace.known((job.derivation,)).get(job.key)
            if outputs is not None:
                return Done(outputs=tuple(sorted(outputs.items())), milliseconds=0, found=True)
            if job.phase == "pull":
                return _brought(job, workspace, workspace.pull)
            brought = _brought(job, workspace, workspace.made_since)
            return _done(job, context, workspace, results) if brought.missed else brought
    except EnvbuildError:
        raise
    except OSError as error:
        raise _from_os(job, error) from error
    except Exception as error:
        raise EnvbuildError(f"{_described(job)} met what it does not know: {type(error).__name__}: {error}") from error


def _brought(job: Job, workspace: Workspace, bring: Callable[[Derivation], Outputs | None]) -> Done:
    """Bring it, rather than do it."""
    began = time.monotonic()
    outputs = bring(job.derivation)
    store = None if outputs is None else workspace.came_from(outputs)
    return Done(
        outputs=tuple(sorted((outputs or {}).items())),
        milliseconds=round((time.monotonic() - began) * 1000),
        found=outputs is not None and store is None,
        missed=outputs is None,
        store=store,
    )


def _done(job: Job, context: Context, workspace: Workspace, results: Results | None) -> Done:
    """Do it and record it."""
    listening = _Listening(context)
    began = time.monotonic()
    outputs = _work(job, cast(Context, listening))
    done = Done(
        outputs=tuple(sorted(outputs.items())),
        milliseconds=round((time.monotonic() - began) * 1000),
        notes=tuple(dict.fromkeys(listening.notes)),
    )
    if results is None or job.phase == "prepare":
        return done
    if job.derivation.kind == "fetch" and workspace.waited_for(outputs):
        return replace(done, found=True)  # whoever brought it sends it, too
    record = None
    if job.derivation.purity == "pure":
        record = _record(job.derivation, done, context)
        if results.put(record) == "exists" and record.kind in _ONCE:  # its outputs are lost: it was not known
            results.delete(record.kind, record.key)
            results.put(record)
    shared = workspace.share(job.derivation, outputs, record)
    return replace(done, outputs=tuple(sorted(shared.items())), store=workspace.came_from(shared))


def _work(job: Job, context: Context) -> Outputs:
    if job.input is None:
        return realiser(job.derivation.kind)(job.derivation, context)
    prepare = preparer(job.derivation.kind)
    if prepare is not None:
        prepare(job.derivation, job.input, context)
    return {}


class _Listening:
    """The context that a kind sees: the workspace's own, and what is said is kept for the result."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)
        self._context.note(text)

    def __getattr__(self, name: str) -> object:
        return getattr(self._context, name)


def _record(derivation: Derivation, done: Done, context: Context) -> Result:
    return Result(
        kind=derivation.kind,
        key=derivation.key,
        outputs=done.outputs,
        platform=context.platform,
        created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        milliseconds=done.milliseconds,
        builder=_builder(derivation.kind),
        notes=done.notes,
    )


def _builder(kind: str) -> str:
    """Versions: envbuild's own, and those of the engines where they are worth their look-up."""
    told = [f"envbuild {__version__}"]
    if kind in _ENGINES:
        from importlib.metadata import version  # 66 ms

        told += [f"{name} {version(name)}" for name in _ENGINES[kind]]
    return ", ".join(told)


def _from_os(job: Job, error: OSError) -> EnvbuildError:
    place = f" ({error.filename})" if error.filename else ""
    if error.errno in _NO_SPACE:
        return NoSpaceError(f"the disk is full: {_described(job)} could not be written{place}", reference="no-space")
    if error.errno in _NOT_WRITABLE:
        return NoSpaceError(f"{_described(job)} may not write here{place}", reference="not-writable")
    return EnvbuildError(f"{_described(job)} met {type(error).__name__}: {error.strerror or error}{place}")


def _described(job: Job) -> str:
    derivation = job.derivation
    if derivation.kind == "solve":
        return derivation.label
    doing = derivation.kind if job.input is None else f"{derivation.kind}'s preparation of {short(job.input)} for"
    return f"{doing} {derivation.label}"
