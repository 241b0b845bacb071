"""What goes wrong is told of decorators, or of what was typed: the recipes made of them are nobody's files.

Rules of the file: changes errors on their way; prints nothing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

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
    return _retold(_Flags(recipe).told)


def told_of_decorators(files: Sequence[RecipeFile], locate: Locate) -> AbstractContextManager[None]:
    """Inside of it, errors that name a line of a recipe that a run has made name the decorator behind it instead."""
    return _retold(_Decorators(files, locate).told)


@contextmanager
def _retold(told: Callable[[Issue], Issue]) -> Iterator[None]:
    try:
        yield
    except EnvbuildError as error:
        error.issues = tuple(map(told, error.issues))
        whole = told(Issue(message=error.message, reference=error.reference, where=error.where, hint=error.hint))
        error.message, error.where, error.hint = whole.message, whole.where, whole.hint
        raise


class _Flags:
    """What stands behind the lines of one recipe."""

    def __init__(self, recipe: Adhoc) -> None:
        self._file = str(recipe.file)
        self._said = recipe.said

    def told(self, issue: Issue) -> Issue:
        """A finding in words of who typed."""
        issue = replace(issue, message=_PLACE.sub(self._instead, issue.message))
        where = issue.where
        if where is None or os.path.abspath(where.file) != self._file:
            return issue
        by = self._said.get(where.line or 0)
        return replace(issue, message=f"{by}: {issue.message}" if by else issue.message, where=None)

    def _instead(self, found: re.Match[str]) -> str:
        if os.path.abspath(found["file"]) != self._file:
            return found[0]
        return self._said.get(int(found["line"]), "what is asked for")


class _Decorators:
    """What stands behind the lines of a run's recipes."""

    def __init__(self, files: Sequence[RecipeFile], locate: Locate) -> None:
        self._files = {str(item.file): item for item in files if not item.committed}
        self._locate = locate

    def told(self, issue: Issue) -> Issue:
        """A finding of a decorator."""
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
