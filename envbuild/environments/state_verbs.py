"""``state`` and ``keep`` as verbs of a session: how far an environment is from being used here, and that it is found.

Rules of the file: solves and fetches nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from envbuild.digest import Digest
from envbuild.machine.home import find_home
from envbuild.package import Platform
from envbuild.value import dataclass

if TYPE_CHECKING:
    from envbuild.environments.closures import Closures
    from envbuild.environments.realizing import Realizer
    from envbuild.environments.source_verbs import Looked
    from envbuild.lock import Lock
    from envbuild.machine.home import Home
    from envbuild.projects.project import Project


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """An environment that is locked, and what there is of it.

    Attributes:
        said: What people call it.
        state: ``present``: a prefix of this machine holds it. ``cached``: all its packages are in the home's store or
            in a shared one. ``resolved``: neither; it is locked.
        packages: How many.
        prefixes: Folders on this machine that hold it.
        bases: What it was derived from, where its lock is at hand and says so.
    """

    said: str
    platform: Platform
    request: Digest
    environment: Digest
    state: Literal["resolved", "cached", "present"]
    packages: int
    prefixes: tuple[Path, ...] = ()
    bases: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """As every command takes it."""
        return f"{self.request}:{self.environment}"


class StateVerbs:
    """The verbs; ``envbuild.session.Session`` is one of these."""

    _environ: Mapping[str, str]

    if TYPE_CHECKING:

        def project(self, recipe: Path | None = None) -> Project: ...  # noqa: D102  it is the session's

        def _look(self, source: Path | str, platform: str | None) -> Looked: ...

        def _realizer(self, project: Project) -> Realizer: ...

        def _home(self) -> Home: ...

        def _closures(self, home: Home) -> Closures: ...

    def keep(self, lock: Lock) -> None:
        """Have a lock's environments found by their ids on this machine, also when nothing was realized of it.

        Raises:
            NoSpaceError: When the home cannot be written.
        """
        self._closures(self._home()).keep(lock)

    def state(self, source: Path | str, *, platform: str | None = None) -> State:
        """How far an environment is from being used here.

        Args:
            source: Any SOURCE; of a recipe its lock as it is.
            platform: As in ``show``.

        Raises:
            InvalidInput: When there is no such thing; ``no-lock`` for a recipe without one.
            UnsatisfiableError: ``no-platform``.
        """
        from envbuild.environments.inventory import prefixes_of
        from envbuild.environments.realized import Wanted

        looked = self._look(source, platform)
        lock, environment = looked.lock, looked.environment
        prefixes = prefixes_of(find_home(self._environ), environment.id)
        cached = False
        if not prefixes:
            recipe = looked.recipe or Path(looked.name)
            wanted = Wanted(recipe=recipe, name=looked.name, lock=lock, environment=environment, files=(), link=None)
            rows = self._realizer(self.project(looked.recipe)).plan([wanted], price=False).rows
            cached = not any(row.state in {"miss", "needs build"} for row in rows if row.kind != "link")
        return State(
            said=looked.name,
            platform=environment.platform,
            request=lock.request,
            environment=environment.id,
            state="present" if prefixes else "cached" if cached else "resolved",
            packages=len(environment.names()),
            prefixes=prefixes,
            bases=tuple(base.path for base in lock.bases),
        )
