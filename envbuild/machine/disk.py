"""What it means that the disk refuses: every failure to write becomes one error with the path, the need and the room.

Rules of the file: the only place that gives errors of writing their words.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from envbuild.errors import NoSpaceError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def cannot_write(error: OSError, path: Path, need: int | None = None) -> NoSpaceError:
    """The error for a write that the system refused: path, bytes needed and bytes free in one sentence.

    Args:
        error: What the system said.
        path: What was to be written.
        need: Bytes that were to be written, when known.
    """
    reason = os.strerror(error.errno) if error.errno else str(error)
    parts = [] if need is None else [f"{need} bytes are needed"]
    full = error.errno in _FULL
    free = _free(path) if full else None
    if free is not None:
        parts.append(f"{free} bytes are free")
    suffix = f" ({', '.join(parts)})" if parts else ""
    if error.errno == errno.EFBIG:
        hint = "raise the limit on the size of files: ulimit -f unlimited"
    elif error.errno == errno.EXDEV:
        hint = "have the whole home on one file system, and environments elsewhere by --prefix"
    elif full:
        hint = "run: envbuild gc"
    elif (file := _file_in_the_way(error, path)) is not None:
        reason = f"{file} is a file"
        hint = "move that away, or name another folder"
    else:
        hint = "set ENVBUILD_HOME to a folder that you may write"
    return NoSpaceError(
        f"cannot write {path}: {reason}{suffix}", reference="no-space" if full else "cannot-write", hint=hint
    )


def _file_in_the_way(error: OSError, path: Path) -> Path | None:
    """What stands where a folder was to be."""
    if error.errno not in {errno.EEXIST, errno.ENOTDIR}:
        return None
    place = Path(os.fsdecode(error.filename)) if isinstance(error.filename, (str, bytes)) else path
    return next((each for each in (place, *place.parents) if os.path.lexists(each) and not each.is_dir()), None)


def _free(path: Path) -> int | None:
    for folder in (path, *path.parents):
        with suppress(OSError):
            state = os.statvfs(folder)
            return state.f_bavail * state.f_frsize
    return None


@contextmanager
def writing(path: Path, need: int | None = None) -> Iterator[None]:
    """Turn every ``OSError`` of the block into ``NoSpaceError`` about ``path``."""
    try:
        yield
    except OSError as error:
        raise cannot_write(error, path, need) from error
