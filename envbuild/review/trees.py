"""Recipes and locks of a revision or of the working tree, and how two of these differ.

A recipe and its lock are one unit, by the path that both share: ``recipes/train``. What has the same ids on both sides
is passed over unread; the rest is read, compared and forgotten one unit after the other. A lock that stands under
another name with the same bytes was renamed.

Rules of the file: reads; a unit that cannot be read is told as that, and stops no other.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from envbuild.errors import EnvbuildError, InvalidInput
from envbuild.lock import Lock
from envbuild.locks.lockfile import parse_lock
from envbuild.projects.project import Project, recipe_from
from envbuild.projects.recipe_files import is_recipe_name
from envbuild.recipe import Recipe
from envbuild.review.comparing import compare
from envbuild.review.comparison import Compared, State
from envbuild.review.git import Repository, blob_id
from envbuild.review.git_objects import LARGEST, Blobs
from envbuild.review.requests import RequestChange, request_changes
from envbuild.value import dataclass, replace

MOST_KNOWN = 10_000
"""Packages that are kept while locks are read: those of a team share most of them."""

_LOCK = ".lock.yaml"
_RECIPES = (".yaml", ".yml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A recipe and its lock in one tree: paths as git has them, and the ids of what is there.

    Attributes:
        recipe: Path and id of the recipe; None when there is none. ``lock`` likewise.
    """

    recipe: tuple[str, str] | None = None
    lock: tuple[str, str] | None = None

    @property
    def ids(self) -> tuple[str | None, str | None]:
        """What decides whether it is the same."""
        return (self.recipe[1] if self.recipe else None, self.lock[1] if self.lock else None)


class Tree:
    """One revision's recipes and locks, or those of the working tree.

    Args:
        repository: Where they are.
        project: Whose they are; its configuration says where recipes lie.
        commit: The revision; None for the working tree.
    """

    def __init__(self, repository: Repository, project: Project, commit: str | None) -> None:
        assert repository.root is not None
        self._repository = repository
        self._root = repository.root
        self._project = project
        self._commit = commit
        self.below = repository.inside(project.root)

    def units(self, only: str | None = None) -> dict[str, Unit]:
        """Every recipe and lock, by the path that both share.

        Args:
            only: The path of one recipe or lock.
        """
        if self._commit is not None:
            ids = {item.path: item.blob for item in self._repository.files(self._commit, self.below)}
        else:
            length = self._repository.hash_length()
            names = self._repository.working_files(self.below, *_RECIPES)
            ids = {path: blob_id(data, length) for path in names if (data := self._bytes(path)) is not None}
        found: dict[str, Unit] = {}
        for path, blob in ids.items():
            if path.endswith(_LOCK):
                found[path.removesuffix(_LOCK)] = Unit(lock=(path, blob))
        recipes = posixpath.normpath(posixpath.join(self.below, Path(self._project.config.recipes).as_posix()))
        for path, blob in ids.items():
            stem, ending = posixpath.splitext(path)
            if ending in _RECIPES and not path.endswith(_LOCK) and (stem in found or _is_recipe(path, recipes)):
                unit = found.get(stem, Unit())
                if unit.recipe is None or ending == _RECIPES[0]:
                    found[stem] = Unit(recipe=(path, blob), lock=unit.lock)
        if only is not None:
            stem = stem_of(only)
            return {stem: found[stem]} if stem in found else {}
        return found

    def read(self, place: tuple[str, str], blobs: Blobs) -> bytes:
        """The bytes of a recipe or lock.

        Raises:
            InvalidInput: When they are not there any more, or too many.
        """
        path, blob = place
        if self._commit is not None:
            return blobs.read(blob)
        data = self._bytes(path)
        if data is None:
            raise InvalidInput(f"{path} is not there any more", reference="missing-file")
        return data

    def _bytes(self, path: str) -> bytes | None:
        file = self._root / path
        try:
            if file.is_symlink() or not file.is_file():
                return None
            with file.open("rb") as stream:
                return stream.read(LARGEST + 1)
        except OSError:
            return None


def stem_of(path: str) -> str:
    """What a recipe and its lock share of their paths."""
    return path.removesuffix(_LOCK) if path.endswith(_LOCK) else posixpath.splitext(path)[0]


def _is_recipe(path: str, recipes: str) -> bool:
    if recipes == ".":
        return is_recipe_name(Path(path))
    return path.startswith(f"{recipes}/") and is_recipe_name(Path(path.removeprefix(f"{recipes}/")))


