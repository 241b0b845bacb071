"""What goes wrong is told of decorators, or of what was typed: the recipes made of them are nobody's files.

Rules of the file: changes errors on their way; prints nothing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from envbuild.errors import EnvbuildError, Issue
from envbuild.metaflow.adhoc import Adhoc
from envbuild.metaflow.collecting import Locate
from envbuild.metaflow.emitting import RecipeFile
from envbuild.pattern import pattern
from envbuild.projects.project import shown_path
from envbuild.value import replace

_PLACE = pattern(r"(?P<file>[^\s:]+\.yaml):(?P<line>[0-9]+)(?::[0-9]+)?")


def told_of_flags(recipe: Adhoc) -> AbstractContextManager[None]:
    """Inside of it, errors that name a line of a recipe made of a command line name what was typed instead."""
    return _retold(_Flags(recipe))


def told_of_decorators(files: Sequence[RecipeFile], locate: Locate) -> AbstractContextManager[None]:
    """Inside of it, errors that name a line of a recipe that a run has made name the decorator behind it instead."""
    return _retold(_Decorators(files, locate))


class _Behind(Protocol):
    """What stands behind the lines of recipes that are nobody's files."""

    def owns(self, file: str) -> bool:
        """Whether an absolute path is one of these recipes."""
        ...

    def named(self, file: str, line: int) -> str:
        """What to say in the place of a recipe's line."""
        ...

    def told(self, issue: Issue, file: str, line: int) -> Issue:
        """A finding of a recipe's line, in words of who asked for it."""
        ...


@contextmanager
def _retold(behind: _Behind) -> Iterator[None]:
    def instead(found: re.Match[str]) -> str:
        file = os.path.abspath(found["file"])
        return behind.named(file, int(found["line"])) if behind.owns(file) else found[0]

    def told(issue: Issue) -> Issue:
        issue = replace(issue, message=_PLACE.sub(instead, issue.message))
        if issue.where is None or not behind.owns(file := os.path.abspath(issue.where.file)):
            return issue
        return behind.told(issue, file, issue.where.line or 0)

    try:
        yield
    except EnvbuildError as error:
        error.issues = tuple(map(told, error.issues))
        whole = told(Issue(message=error.message, reference=error.reference, where=error.where, hint=error.hint))
        error.message, error.where, error.hint = whole.message, whole.where, whole.hint
        raise


class _Flags:
    """What was typed, behind the lines of one recipe."""

    def __init__(self, recipe: Adhoc) -> None:
        self._file = str(recipe.file)
        self._said = recipe.said

    def owns(self, file: str) -> bool:
        return file == self._file

    def named(self, file: str, line: int) -> str:
        return self._said.get(line, "what is asked for")

    def told(self, issue: Issue, file: str, line: int) -> Issue:
        by = self._said.get(line)
        return replace(issue, message=f"{by}: {issue.message}" if by else issue.message, where=None)


class _Decorators:
    """The decorators behind the lines of a run's recipes."""

    def __init__(self, files: Sequence[RecipeFile], locate: Locate) -> None:
        self._files = {str(item.file): item for item in files if not item.committed}
        self._locate = locate

    def owns(self, file: str) -> bool:
        return file in self._files

    def named(self, file: str, line: int) -> str:
        item = self._files[file]
        by = item.said.get(line)
        if by is None:
            return f"Metaflow, for {item.needed.said}"
        where = self._locate(by).where
        return f"{shown_path(Path(where.file))}:{where.line} ({by})" if where and where.line else str(by)

    def told(self, issue: Issue, file: str, line: int) -> Issue:
        item = self._files[file]
        by = item.said.get(line)
        if by is None:
            return replace(issue, message=f"{item.needed.said}: {issue.message}")
        return replace(issue, message=f"{by}: {issue.message}", where=self._locate(by).where)
