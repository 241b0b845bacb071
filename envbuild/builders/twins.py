"""Paths that some file systems take for one: names that differ in case, or in how their letters are composed.

An archive with ``README`` and ``readme`` is two files on one machine and one on another, where whichever comes last
wins; so it is with an ``é`` of one code point and one of two. Where the file system tells them apart the archive is
what its writer meant, and its reader is told; where it does not, the archive is refused.

Rules of the file: the file system is asked, by a file of ours, and only once there are twins.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from envbuild.value import dataclass

_PROBE = "pr\u00f6be"


@dataclass(frozen=True, slots=True, kw_only=True)
class Folding:
    """What a file system takes for the same in names."""

    case: bool
    form: bool


def probe(folder: Path) -> Folding:
    """Ask the file system of a folder that may be written to."""
    with TemporaryDirectory(prefix=".envbuild-", dir=folder) as own:  # a name that no archive can know
        (Path(own) / _PROBE).touch()
        return Folding(
            case=os.path.lexists(Path(own) / _PROBE.upper()),
            form=os.path.lexists(Path(own) / unicodedata.normalize("NFD", _PROBE)),
        )


class Twins:
    """The paths of one archive so far.

    Args:
        ask: Says what the file system folds; asked once, when there are twins.
    """

    def __init__(self, ask: Callable[[], Folding]) -> None:
        self._ask = ask
        self._paths: dict[str, str] = {}
        self._folding: Folding | None = None

    def add(self, path: str) -> tuple[str, bool] | None:
        """Take a path that no other spells the same.

        Returns:
            Its twin, and whether both are one path on this file system; None when it has none.
        """
        twin = self._paths.setdefault(_folded(path, case=True, form=True), path)
        if twin == path:
            return None
        self._folding = self._folding or self._ask()
        case, form = self._folding.case, self._folding.form
        return twin, _folded(path, case=case, form=form) == _folded(twin, case=case, form=form)


def _folded(path: str, *, case: bool, form: bool) -> str:
    if path.isascii():
        return path.lower() if case else path
    path = unicodedata.normalize("NFD", path) if form else path
    return path.casefold() if case else path