class TreeDiff:
    """Two trees held against each other.

    Args:
        repository: Where both are.
        project: Whose recipes they are.
        before: The old one.
        after: The new one.
    """

    def __init__(self, repository: Repository, project: Project, before: Tree, after: Tree) -> None:
        self._repository = repository
        self._project = project
        self._before = before
        self._after = after
        self.unchanged = 0
        self._known: dict[tuple[str, str], Any] = {}

    def compared(self, only: tuple[str, str] | None = None) -> Iterator[Compared]:
        """Each recipe that differs, by its path.

        Args:
            only: The paths of the one that is compared, on both sides.
        """
        old = self._before.units(only[0] if only else None)
        new = self._after.units(only[1] if only else None)
        if only and old and new and old.keys() != new.keys():
            (stem,) = new
            old = {stem: next(iter(old.values()))}
        renamed = _renamed(old, new)
        with self._repository.blobs() as blobs:
            for stem in sorted({*old, *new}):
                if stem in renamed.values():
                    continue  # told where it is now
                was, now = old.get(renamed.get(stem, stem)), new.get(stem)
                if was is not None and now is not None and was.ids == now.ids and stem not in renamed:
                    self.unchanged += 1
                    continue
                found = self._unit(stem, renamed.get(stem), was or Unit(), now or Unit(), blobs)
                if found.different:
                    yield found
                else:
                    self.unchanged += 1

    def _unit(self, stem: str, was: str | None, old: Unit, new: Unit, blobs: Blobs) -> Compared:
        problems: list[str] = []
        requests: tuple[RequestChange, ...] = ()
        if old.recipe and new.recipe and old.recipe[1] != new.recipe[1]:
            before_recipe = self._recipe(self._before, old, blobs, problems)
            requests = request_changes(before_recipe, self._recipe(self._after, new, blobs, problems))
        before = after = None
        if not (old.lock and new.lock and old.lock[1] == new.lock[1]):
            unread = len(problems)
            before = self._lock(self._before, old, blobs, problems)
            after = self._lock(self._after, new, blobs, problems)
            if len(problems) > unread:
                before = after = None
        state: State | None = "renamed" if was else "added" if old == Unit() else "removed" if new == Unit() else None
        label = self._label(new.recipe or new.lock or old.recipe or old.lock, stem)
        found = compare(label, before, after, requests=requests, state=state, problems=tuple(problems))
        return replace(found, was=self._label(old.recipe or old.lock, was)) if was else found

    def _label(self, place: tuple[str, str] | None, stem: str) -> str:
        path = place[0] if place else stem
        below = self._before.below
        return path if below == "." else posixpath.relpath(path, below)

    def _recipe(self, tree: Tree, unit: Unit, blobs: Blobs, problems: list[str]) -> Recipe | None:
        if unit.recipe is None:
            return None
        assert self._repository.root is not None
        file = self._project.root / self._label(unit.recipe, "")
        try:
            return recipe_from(self._project, file, tree.read(unit.recipe, blobs))
        except EnvbuildError as error:
            problems.append(_problem(unit.recipe[0], tree, self._before, error))
            return None

    def _lock(self, tree: Tree, unit: Unit, blobs: Blobs, problems: list[str]) -> Lock | None:
        if unit.lock is None:
            return None
        try:
            data = tree.read(unit.lock, blobs)
            if b"\nrequest:" not in data and b"<<<<<<< " not in data:
                return None  # another tool's file of such a name
            if len(self._known) > MOST_KNOWN:
                self._known.clear()
            return parse_lock(data, unit.lock[0], self._known)
        except EnvbuildError as error:
            problems.append(_problem(unit.lock[0], tree, self._before, error))
            return None


def _problem(path: str, tree: Tree, before: Tree, error: EnvbuildError) -> str:
    line = f":{error.where.line}" if error.where is not None and error.where.line is not None else ""
    return f"{path}{line} cannot be read as it {'was' if tree is before else 'is'}: {error.message}"


def _renamed(old: Mapping[str, Unit], new: Mapping[str, Unit]) -> dict[str, str]:
    """New path to old path of what only changed its name: the same lock, or the same recipe where there is none."""
    gone: dict[Sequence[str | None], str] = {}
    for stem in sorted(old.keys() - new.keys()):
        gone.setdefault(_face(old[stem]), stem)
    found = {}
    for stem in sorted(new.keys() - old.keys()):
        face = _face(new[stem])
        if face in gone:
            found[stem] = gone.pop(face)
    return found


def _face(unit: Unit) -> tuple[str, str]:
    if unit.lock is not None:
        return ("lock", unit.lock[1])
    assert unit.recipe is not None
    return ("recipe", unit.recipe[1])
