"""A check of one project: its recipes one after the other, what was good before left alone.

Rules of the file: no lock is kept longer than it is looked at; only what ``--fix`` asks for is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from envbuild.locks.locking import write_lock
from envbuild.locks.place import lock_path
from envbuild.projects.project import Project
from envbuild.review.checking import Checker
from envbuild.review.findings import Finding
from envbuild.review.known_good import KnownGood, standing
from envbuild.review.policy import PolicyBook


class Run:
    """One project.

    Args:
        project: The project.
        environ: Variables, for git.
        now: The time at which ages are counted.
        cache: The folder of what was found good; None to remember nothing.
        fix: Whether locks are written as they should be.

    Attributes:
        remembered: How many recipes were left alone; ``fixed``: the locks that were written.
    """

    def __init__(
        self, project: Project, environ: Mapping[str, str], now: datetime, cache: Path | None, *, fix: bool
    ) -> None:
        self.project = project
        self.checker = Checker(project, PolicyBook(project.config.policy, now), environ)
        self.remembered = 0
        self.fixed: list[str] = []
        self._known = KnownGood(cache, project.root, standing(project.config))
        self._fix = fix

    def all(self, recipes: Sequence[Path]) -> Iterator[Finding]:
        """The findings of some recipes."""
        for recipe in recipes:
            yield from self._one(recipe)
        self._known.save()

    def _one(self, recipe: Path) -> Iterator[Finding]:
        around = tuple(self.checker.surroundings(recipe))
        if around:
            yield from around
            return
        label = self.checker.label(recipe)
        before = self._known.files(label)
        if before is not None and all(self.checker.digest(name) == digest for name, digest in before):
            self.remembered += 1
            yield from self._known.remarks(label)
            return
        self._known.forget(label)
        checked = self.checker.check(recipe)
        if checked.files is not None:
            self._known.keep(label, checked.files, checked.findings)
        if self._fix and checked.text is not None and checked.lock is not None:
            write_lock(recipe, checked.lock)
            self.fixed.append(self.checker.label(lock_path(recipe)))
        fixed = self._fix and checked.text is not None
        yield from (item for item in checked.findings if not (fixed and item.fixable))
