"""What nothing brings back: no export takes the place of a file that envbuild wrote or reads, nor of what is no file.

Rules of the file: reads one file, writes none.
"""

from __future__ import annotations

import re
from pathlib import Path

from envbuild.errors import InvalidInput, NameConflictError, Where
from envbuild.locks.lock_writing import HEADER
from envbuild.pattern import pattern
from envbuild.projects.config_files import PROJECT_FILE
from envbuild.projects.project import shown_path
from envbuild.reading.document import LARGEST_FILE, parse
from envbuild.reading.schema import findings

_LOCK = pattern(rb'^request: "?[0-9a-f]{64}"?\s*$', re.MULTILINE)
_RECIPE = pattern(rb"^(?:extends|include|interpreter|conda|pypi|targets|build)[ \t]*:", re.MULTILINE)


def refuse_own_file(file: Path) -> None:
    """Refuse to write an export over a recipe, a lock or the configuration of envbuild.

    Args:
        file: Where the export is to go; it may be absent.

    Raises:
        NameConflictError: ``own-file``.
    """
    if (what := _what(file)) is not None:
        raise NameConflictError(
            f"here stands {what}, which an export does not replace",
            reference="own-file",
            where=Where(file=shown_path(file)),
            hint="name another file with -o",
        )


def refuse_special(file: Path) -> None:
    """Refuse to put a file where a folder, a device or a pipe is: writing replaces what stands there.

    Raises:
        NameConflictError: ``no-file``.
    """
    if file.exists() and not file.is_file():
        raise NameConflictError(
            f"{shown_path(file)} is {'a folder' if file.is_dir() else 'a device or a pipe'}, and stays one",
            reference="no-file",
            where=Where(file=shown_path(file)),
            hint="name a file with -o",
        )


def _what(file: Path) -> str | None:
    """What a file is to envbuild; None for what is no file of its own."""
    try:
        with file.open("rb") as stream:
            data = stream.read(LARGEST_FILE + 1)
    except OSError:
        return None
    if file.name == PROJECT_FILE:
        return "the configuration of a project"
    if data.startswith(HEADER.encode()) or _LOCK.search(data):
        return "a lock of envbuild"
    try:
        recipe = not findings(parse(data, file.name), "recipe")
    except InvalidInput:
        recipe = False
    broken = file.suffix.lower() in {".yaml", ".yml"} and _RECIPE.search(data)
    return "a recipe" if recipe or broken else None
