"""What goes wrong is told of decorators: the recipes of a run are nobody's files.

Rules of the file: changes errors on their way; prints nothing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from envbuild.errors import EnvbuildError, Issue
from envbuild.metaflow.collecting import Locate
from envbuild.metaflow.emitting import RecipeFile
from envbuild.pattern import pattern
from envbuild.projects.project import shown_path
from envbuild.value import replace

_PLACE = pattern(r"(?P<file>[^\s:]+\.yaml):(?P<line>[0-9]+)(?::[0-9]+)?")


class told_of_decorators:  # noqa: N801  used as a statement
    """Inside of it, errors that name a line of a recipe that a run has made name the decorator behind it instead."""

    def __init__(self, files: Sequence[RecipeFile], locate: Locate) -> None:
        self._files = {str(item.file): item for item in files if not item.committed}
        self._locate = locate

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, EnvbuildError):
            error.issues = tuple(map(self._told, error.issues))
            whole = self._told(
                Issue(message=error.message, reference=error.reference, where=error.where, hint=error.hint)
            )
            error.message, error.where, error.hint = whole.message, whole.where, whole.hint

    def _told(self, issue: Issue) -> Issue:
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
