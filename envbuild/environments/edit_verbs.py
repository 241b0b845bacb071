"""``add`` and ``remove-package`` as verbs of a session: a recipe's text is changed, and locked.

Rules of the file: what the new text is, ``envbuild.reading.edit`` says; a recipe whose lock fails is what it was.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from envbuild.errors import EnvbuildError
from envbuild.locks.locking import Locked, LockOptions, read_lock
from envbuild.projects.checkout import edited
from envbuild.projects.project import Project, make_request, shown_path
from envbuild.request import INHERITED

if TYPE_CHECKING:
    from envbuild.reporter import Reporter


class EditVerbs:
    """The verbs; ``envbuild.session.Session`` is one of these."""

    _reporter: Reporter
    _projects: dict[Path, Project]
    _locked: dict[Path, Locked]

    if TYPE_CHECKING:

        def project(self, recipe: Path | None = None) -> Project: ...  # noqa: D102  it is the session's

        def _lock(self, recipe: Path, options: LockOptions, *, write: bool = True) -> Locked: ...

    def add(
        self,
        recipe: Path | str,
        requirements: Sequence[str],
        *,
        section: str | None = None,
        target: str | None = None,
        lock: bool = True,
    ) -> Locked | None:
        """Add requirements to a recipe's text (``envbuild.reading.edit``) and lock it. None when nothing was locked."""
        from envbuild.reading.edit import add_requirements

        path = Path(os.path.abspath(recipe))
        chosen = section or ("conda" if self._interpreter(path) == "conda" else "pypi")
        return self._edit(
            path,
            lambda text: add_requirements(text, requirements, ecosystem=chosen, platform=target, file=shown_path(path)),
            target,
            lock=lock,
        )

    def _interpreter(self, recipe: Path) -> str:
        """Where a recipe's Python comes from; of one that takes it from a named base, as its lock has it."""
        interpreter = make_request(self.project(recipe), recipe)[0].interpreter
        if interpreter != INHERITED:
            return interpreter
        lock = read_lock(recipe)
        return lock.platforms[0].interpreter if lock is not None and lock.platforms else interpreter

    def remove_package(
        self,
        recipe: Path | str,
        names: Sequence[str],
        *,
        section: str | None = None,
        target: str | None = None,
        lock: bool = True,
    ) -> Locked | None:
        """Remove requirements from a recipe's text and lock it. None when nothing was locked."""
        from envbuild.reading.edit import remove_requirements

        path = Path(os.path.abspath(recipe))
        return self._edit(
            path,
            lambda text: remove_requirements(text, names, ecosystem=section, platform=target, file=shown_path(path)),
            None,
            lock=lock,
        )

    def _edit(self, recipe: Path, change: Callable[[str], str], target: str | None, *, lock: bool) -> Locked | None:
        """Change a recipe's text and lock it. When that fails, the recipe is what it was."""
        with edited(recipe, change, self.project(recipe).config.recipes):
            self._projects.clear()
            self._locked.clear()
            try:
                locked = self._lock(recipe, LockOptions()) if lock else None
            except EnvbuildError:
                self._reporter.note(
                    f"{shown_path(recipe)} is as it was before; the lines named below are what was tried"
                )
                raise
        if (
            target is not None
            and locked is not None
            and target not in {part.platform for part in locked.lock.platforms}
        ):
            self._reporter.note(f"{shown_path(recipe)} is not for {target}: what was added there has no effect")
        return locked
