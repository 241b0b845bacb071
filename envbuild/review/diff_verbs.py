"""``diff`` as a verb of a session, and the text that ``git diff`` shows of a lock."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from envbuild.errors import InvalidInput, UsageError
from envbuild.names import Source
from envbuild.review.sides import Side, sides_of

if TYPE_CHECKING:
    from envbuild.lock import Lock
    from envbuild.locks.locking import Locked
    from envbuild.projects.project import Project
    from envbuild.recipe import Recipe
    from envbuild.reporter import Reporter
    from envbuild.review.comparison import Compared, Diff
    from envbuild.review.git import Repository
    from envbuild.review.installing import Installed
    from envbuild.review.merging import Outcome

_PARTIAL = frozenset({"id", "prefix", "step"})
"""Sources that stand for one platform of something."""


class DiffVerbs:
    """The verbs; ``envbuild.session.Session`` is one of these."""

    _environ: Mapping[str, str]
    _start: Path
    _reporter: Reporter
    _offline: bool
    _stores: tuple[str, ...]

    if TYPE_CHECKING:

        def __init__(
            self,
            start: Path | str | None = None,
            *,
            reporter: Reporter | None = None,
            offline: bool = False,
            stores: Sequence[str] = (),
            environ: Mapping[str, str] | None = None,
        ) -> None: ...

        def lock(self, *recipes: Path | str, write: bool = True) -> tuple[Locked, ...]: ...  # noqa: D102

        def project(self, recipe: Path | None = None) -> Project: ...  # noqa: D102  it is the session's

        def _source(self, source: Path | str) -> Source: ...

        def _whole(self, source: Source) -> tuple[str, Lock]: ...

        def _lock_file(self, source: Source) -> tuple[Path, Lock]: ...

    def diff(self, *words: str) -> Diff:
        """What differs between two states of recipes and locks; see ``envbuild.review.sides`` for what they may be.

        Args:
            words: None for HEAD and the working tree; one for that and the working tree, or a range; else two.

        Raises:
            UsageError: ``no-revision``, ``no-repository``; for one thing that has no counterpart.
            InvalidInput: When there is no such recipe, lock, name, id or prefix.
        """
        from envbuild.review.comparison import Diff
        from envbuild.review.git import Repository

        repository = Repository(self._start, self._environ)
        before, after = sides_of(
            words, repository, self._source, os.path.isfile, lambda text: _inside(repository, text)
        )
        if before.kind != "source" and after.kind != "source":
            return self._trees(repository, before, after)
        return Diff(before=before.said, after=after.said, compared=(self._pair(repository, before, after),))

    def _trees(self, repository: Repository, before: Side, after: Side) -> Diff:
        from envbuild.review.comparison import Diff
        from envbuild.review.trees import Tree, TreeDiff

        root = repository.needed(before.said)
        place = after.path or before.path
        project = self.project(root / place) if place is not None else self.project()
        trees = [Tree(repository, project, side.commit) for side in (before, after)]
        work = TreeDiff(repository, project, *trees)
        only = (before.path or place or "", place) if place is not None else None
        if only is not None and not any(tree.units(path) for tree, path in zip(trees, only, strict=True)):
            raise InvalidInput(
                f"there is no recipe {place} in {before.said} or {after.said}",
                reference="missing-file",
                hint="paths of revisions begin at the repository's root",
            )
        compared = tuple(work.compared(only))
        return Diff(before=before.said, after=after.said, compared=compared, unchanged=work.unchanged)

    def _pair(self, repository: Repository, before: Side, after: Side) -> Compared:
        """Two things of which one at least is no file of a revision."""
        from envbuild.review.comparing import compare
        from envbuild.review.requests import request_changes

        (old, old_recipe), (new, new_recipe) = (self._held_by(repository, side) for side in (before, after))
        partial = any(side.source is not None and side.source.kind in _PARTIAL for side in (before, after))
        return compare(
            f"{before.said} -> {after.said}",
            old,
            new,
            requests=request_changes(old_recipe, new_recipe),
            common=partial,
        )

    def _held_by(self, repository: Repository, side: Side) -> tuple[Lock, Recipe | None]:
        """The lock of one side, and its recipe where it has one."""
        from envbuild.projects.project import load_recipe

        if side.source is None:
            return self._of_revision(repository, side)
        if side.source.kind != "recipe":
            return self._whole(side.source)[1], None
        path, lock = self._lock_file(side.source)
        return lock, load_recipe(self.project(path), path)

    def _of_revision(self, repository: Repository, side: Side) -> tuple[Lock, Recipe | None]:
        from envbuild.locks.lockfile import parse_lock
        from envbuild.projects.project import recipe_from
        from envbuild.review.trees import Tree

        root = repository.needed(side.said)
        if side.path is None:
            raise UsageError(
                f"{side.said} is a whole revision: which of its recipes is meant?",
                hint=f"envbuild diff {side.said}:recipes/train.yaml …",
            )
        project = self.project(root / side.path)
        tree = Tree(repository, project, side.commit)
        unit = next(iter(tree.units(side.path).values()), None)
        if unit is None or unit.lock is None:
            raise InvalidInput(f"{side.said} has no lock of {side.path}", reference="no-lock")
        with repository.blobs() as blobs:
            lock = parse_lock(tree.read(unit.lock, blobs), f"{side.said}:{unit.lock[0]}")
            recipe = recipe_from(project, root / unit.recipe[0], tree.read(unit.recipe, blobs)) if unit.recipe else None
        return lock, recipe

    def merge_lock(self, base: Path, ours: Path, theirs: Path, path: str) -> Outcome:
        """Merge a lock that two branches changed, as git's driver; see ``envbuild.review.merging``.

        Args:
            base: The file with the bytes where both began.
            ours: That of one side; the result goes there.
            theirs: That of the other.
            path: The lock, as git has it.
        """
        from envbuild.review.merging import merge_files

        # What git tells of its repository is no word to those that a solve starts in repositories of their own.
        inner = {name: value for name, value in self._environ.items() if not name.startswith("GIT_")}

        def again(recipe: Path) -> Lock:
            session = type(self)(
                recipe.parent,
                reporter=self._reporter,
                offline=self._offline,
                stores=self._stores,
                environ=inner,
            )
            (locked,) = session.lock(recipe, write=False)
            return locked.lock

        return merge_files(base, ours, theirs, path, self._environ, again)

    def install_git(self, folder: Path | None = None) -> Installed:
        """Have git show and merge locks by what they mean; see ``envbuild.review.installing``.

        Raises:
            UsageError: ``no-repository``.
        """
        from envbuild.review.installing import install

        return install(self._start if folder is None else folder, self._environ)


def _inside(repository: Repository, text: str) -> str:
    """A file's path as git has it.

    Raises:
        UsageError: ``no-repository``.
    """
    root = repository.needed("revision")
    path = repository.inside(Path(os.path.abspath(text)))
    if path.startswith("../"):
        raise UsageError(f"{text} is not in the repository {root}", reference="no-repository")
    return path
