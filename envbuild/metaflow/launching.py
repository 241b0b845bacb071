"""Before a run: the environments of all steps are locked, made to exist, and each step learns how its tasks enter.

What is there already is found by stamps: a run with nothing to do reads a few small files. Else all environments are
locked in one graph and realized in one graph, so that equal work is done once. What goes wrong is told of decorators:
the recipes of a run are nobody's files.

Rules of the file: wires; prints what a user must know, to the stream that Metaflow gives.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from envbuild.environments.environment import command_in, environment_variables
from envbuild.environments.stamp import read_stamp, stamp_path
from envbuild.errors import EnvbuildError, InvalidInput, Issue
from envbuild.machine.home import find_home
from envbuild.metaflow.collecting import Flow, Locate, collected, locator
from envbuild.metaflow.emitting import RecipeFile, recipe_files
from envbuild.metaflow.importable import importable, python_path
from envbuild.metaflow.names import TOLD
from envbuild.metaflow.writing import Surroundings
from envbuild.projects.project import Project, find_project, shown_path
from envbuild.value import dataclass, replace

if TYPE_CHECKING:
    from envbuild.reporter import Reporter
    from envbuild.session import Session

_PLACE = re.compile(r"(?P<file>[^\s:]+\.yaml):(?P<line>[0-9]+)(?::[0-9]+)?")

STAMP = ("metaflow",)
"""The options that a run's stamps are kept under."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Present:
    """An environment that exists.

    Attributes:
        variables: The recipe's.
    """

    prefix: Path
    name: str
    platform: str
    environment: str
    request: str
    variables: Mapping[str, str]
    python: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrance:
    """How a task of a step starts in its environment.

    Attributes:
        python: The interpreter.
        before: Words of the command before it.
        variables: What is set, over what this process sees.
    """

    python: str
    before: tuple[str, ...]
    variables: tuple[tuple[str, str], ...]


class Launch:
    """What is known of a flow that is about to run.

    Args:
        flow: Metaflow's flow, whose decorators are initialized.
        datastore: The type of its datastore.
        echo: Says a line.

    Raises:
        InvalidInput: Every finding of every decorator.
    """

    def __init__(self, flow: Any, datastore: str, echo: Callable[[str], Any]) -> None:
        from metaflow.metaflow_config import ENVBUILD_REMOTE

        self.echo = echo
        self.flow: Flow = collected(flow, ENVBUILD_REMOTE)
        self.project: Project = find_project(self.flow.file)
        self.locate: Locate = locator(flow, self.flow.file)
        self.surroundings = _surroundings(self.project, datastore)
        for note in (*self.project.config.warnings, *self.flow.notes):
            echo(f"note: {note}")

    def session(self, folders: Iterable[Path]) -> Session:
        """A session for recipes in these folders, whose locks others have made before count unless somebody says no."""
        from envbuild.session import Session

        config = self.project.config
        flags = {"reuse-latest": "mine"} if config.origin("reuse-latest") == "default" else {}
        session = Session(self.flow.file.parent, reporter=self._reporter(), flags=flags)
        project = session.project(self.flow.file)
        for folder in folders:
            session.adopt(folder, project)
        return session

    def _reporter(self) -> Reporter:
        from metaflow.cli import echo_dev_null

        from envbuild.cli.render import QuietReporter, TerminalReporter

        return QuietReporter() if self.echo is echo_dev_null else TerminalReporter()


def entrances(flow: Any, datastore: str, echo: Callable[[str], Any]) -> dict[str, Entrance]:
    """Make the environments of a flow exist; how its tasks enter them, by step.

    Errors are said here, in full, and end the program with envbuild's exit codes.
    """
    try:
        launch = Launch(flow, datastore, echo)
        _refuse_remote(launch.flow)
        return _entrances(launch)
    except EnvbuildError as error:
        fail(error)


def fail(error: EnvbuildError) -> NoReturn:
    """Say an error and end: Metaflow's own screen would take the stars out of versions."""
    from envbuild.cli.errors import say_error

    sys.stdout.flush()
    say_error(error)
    raise SystemExit(error.exit_code)


def _entrances(launch: Launch) -> dict[str, Entrance]:
    from envbuild.machine.virtual import current_platform

    files = recipe_files(launch.project, launch.flow, launch.surroundings, current_platform(), launch.locate)
    home = find_home(os.environ)
    present = [None if item.moving else _stamped(home, item) for item in files]
    if not all(present):
        with told_of_decorators(files, launch.locate):
            present = list(_realized(launch, files))
    folder = importable(home / "cache")
    found = {}
    for item, there in zip(files, present, strict=True):
        assert there is not None
        for step in item.needed.steps:
            found[step] = _entrance(there, folder, f"{launch.flow.name}/{step}")
    return found


def _surroundings(project: Project, datastore: str) -> Surroundings:
    from metaflow.metaflow_config import ENVBUILD_NEEDS, get_pinned_conda_libs

    python = "%d.%d" % sys.version_info[:2]  # noqa: UP031
    named = os.environ.get("CONDA_CHANNELS", "")
    return Surroundings(
        python=project.config.python or python,
        interpreter=project.config.interpreter,
        channels=project.config.channels or (),
        conda_channels=tuple(item.strip() for item in named.split(",") if item.strip()),
        needs=get_pinned_conda_libs(python, datastore) if ENVBUILD_NEEDS else {},
    )


def _refuse_remote(flow: Flow) -> None:
    issues = tuple(
        Issue(
            message=f"@{step.remote} sends step {step.name} to another machine, where environments do not reach yet",
            reference="not-available",
            hint="run it here, or give it disabled=True and an image that has what it needs",
        )
        for step in flow.steps
        if step.remote is not None and step.asked is not None
    )
    if issues:
        raise InvalidInput.of(issues)


