"""A check of one project: its recipes one after the other, what was good before left alone.

Rules of the file: no lock is kept longer than it is looked at; only what ``--fix`` asks for is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from envbuild.environments.affected import head_of
from envbuild.errors import EnvbuildError
from envbuild.locks.locking import write_lock
from envbuild.locks.place import lock_path
from envbuild.policy import Policy
from envbuild.projects.project import Project
from envbuild.recipe import UrlSource
from envbuild.request import Request
from envbuild.review.before import Before
from envbuild.review.checking import Checker
from envbuild.review.findings import Finding, found
from envbuild.review.git import Repository
from envbuild.review.known_good import KnownGood, standing
from envbuild.review.policy import PolicyBook

if TYPE_CHECKING:
    from envbuild.machine.workspace import Workspace
    from envbuild.review.named_bases import NamedBases


class Run:
    """One project.

    Args:
        project: The project.
        policy: What is held against locks: the project's own, and that of a project around it.
        environ: Variables, for git.
        now: The time at which ages are counted.
        cache: The folder of what was found good; None to remember nothing.
        fix: Whether locks are written as they should be.

    Attributes:
        remembered: How many recipes were left alone; ``fixed``: the locks that were written.
    """

    def __init__(
        self,
        project: Project,
        policy: Policy,
        environ: Mapping[str, str],
        now: datetime,
        cache: Path | None,
        *,
        fix: bool,
    ) -> None:
        self.project = project
        self._policy = policy
        self._environ = environ
        self.checker = Checker(project, PolicyBook(policy, now), environ)
        self.remembered = 0
        self.fixed: list[str] = []
        self._known = KnownGood(cache, project.root, standing(project.config, policy))
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

    def origins(
        self, recipes: Sequence[Path], base: str | None, workspace: Workspace
    ) -> tuple[int, tuple[Finding, ...]]:
        """What channels and indices say of the lines that have changed.

        Args:
            recipes: After ``all`` was asked of them.
            base: The revision; None for where this branch left the one it goes into.
            workspace: This machine's.

        Returns:
            How many packages were asked about, and the findings.

        Raises:
            UsageError: ``no-base``.
        """
        from envbuild.review.origins import Origins

        origins = Origins(workspace)
        before = Before(Repository(self.project.root, self._environ), base, self.project.root)
        with before:
            for recipe in recipes:
                file = lock_path(recipe)
                data = self.checker.lock_bytes(recipe)
                if data is None or before.same(file, data):
                    continue
                again = self.checker.read_again(recipe, data)
                if again is not None:
                    lock, request = again
                    origins.add(
                        self.checker.label(file),
                        data,
                        lock,
                        before.lines(file),
                        _promised(request),
                        self.checker.refused(recipe),
                    )
        return origins.asked, tuple(origins.ask())

    def bases(self, recipes: Sequence[Path], named: NamedBases) -> Iterator[Finding]:
        """What has become of the names of bases.

        Args:
            recipes: After ``all`` was asked of them.
            named: Asks the store.
        """
        for recipe in recipes:
            data = self.checker.lock_bytes(recipe)
            if data is None or not _has_named_base(data, self.checker.label(lock_path(recipe))):
                continue
            again = self.checker.read_again(recipe, data)
            if again is not None:
                yield from named.look(recipe, self.checker.label(recipe), again[0])

    def unasked(self, recipes: Sequence[Path]) -> Iterator[Finding]:
        """The bases that the policy wants signed, where nobody was asked whether they are."""
        if not self._policy.signed_base:
            return
        for recipe in recipes:
            data = self.checker.lock_bytes(recipe)
            if data is not None and _has_named_base(data, self.checker.label(lock_path(recipe))):
                yield found(
                    "unchecked-base",
                    "the policy wants its base signed, and nobody was asked",
                    self.checker.label(recipe),
                    hint="envbuild check --online",
                )


def _has_named_base(data: bytes, file: str) -> bool:
    """Whether a lock extends a name; one that cannot be read was told."""
    if b"\nbases:" not in data:
        return False
    try:
        return any(label.startswith("name:") for label in head_of(data, file).bases)
    except (EnvbuildError, ValueError, KeyError, TypeError, StopIteration):
        return False


def _promised(request: Request) -> dict[str, str]:
    """The sha256 that a recipe itself states of what it names by address."""
    said: dict[str, str] = {}
    for part in request.platforms:
        for item in part.conda:
            if item.url and item.sha256:
                said[item.url] = item.sha256
        for requirement in part.pypi:
            source = requirement.source
            if isinstance(source, UrlSource) and source.sha256:
                said[source.url] = source.sha256
    return said
