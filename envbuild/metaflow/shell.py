"""What Metaflow's commands about environments share: a session that knows Metaflow's settings, screens, exit codes.

Rules of the file: results go to stdout, everything else to stderr, as with the command line of envbuild.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from envbuild.errors import EnvbuildError, UsageError
from envbuild.metaflow import settings
from envbuild.metaflow.launching import fail
from envbuild.projects.project import Project, find_project
from envbuild.value import replace

if TYPE_CHECKING:
    from envbuild.cli.screen import Screen
    from envbuild.environments.state_verbs import State
    from envbuild.lock import LockedEnvironment
    from envbuild.locks.locking import Locked
    from envbuild.session import Session

_Command = TypeVar("_Command", bound=Callable[..., Any])


def told(command: _Command) -> _Command:
    """A command whose errors are said as those of envbuild are, with its exit codes."""

    @functools.wraps(command)
    def run(*arguments: Any, **options: Any) -> Any:
        try:
            result = command(*arguments, **options)
            sys.stdout.flush()
            return result
        except EnvbuildError as error:
            fail(error, as_json=bool(options.get("as_json") or arguments[0].as_json))
        except BrokenPipeError:  # whoever reads our results has gone (``| head``), which is no failure
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            raise SystemExit(0) from None
        except OSError as error:
            from envbuild.cli.errors import show_os_error

            raise SystemExit(show_os_error(error)) from None
        except KeyboardInterrupt:
            if (sending := sys.modules.get("envbuild.store.sending")) is not None:
                sending.cancel_all()
            sys.stderr.write("interrupted\n")
            raise SystemExit(130) from None

    return run  # type: ignore[return-value]


class Desk:
    """One command about environments: what it works with.

    Args:
        screen: What people see.
        start: Where the project is looked for; the working folder by default.
        local_only: Ask no shared store.
    """

    def __init__(self, screen: Screen, start: Path | None = None, *, local_only: bool = False) -> None:
        self.screen = screen
        self.start = start or Path.cwd()
        found = find_project(self.start, settings.environ())
        config = replace(found.config, stores=(), own_stores=()) if local_only else found.config
        self.project = Project(root=found.root, config=config)
        for note in settings.notes(self.project):
            screen.say(f"note: {note}")

    def session(self, *folders: Path) -> Session:
        """A session with the settings of Metaflow, to whose project some folders belong.

        Args:
            folders: Of recipes; what these name on the machine may lie anywhere, for somebody typed it.
        """
        from envbuild.session import Session

        session = Session(
            self.start,
            reporter=self.screen.reporter,
            flags=settings.flags(self.project),
            environ=settings.environ(),
        )
        flagged = session.project().config
        config = replace(flagged, stores=self.project.config.stores, own_stores=self.project.config.own_stores)
        session.adopt(self.start, Project(root=self.project.root, config=config))
        free = Project(root=self.project.root, config=replace(config, allow_outside_paths=True))
        for folder in folders:
            session.adopt(folder, free)
        return session


@contextmanager
def screen(given: Any, quiet: bool, as_json: bool) -> Iterator[Screen]:
    """What people see of a command; ended in any case.

    Args:
        given: What the group of commands was given: ``quiet`` and ``as_json``.
        quiet: What the command itself was given.
        as_json: Likewise.
    """
    from envbuild.cli.screen import Screen

    made = Screen(quiet=quiet or given.quiet, as_json=as_json or given.as_json)
    try:
        yield made
    finally:
        made.close()


def platforms_of(words: Sequence[str]) -> tuple[Any, ...]:
    """Platforms that were typed.

    Raises:
        UsageError: ``unknown-platform``.
    """
    from envbuild.package import PLATFORMS, Platform

    for word in words:
        if word not in PLATFORMS:
            raise UsageError(f"{word[:40]!r} is no platform: {', '.join(PLATFORMS)}", reference="unknown-platform")
    return tuple(dict.fromkeys(Platform(word) for word in words))


def send(session: Session, project: Project, wanted: Sequence[tuple[Path, Any]], shown: Screen) -> None:
    """Have environments whole in each shared store that is written: who looks them up elsewhere asks nobody else.

    Args:
        session: What locked them.
        project: Whose stores count.
        wanted: Recipes, and for which platforms.
        shown: Told of each.

    Raises:
        UnreachableError: When a store does not answer.
        EnvbuildError: When something that is missing cannot be fetched or built.
    """
    from envbuild.environments.stores import chosen_stores

    for store in chosen_stores(project.config, project.root) if wanted else ():
        if store.written:
            blobs = sum(item.blobs for item in session.send(wanted, store.url))
            shown.say(f"{store.name} has all of it: {blobs} sent")


def one_alias_each(aliases: Sequence[str], environments: int) -> None:
    """Refuse names for several environments before anything is done.

    Raises:
        UsageError: ``several-environments``. InvalidInput: ``bad-alias``.
    """
    from envbuild.names import parse_name

    for alias in aliases:
        parse_name(alias)
    if aliases and environments != 1:
        raise UsageError(
            f"--alias names one environment, and these are {environments}"
            if environments
            else "--alias names an environment, and these steps have none of their own",
            reference="several-environments",
            hint="name the step that is meant: environment resolve STEP --alias NAME",
        )


def show_resolved(screen: Screen, locks: Iterable[Locked], platforms: Sequence[str], *, dry_run: bool = False) -> None:
    """Each environment on stdout, its id first; what became of it on stderr."""
    from envbuild.cli.wording import count

    for item in locks:
        for environment in environments_of(item, platforms):
            if not screen.as_json:
                screen.result(f"{item.lock.request}:{environment.id} {environment.platform}")
            done = "Would lock" if dry_run else "Resolved" if item.written else "Resolved already:"
            screen.say(f"{done} {environment.platform}, {count(len(environment.names()), 'package')}")


def environments_of(item: Locked, platforms: Sequence[str]) -> Iterator[LockedEnvironment]:
    """The environments of a lock that are for some platforms; all when none is named."""
    return (found for found in item.lock.platforms if not platforms or found.platform in platforms)


def resolved_trees(item: Locked, platforms: Sequence[str], **more: Any) -> list[dict[str, Any]]:
    """The environments of a lock as JSON."""
    return [
        {
            "id": f"{item.lock.request}:{environment.id}",
            "platform": environment.platform,
            "packages": len(environment.names()),
            "new": item.written,
            **more,
        }
        for environment in environments_of(item, platforms)
    ]


def show_states(screen: Screen, rows: Sequence[tuple[str, str, State | None]]) -> None:
    """What there is of some environments, a line each; without titles when it is quiet.

    Args:
        screen: Where.
        rows: What it is called (the steps, what was typed), its platform, and its state; None: unresolved.
    """
    if screen.document({"environments": [_state_tree(*row) for row in rows]}):
        return
    lines = [
        (
            said,
            platform,
            state.state if state is not None else "unresolved",
            state.id if state is not None else "-",
            str(state.packages) if state is not None else "-",
            ",".join(state.bases) if state is not None and state.bases else "-",
        )
        for said, platform, state in rows
    ]
    if screen.quiet:
        for line in lines:
            screen.result(" ".join(line))
        return
    screen.table(("environment", "platform", "state", "id", "packages", "derived from"), lines)
    for _, _, state in rows:
        for prefix in state.prefixes if state is not None else ():
            screen.say(f"{state.said if state is not None else ''} is present: {prefix}")


def _state_tree(said: str, platform: str, state: State | None) -> dict[str, Any]:
    known = {"environment": said, "platform": platform if platform != "-" else None}
    if state is None:
        return {**known, "state": "unresolved", "id": None, "packages": None, "derived-from": [], "prefixes": []}
    return {
        **known,
        "state": state.state,
        "id": state.id,
        "packages": state.packages,
        "derived-from": list(state.bases),
        "prefixes": [str(prefix) for prefix in state.prefixes],
    }