# What is there, and what has to be made


def _stamped(home: Path, item: RecipeFile) -> Present | None:
    """The environment of a recipe, when an earlier run made it and nothing has changed since."""
    stamp = read_stamp(stamp_path(home, item.file, STAMP))
    if stamp is None:
        return None
    known = stamp.summary
    return Present(
        prefix=Path(stamp.prefix),
        name=known["name"],
        platform=known["platform"],
        environment=known["environment"],
        request=known["request"],
        variables=known["variables"],
        python=str(Path(stamp.prefix, "bin", "python")),
    )


def _realized(launch: Launch, files: Sequence[RecipeFile]) -> Iterable[Present]:
    from envbuild.environments.realized import RealizeOptions
    from envbuild.locks.locking import LockOptions

    made = [item for item in files if not item.committed]
    session = launch.session({item.file.parent for item in files})
    for item in files:
        launch.echo(f"Environment of {item.needed.said} {_words(item)}")
    bases = {item.needed.asked.base.text for item in files if item.needed.asked.base is not None}
    recipes = [base for base in sorted(bases) if base.endswith((".yaml", ".yml")) and _has_lock(Path(base))]
    session.check(*map(Path, recipes), *(item.file for item in files if item.committed))
    if made:
        session.lock(*(item.file for item in made), options=LockOptions(upgrade_base=True))
    done = session.realize(*(item.file for item in files), mode="locked", options=RealizeOptions(stamp=STAMP))
    for item, realized in zip(files, done, strict=True):
        launch.echo(_closing(item, realized))
    return [
        Present(
            prefix=item.prefix,
            name=item.name,
            platform=item.platform,
            environment=item.environment,
            request=item.request,
            variables=dict(item.variables),
            python=str(item.prefix / "bin" / "python"),
        )
        for item in done
    ]


def _has_lock(recipe: Path) -> bool:
    from envbuild.locks.place import lock_path

    return lock_path(recipe).is_file()


def _words(item: RecipeFile) -> str:
    """What an environment needs of the world, in words."""
    from envbuild.cli.wording import count
    from envbuild.reading.places import redacted

    if item.committed:
        return f"as {shown_path(item.file)} and its lock say"
    base = item.needed.asked.base
    parts = []
    if base is not None:
        parts.append(f"what {Path(base.text).name if base.kind == 'recipe' else base.text} has")
    if item.channels:
        shown = ", ".join(map(redacted, item.channels))
        parts.append(f"{count(len(item.channels), 'channel').partition(' ')[2]} {shown}")
    if item.index:
        parts.append("package index")
    return f"needs {' and '.join(parts)}" if parts else "needs nothing but Python"


def _closing(item: RecipeFile, realized: Any) -> str:
    from envbuild.cli.wording import count, seconds

    if realized.present:
        return f"Environment of {item.needed.said} is there: {count(realized.packages, 'package')}"
    built = f", {realized.built} built" if realized.built else ""
    return (
        f"Environment of {item.needed.said} is ready: {count(realized.packages, 'package')}, "
        f"{realized.fetched} fetched{built}, {seconds(realized.milliseconds)}"
    )


class told_of_decorators:  # noqa: N801  used as a statement
    """Inside of it, errors that name a line of a recipe that a run has made name the decorator behind it instead."""

    def __init__(self, files: Sequence[RecipeFile], locate: Locate) -> None:
        self._files = {str(item.file): item for item in files if not item.committed}
        self._locate = locate

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, EnvbuildError):
            error.issues = tuple(map(self._told, error.issues))
            whole = self._told(
                Issue(message=error.message, reference=error.reference, where=error.where, hint=error.hint)
            )
            error.message, error.where, error.hint = whole.message, whole.where, whole.hint

    def _told(self, issue: Issue) -> Issue:
        issue = replace(issue, message=_PLACE.sub(self._instead, issue.message))
        where = issue.where
        item = self._files.get(os.path.abspath(where.file)) if where is not None else None
        if item is None or where is None:
            return issue
        by = item.said.get(where.line or 0)
        if by is None:
            return replace(issue, message=f"{item.needed.said}: {issue.message}")
        return replace(issue, message=f"{by}: {issue.message}", where=self._locate(by).where)

    def _instead(self, found: re.Match[str]) -> str:
        """The place of the decorator instead of one in a recipe that is nobody's file."""
        item = self._files.get(os.path.abspath(found["file"]))
        if item is None:
            return found[0]
        by = item.said.get(int(found["line"]))
        if by is None:
            return f"Metaflow, for {item.needed.said}"
        where = self._locate(by).where
        return f"{shown_path(Path(where.file))}:{where.line} ({by})" if where and where.line else str(by)


# How tasks enter


def _entrance(present: Present, folder: Path, step: str) -> Entrance:
    now = dict(os.environ)
    wanted = environment_variables(present.prefix, present.variables, now, present.name)
    wanted["PYTHONPATH"] = python_path(folder, now.get("PYTHONPATH"))
    wanted[TOLD] = _told(present, step)
    gone = [name for name in now if name not in wanted]
    env = [shutil.which("env") or "env", *(word for name in gone for word in ("-u", name))] if gone else []
    return Entrance(
        python=present.python,
        before=(*env, *command_in(present.prefix, [])),
        variables=tuple((name, value) for name, value in wanted.items() if now.get(name) != value),
    )


def _told(present: Present, step: str) -> str:
    import json

    told = {
        "step": step,
        "platform": present.platform,
        "request": present.request,
        "environment": present.environment,
        "prefix": str(present.prefix),
    }
    return json.dumps(told)
