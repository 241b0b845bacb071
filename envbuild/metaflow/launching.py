"""Before a run: the environments of all steps are locked, made to exist, and each step learns how its tasks enter.

What is there already is found by stamps: a run with nothing to do reads a few small files. Else all environments are
locked in one graph and realized in one graph, so that equal work is done once.

Rules of the file: wires; prints what a user must know, to the stream that Metaflow gives.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from envbuild.errors import EnvbuildError
from envbuild.machine.home import find_home
from envbuild.metaflow import settings
from envbuild.metaflow.away import Away, sent
from envbuild.metaflow.collecting import Flow, Locate, collected, locator
from envbuild.metaflow.debugging import debugging, say
from envbuild.metaflow.emitting import recipe_files
from envbuild.metaflow.entering import Entrance, entrance
from envbuild.metaflow.escape import trampolines
from envbuild.metaflow.folders import alone
from envbuild.metaflow.importable import importable
from envbuild.metaflow.late import Late, late
from envbuild.metaflow.making import present
from envbuild.metaflow.standing import Bases
from envbuild.projects.project import Project, find_project, shown_path
from envbuild.value import replace

if TYPE_CHECKING:
    from envbuild.environments.asking import Before
    from envbuild.metaflow.writing import Surroundings
    from envbuild.reporter import Reporter
    from envbuild.session import Session


class Launch:
    """What is known of a flow that is about to run.

    Args:
        flow: Metaflow's flow, whose decorators are initialized.
        datastore: The type of its datastore.
        echo: Says a line.
        spins: Whether one step is spun: that runs here, whatever sends it elsewhere in a run.

    Raises:
        InvalidInput: Every finding of every decorator.
    """

    def __init__(self, flow: Any, datastore: str, echo: Callable[[str], Any], *, spins: bool = False) -> None:
        from metaflow.metaflow_config import ENVBUILD_REMOTE

        self.echo = echo
        self.flow: Flow = collected(flow, () if spins else settings.remote(ENVBUILD_REMOTE))
        self.project: Project = find_project(self.flow.file)
        self.locate: Locate = locator(flow, self.flow.file)
        self.surroundings: Surroundings = replace(settings.surroundings(self.project, datastore), standing=Bases(self))
        for note in (*self.project.config.warnings, *self.flow.notes, *settings.notes(self.project)):
            echo(f"note: {note}")

    def session(self, folders: Iterable[Path], *, before: Before | None = None, local_only: bool = False) -> Session:
        """A session for recipes in these folders; what was locked before counts, unless somebody says no.

        Args:
            folders: They belong to the flow's project.
            before: See ``envbuild.environments.asking``.
            local_only: Ask no shared store.
        """
        from envbuild.session import Session

        session = Session(
            self.flow.file.parent,
            reporter=self._reporter(),
            flags=settings.flags(self.project),
            environ=settings.environ(),
            offline=os.environ.get("ENVBUILD_OFFLINE", "").lower() in {"1", "true", "yes", "on"},
            before=before,
        )
        project = session.project(self.flow.file)
        if local_only:
            project = Project(root=project.root, config=replace(project.config, stores=(), own_stores=()))
        for folder in (self.flow.file.parent, *folders):
            session.adopt(folder, project)
        return session

    def _reporter(self) -> Reporter:
        from metaflow.cli import echo_dev_null

        from envbuild.cli.render import QuietReporter, TerminalReporter
        from envbuild.metaflow.debug_reporter import DebugReporter
        from envbuild.reporter import Several

        shown = QuietReporter() if self.echo is echo_dev_null else TerminalReporter()
        return Several(shown, DebugReporter()) if debugging() else shown


def launched(
    flow: Any, datastore: str, root: str, echo: Callable[[str], Any], *, spins: bool = False
) -> tuple[dict[str, Entrance | Late], dict[str, Away], dict[str, Late]]:
    """Make the environments of a flow exist: how tasks enter them, here, elsewhere, and when they come back.

    Errors are said here, in full, and end the program with envbuild's exit codes.

    Args:
        flow: Metaflow's flow, whose decorators are initialized.
        datastore: The type of its datastore.
        root: Where that is.
        echo: Says a line.
        spins: See ``Launch``.
    """
    try:
        launch = Launch(flow, datastore, echo, spins=spins)
        return _launched(launch, datastore, root)
    except EnvbuildError as error:
        fail(error)


def fail(error: EnvbuildError, *, as_json: bool = False) -> NoReturn:
    """Say an error and end: Metaflow's own screen would take the stars out of versions.

    Args:
        error: What went wrong.
        as_json: Whether the command was asked for JSON; then stdout has it too.
    """
    from envbuild.cli.errors import say_error, show_error

    sys.stdout.flush()
    (show_error if as_json else say_error)(error)
    raise SystemExit(error.exit_code)


def imported(home: Path) -> tuple[Path, Path]:
    """What steps import besides their own packages, in front and behind; this process holds it as long as it lives."""
    from envbuild.machine.in_use import hold

    while True:
        folder, behind = importable(home / "cache"), trampolines(home / "cache")
        if all([hold(home, folder), hold(home, behind.parent)]):  # else a collection was faster
            return folder, behind


def _launched(
    launch: Launch, datastore: str, root: str
) -> tuple[dict[str, Entrance | Late], dict[str, Away], dict[str, Late]]:
    from envbuild.machine.virtual import current_platform

    remote = {step.name for step in launch.flow.steps if step.remote is not None}
    with alone(launch.project, launch.flow, os.environ, launch.echo):
        files = recipe_files(launch.project, launch.flow, launch.surroundings, current_platform(), launch.locate)
        if debugging():
            for item in files:
                say(f"asked: {item.needed.said}: {shown_path(item.file)}\n{item.file.read_text(encoding='utf-8')}")
        here = [item for item in files if not remote.issuperset(item.needed.steps)]
        there = present(launch, here)
        away = sent(launch, files, datastore, root) if remote else {}
    folder, behind = imported(find_home(os.environ))
    known: dict[str, Entrance | Late] = {
        step: entrance(environment, folder, behind, f"{launch.flow.name}/{step}")
        for item, environment in zip(here, there, strict=True)
        for step in item.needed.steps
        if step not in remote
    }
    looked_up, back = late(launch, away, folder, behind)
    return known | looked_up, away, back
