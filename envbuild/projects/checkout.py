"""Files of the user's checkout: given new content in one step, and put back when what follows fails."""

from __future__ import annotations

import fcntl
import glob
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from envbuild.errors import InvalidInput, Where
from envbuild.faults import reach
from envbuild.machine.disk import writing
from envbuild.machine.publish import sync_folder
from envbuild.pattern import pattern
from envbuild.projects.config_files import find_root
from envbuild.projects.recipe_files import hint_instead, shown_path

_TEMPORARY = pattern(r"\..+\.yaml\.[0-9]+\.tmp")


@contextmanager
def edited(recipe: Path, change: Callable[[str], str], recipes: str) -> Iterator[None]:
    """A recipe with changed text; when what is done inside fails, its old text is put back.

    Args:
        recipe: Its file.
        change: Gives the new text of the old one.
        recipes: Where the project says that its recipes are; a hint names one that is spelt like it.

    Raises:
        InvalidInput: ``missing-file``; whatever ``change`` raises, before anything is written.
    """
    shown = shown_path(recipe)
    try:
        before = recipe.read_bytes()
    except FileNotFoundError:
        hint = hint_instead(recipe, find_root(recipe.parent), recipes)
        raise InvalidInput(
            f"there is no recipe {shown}", reference="missing-file", where=Where(file=shown), hint=hint
        ) from None
    replace_file(recipe, change(before.decode()).encode())
    try:
        yield
    except BaseException:
        replace_file(recipe, before)
        raise


def replace_file(path: Path, data: bytes) -> None:
    """Give a file in the checkout new content, in one step, with the permissions that it had.

    Raises:
        NoSpaceError: When it cannot be written; the old content is untouched then.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with writing(path, len(data)):
        _remove_unheld(path.parent.glob(f".{glob.escape(path.name)}.*.tmp"))
        try:
            with _locked(temporary) as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
                if path.exists():
                    temporary.chmod(path.stat().st_mode & 0o7777)
                reach("pre-lockfile-rename")
                temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        sync_folder(path.parent)


def _locked(path: Path) -> BinaryIO:
    """A new file, locked for as long as it is open, so that nobody takes it for a leftover."""
    while True:
        stream = path.open("wb")
        fcntl.flock(stream, fcntl.LOCK_EX)
        if os.fstat(stream.fileno()).st_nlink:
            return stream
        stream.close()  # a sweep came between


def sweep(folder: Path) -> None:
    """Remove what processes that died left beside recipes and locks: temporary files that nobody holds locked.

    Whoever gives a file new content removes what was left of that file. A lock that nobody has to write again is what
    this is for.
    """
    _remove_unheld(path for path in folder.glob(".*.yaml.*.tmp") if _TEMPORARY.fullmatch(path.name))


def _remove_unheld(paths: Iterable[Path]) -> None:
    for left in paths:
        with suppress(OSError), left.open("rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            left.unlink()
