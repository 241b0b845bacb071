"""Files of the user's checkout: given new content in one step, and put back when what follows fails."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from envbuild.disk import writing
from envbuild.errors import InvalidInput, Where
from envbuild.faults import reach
from envbuild.project import shown_path


@contextmanager
def edited(recipe: Path, change: Callable[[str], str]) -> Iterator[None]:
    """A recipe with changed text; when what is done inside fails, its old text is put back.

    Raises:
        InvalidInput: ``missing-file``; whatever ``change`` raises, before anything is written.
    """
    shown = shown_path(recipe)
    try:
        before = recipe.read_bytes()
    except FileNotFoundError:
        raise InvalidInput(
            f"there is no recipe {shown}", reference="missing-file", where=Where(file=shown), hint="envbuild init"
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
        try:
            with temporary.open("wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            if path.exists():
                temporary.chmod(path.stat().st_mode & 0o7777)
            reach("pre-lockfile-rename")
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
