"""The foreign files that a recipe includes: found, read, kept inside the project, and merged with it.

Theory: an included file is read anew each time, so its content is part of the request like the recipe's own lines, and
a change to it, or to a file that it names, makes a lock stale. Every file that was looked for is remembered: stamps
hold their digests.

Rules of the file: reads files of the project, and nothing else.
"""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

from envbuild.errors import InvalidInput, Issue, Where
from envbuild.formats import ASKING, LARGEST_FILE, Foreign, detect, read
from envbuild.projects.config_files import PROJECT_FILE
from envbuild.projects.one_level import Included, one_level
from envbuild.reading.places import check_path
from envbuild.recipe import Include, PathSource, PypiSection, Recipe
from envbuild.value import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class WithIncludes:
    """A recipe with what it includes, every file that was looked for, and what must be said about them."""

    recipe: Recipe
    files: tuple[Path, ...] = ()
    notes: tuple[Issue, ...] = ()


def with_includes(recipe: Recipe, root: Path, outside: bool, shown: Callable[[Path], str]) -> WithIncludes:
    """A recipe merged with the foreign files that it includes.

    Args:
        recipe: The recipe as its file says it.
        root: The project's root.
        outside: Whether paths may leave the project.
        shown: How messages call a file.

    Raises:
        InvalidInput: With every finding of all included files.
    """
    if not recipe.include:
        return WithIncludes(recipe=recipe)
    reader = _IncludeReader(root=root, outside=outside, shown=shown)
    found = [item for include in recipe.include if (item := reader.include(include)) is not None]
    merged = one_level(recipe, found, reader.issues)
    if reader.issues:
        raise InvalidInput.of(tuple(dict.fromkeys(reader.issues)))
    notes = tuple(note for item in found for note in item.foreign.notes)
    return WithIncludes(recipe=merged, files=tuple(dict.fromkeys(reader.files)), notes=notes)


class _IncludeReader:
    def __init__(self, *, root: Path, outside: bool, shown: Callable[[Path], str]) -> None:
        self.root = root
        self.outside = outside
        self.shown = shown
        self.files: list[Path] = []
        self.issues: list[Issue] = []

    def include(self, include: Include) -> Included | None:
        """One included file; None after a finding."""
        where = include.where
        try:
            data = self.opened(include.path)
            name = include.format or detect(include.path, data)
            if name not in ASKING:
                raise InvalidInput(
                    f"{include.path} is a lock ({name}): what it chose is no requirement",
                    reference="bad-format",
                    hint=f"envbuild import {include.path}",
                )
        except InvalidInput as error:
            self.issues += [_at(issue, where) for issue in error.all_issues()]
            return None
        try:
            foreign = read(name, data, include.path, self.opened, shown=self.label, chosen=include.chosen)
        except InvalidInput as error:
            self.issues += [_at(issue, where) for issue in error.all_issues()]
            return None
        self.check_places(foreign, Where(file=self.label(include.path)))
        return Included(include=include, foreign=foreign, shown=self.label(include.path))

    def label(self, path: str) -> str:
        """How messages call a file, by its path from the root."""
        return self.shown(self.root / path)

    def check(self, path: str) -> str:
        """A path from the root that stays in the project, also where symbolic links lead.

        Raises:
            InvalidInput: ``bad-path``.
        """
        return check_path(
            path if path.startswith("..") else "./" + path, self.root / PROJECT_FILE, self.root, self.outside
        )

    def opened(self, path: str) -> bytes:
        """A file of the project.

        Raises:
            InvalidInput: ``bad-path``, ``missing-file``, ``too-large``.
        """
        file = self.root / self.check(path)
        self.files.append(file)
        shown = self.shown(file)
        try:
            if not stat.S_ISREG(file.stat().st_mode):
                raise InvalidInput(f"{shown} is not a file", reference="bad-path", hint="name a file")
            with file.open("rb") as stream:
                data = stream.read(LARGEST_FILE + 1)
        except (FileNotFoundError, NotADirectoryError):
            raise InvalidInput(f"there is no file {shown}", reference="missing-file", hint="check the path") from None
        except OSError as error:
            raise InvalidInput(f"{shown} cannot be read: {error.strerror}", reference="bad-path") from error
        if len(data) > LARGEST_FILE:
            raise InvalidInput(f"{shown} has more than {LARGEST_FILE >> 20} MiB", reference="too-large")
        return data

    def check_places(self, foreign: Foreign, where: Where | None) -> None:
        """Note each folder outside of the project that an included file names."""
        for section in (foreign.pypi, *(target.pypi for target in foreign.targets)):
            for item in (*section.packages, *section.constraints, *section.overrides):
                if isinstance(item.source, PathSource):
                    self.inside(item.source.path, item.where)
            for place in (*_indices(section), *section.find_links):
                if place.startswith("./"):
                    self.inside(place[2:], where)
        for channel in foreign.conda.channels or ():
            if channel.startswith("./"):
                self.inside(channel[2:], where)

    def inside(self, path: str, where: Where | None) -> None:
        """Note a path that leaves the project."""
        try:
            self.check(path)
        except InvalidInput as error:
            self.issues += [_at(issue, where) for issue in error.all_issues()]


def _indices(section: PypiSection) -> tuple[str, ...]:
    return tuple(index.url for index in (*section.extra_indices, *((section.index,) if section.index else ())))


def _at(issue: Issue, where: Where | None) -> Issue:
    """A finding with a place: its own, else that of the line that includes the file."""
    if issue.where is not None:
        return issue
    return Issue(message=issue.message, reference=issue.reference, where=where, hint=issue.hint)
