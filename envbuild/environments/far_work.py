"""Work that is sent away: which jobs go, what goes before them, and what comes home after them.

**Near** stays what belongs to this machine: links and the tests of what is linked (the prefix is here), pulls, git
trees and folders (they lie here, or need this user's keys). **Far** go transmutes, builds of wheels, bytecode, the
fetches that only those read, and solves whose answer is the same there (``far_solves``). A build goes to a builder of
its platform; without one it stays here, as it would without an executor, and what this machine cannot build says which
builder is missing. Bytecode goes to a worker of this platform, for the Python that compiles is among its inputs; where
that is this machine's own Python, it stays. So does a solve of wheels, which may have to run a source's build backend.

::

    here                         the store                    a worker
    inputs ────────────────────► blobs ─────────────────────► reads them
    the job: digests alone ─────────────────────────────────► does it
                                 blobs, record ◄───────────── puts them
    names and digests ◄────────────────────────────────────── tells
    reads them ◄──────────────── blobs

A fetch or a solve that did not come of it is done here: this machine may know mirrors that a worker does not, and what
has no solution is said by whoever asked. Of a solve it is said why.

Rules of the file: knows kinds and stores, so that executors need not; nothing here waits in the scheduler's thread.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any

from envbuild.derivations import Derivation, Output
from envbuild.derivations.build_wheel import BuildWheel
from envbuild.derivations.bytecode import Bytecode
from envbuild.derivations.fetch import Fetch
from envbuild.derivations.solve import Solve
from envbuild.digest import Digest
from envbuild.environments.far_job import FarDone, envelope, run_envelope
from envbuild.environments.far_kinds import FAR_KINDS
from envbuild.environments.far_solves import bare, may_go
from envbuild.errors import BuildError, EnvbuildError, UnreachableError, UnsatisfiableError, UsageError
from envbuild.executors import Executor, Given, Returned
from envbuild.job import Lane
from envbuild.machine.virtual import current_platform
from envbuild.package import ChannelOrigin, IndexOrigin, InterpreterOrigin, UrlOrigin
from envbuild.plan import Plan
from envbuild.value import replace
from envbuild.worker import Done, Task

if TYPE_CHECKING:
    from envbuild.environments.far_choice import Far
    from envbuild.executors.far import FarExecutor
    from envbuild.machine.workspace import Workspace


class FarWork:
    """An executor that does some jobs here and sends the others away. It is connected when the first job goes.

    Args:
        near: Does what stays, and carries what is sent.
        far: Where the rest goes.
        workspace: Whose home.
        plan: What jobs belong to; it may grow.
    """

    def __init__(self, near: Executor, far: Far, workspace: Workspace, plan: Plan) -> None:
        self._near = near
        self._chosen = far
        self._opened: FarExecutor | EnvbuildError | None = None
        self._workspace = workspace
        self._plan = plan
        self._lacking: dict[Digest, str | None] = {}
        self._told: set[str] = set()

    def slots(self, lane: Lane) -> int:
        """Here and, once it is connected, there; what is more than one of them does at once waits in that one."""
        far = self._opened
        return self._near.slots(lane) + (0 if far is None or isinstance(far, EnvbuildError) else far.slots(lane))

    def submit(self, lane: Lane, function: Callable[[Given], Returned], argument: Given, /) -> Future[Returned]:
        """Do a task here, or send it away.

        Raises:
            RuntimeError: After ``close``.
        """
        assert isinstance(argument, Task)
        task: Task = argument
        if not self._may_go(task):
            return self._near.submit(lane, function, argument)
        item, ours = task.job.derivation, Future[Any]()
        here = partial(self._near.submit, lane, function, argument)
        try:
            lacking = self._lacks(item)
        except EnvbuildError as error:
            if isinstance(item, Solve):
                self._say_why(item, error)
                return here()
            _fail(ours, error)
            return ours
        if lacking is not None:
            here().add_done_callback(partial(self._wanted_builder, item, lacking, ours))
        elif isinstance(item, (Fetch, Solve)):
            self._away(task).add_done_callback(partial(self._or_here, item, ours, here))
        else:
            return self._away(task)
        return ours

    def close(self, *, patience: float | None = None) -> bool:
        """Close both."""
        far = self._opened
        ended = [] if far is None or isinstance(far, EnvbuildError) else [far.close(patience=patience)]
        return all([*ended, self._near.close(patience=patience)])

    @property
    def _far(self) -> FarExecutor:
        if self._opened is None:
            try:
                self._chosen.handing_over()
                far = self._chosen.open()
                far.slots("cpu")  # waits for the first worker
                self._opened = far
            except EnvbuildError as error:
                self._opened = error
        if isinstance(self._opened, EnvbuildError):
            raise self._opened
        return self._opened

    def _may_go(self, task: Task) -> bool:
        item = task.job.derivation
        if task.job.phase != "realise":
            return False
        if isinstance(item, Solve):
            return may_go(item)
        if not isinstance(item, Fetch):
            return item.kind in FAR_KINDS and not _of_this_machine(item)
        graph = self._plan.graph
        users = [graph[key] for key in graph.users(item.key)]
        far = bool(users) and all(user.kind in FAR_KINDS for user in users) and not graph.wants(item.key)
        return far and _anywhere(item) and not any(map(self._lacks_quietly, users))

    def _lacks_quietly(self, item: Derivation) -> bool:
        """Whether a build stays here, or cannot be done at all, which is said when its turn comes."""
        try:
            return _of_this_machine(item) or self._lacks(item) is not None
        except EnvbuildError:
            return True

    def _lacks(self, item: Derivation) -> str | None:
        """Which builder there is none of, so that this machine does it; None when it can be sent.

        Raises:
            UnsatisfiableError: ``no-builder`` where no machine but a marked one will do.
            UnreachableError: As the executor.
        """
        platform, marks = self._place(item)
        far = self._far
        if not platform:
            return None
        if item.key not in self._lacking:
            self._lacking[item.key] = far.lacks(platform, marks)
            if self._lacking[item.key] is not None and marks:
                raise UnsatisfiableError(
                    f"{item.label} wants {self._lacking.pop(item.key)}, and {self._far.address} has none",
                    reference="no-builder",
                    hint=f"start one: dask worker … --resources '{' '.join(f'{mark}=1' for mark in marks)}'",
                )
        return self._lacking[item.key]

    def _place(self, item: Derivation) -> tuple[str, tuple[str, ...]]:
        """The platform of which a worker must be, empty for any, and what else it must be marked with."""
        if isinstance(item, BuildWheel):
            return item.platform, self._chosen.marks.get(item.package.name, ())
        ours = isinstance(item, Bytecode) or (isinstance(item, Solve) and item.ecosystem == "pypi")
        return current_platform() if ours else "", ()

    def _away(self, task: Task) -> Future[Any]:
        """Send it, with what it needs before it and what it came to after it."""
        ours: Future[Any] = Future()
        _then(self._near.submit("io", self._hand_over, task), ours, partial(self._send, task, ours))
        return ours

    def _or_here(self, item: Derivation, ours: Future[Any], here: Callable[[], Future[Any]], away: Future[Any]) -> None:
        """Let what did not come of being sent be done here."""
        error = None if away.cancelled() else away.exception()
        if isinstance(error, EnvbuildError):
            if isinstance(item, Solve):
                self._say_why(item, error)
            _guarded(ours, lambda: _then(here(), ours, partial(_give, ours)))
        else:
            _then(away, ours, partial(_give, ours))

    def _say_why(self, item: Solve, error: EnvbuildError) -> None:
        """Say once of each reason why solves are done here; one that concerns the question itself will be met here."""
        if isinstance(error, (UnreachableError, UsageError)) and error.reference not in self._told:
            self._told.add(error.reference)
            self._workspace.note(f"{item.label} is not left to {self._chosen.address}: {error.message}")

    def _hand_over(self, task: Task) -> None:
        """Have the inputs that are here in the store, before the job is sent that reads them."""
        blobs = self._workspace.store.blobs
        outputs: list[Output] = [each for one in task.inputs.values() for each in one.values()]
        here = [each.sha256 for each in outputs if blobs.path(each.sha256) is not None]
        store, layer = self._chosen.handing_over()
        if not layer.deliver(self._workspace.blobs.path, here, None):
            raise UnreachableError(
                f"what {task.job.derivation.label} is made from could not be put into the store {store.name}",
                reference="store-not-written",
                hint="what keeps it is said above; `--executor local` needs no store",
                retryable=True,
            )

    def _send(self, task: Task, ours: Future[Any], _: None) -> None:
        item, store = task.job.derivation, self._chosen.handing_over()[0]
        platform, marks = self._place(item)
        sent = self._far.send(
            run_envelope,
            envelope(bare(task) if isinstance(item, Solve) else task, store.url, believed=store.believed),
            name=f"{item.kind} {item.label}",
            platform=platform,
            tags=marks,
        )
        _then(sent, ours, partial(self._bring, task, ours))

    def _bring(self, task: Task, ours: Future[Any], far: FarDone) -> None:
        _then(self._near.submit("io", partial(self._take_home, task), far), ours, partial(_give, ours))

    def _take_home(self, task: Task, far: FarDone) -> Done:
        """Bring what was made, and record it here: what stands in the record is held against what was asked for."""
        item, (store, layer) = task.job.derivation, self._chosen.handing_over()
        for note in far.notes:
            self._workspace.note(note)
        outputs = dict(far.done.outputs)
        layer.arrived(output.sha256 for output in outputs.values())
        if isinstance(item, Fetch):
            if outputs.keys() != {"out"} or outputs["out"].sha256 != item.sha256:
                raise _no_result(item, "it is another file")
            return far.done
        shared, result = self._workspace.shared, far.result
        assert shared is not None
        if result is None or (result.kind, result.key) != (item.kind, item.key):
            raise _no_result(item, "it is the record of something else")
        if not shared.adopt(result, layer):
            raise _no_result(item, f"the store {store.name} does not have it here; is it the same store there?")
        return replace(far.done, outputs=tuple(sorted(result.outputs)))

    def _wanted_builder(self, item: Derivation, lacking: str, ours: Future[Any], near: Future[Any]) -> None:
        error = None if near.cancelled() else near.exception()
        if isinstance(error, BuildError) and error.reference == "wrong-builder":
            error = BuildError(
                f"{error.message}; {self._far.address} lacks {lacking}",
                reference="no-builder",
                hint=f"start one on such a machine: dask worker tcp://HOST:8786 --resources '{self._place(item)[0]}=1'",
            )
        if near.cancelled():
            ours.cancel()
            ours.set_running_or_notify_cancel()
        elif error is not None:
            _fail(ours, error)
        else:
            _give(ours, near.result())


def _of_this_machine(item: Derivation) -> bool:
    """Whether it is done with what is no input and only this machine is known to have: its own Python."""
    return isinstance(item, Bytecode) and not item.runs_on


def _anywhere(item: Fetch) -> bool:
    """Whether a file is to be had from servers alone; what lies in a project lies here."""
    origin = item.origin
    if isinstance(origin, (UrlOrigin, InterpreterOrigin)):
        return not getattr(origin, "url", "").startswith("file:")
    named = origin.channel if isinstance(origin, ChannelOrigin) else None
    named = origin.index if isinstance(origin, IndexOrigin) else named
    return named is not None and not named.startswith((".", "/", "file:"))


def _no_result(item: Derivation, reason: str) -> UnreachableError:
    return UnreachableError(
        f"a worker says that {item.label} is done, and {reason}", reference="not-handed-over", retryable=True
    )


def _give(ours: Future[Any], value: object) -> None:
    if ours.set_running_or_notify_cancel():
        ours.set_result(value)


def _fail(ours: Future[Any], error: BaseException) -> None:
    if ours.set_running_or_notify_cancel():
        ours.set_exception(error)


def _guarded(ours: Future[Any], step: Callable[[], None]) -> None:
    """Take a step whose own failure is the end, too: nobody else hears of it."""
    try:
        step()
    except BaseException as error:  # the future carries it to the loop, whatever it is
        _fail(ours, error)


def _then(first: Future[Any], ours: Future[Any], step: Callable[[Any], None]) -> None:
    """Go on when a step has ended; what it raised is what the whole came to."""

    def ended(first: Future[Any]) -> None:
        if first.cancelled():
            ours.cancel()
            ours.set_running_or_notify_cancel()
        elif error := first.exception():
            _fail(ours, error)
        else:
            _guarded(ours, lambda: step(first.result()))

    first.add_done_callback(ended)
