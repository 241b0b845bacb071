"""Temporary files and folders: held by a lock while their maker lives, garbage afterwards.

A temporary file, or the one beside a scratch folder, is locked (``flock``) for as long as its maker lives. What is not
locked is garbage: ``stale`` lists it, and can never give a living process's file, whatever happened to process ids and
clocks.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from envbuild.machine.disk import writing

_HOLD = ".hold"
"""The ending of the file whose lock holds the scratch folder of the same name."""


def create_held(folder: Path, ending: str = "") -> tuple[Path, int]:
    """A new file of a name of its own, locked, and its descriptor, which holds the lock.

    Raises:
        OSError: When it cannot be made.
    """
    while True:
        path = folder / f"{os.urandom(8).hex()}{ending}"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return path, descriptor
        os.close(descriptor)  # a sweep came between creating and locking


@contextmanager
def scratch_folder(parent: Path, leave: Callable[[Callable[[], None]], None] | None = None) -> Iterator[Path]:
    """An empty folder, held by a lock while this process lives, removed afterwards.

    What is locked is a file beside it: of folders, network file systems tell no other machine that they are locked.

    Args:
        parent: Where it is made.
        leave: Given what removes it, to be called once before this process ends, instead of its being removed at once.

    Raises:
        NoSpaceError: When it cannot be made.
    """
    with writing(parent):
        parent.mkdir(parents=True, exist_ok=True)
        hold, descriptor = create_held(parent, _HOLD)
    path = hold.with_suffix("")
    try:
        with writing(parent):
            path.mkdir(mode=0o700)
        yield path
    finally:

        def remove() -> None:
            remove_tree(path)
            hold.unlink(missing_ok=True)
            os.close(descriptor)

        if leave is None:
            remove()
        else:
            leave(remove)


def remove_tree(path: Path) -> None:
    """Remove a file, a symbolic link itself, or a folder with read-only parts in it; absent is fine."""
    if path.is_symlink() or not path.is_dir():
        with suppress(FileNotFoundError):
            path.unlink()
        return
    for parent, _, _ in os.walk(path):
        with suppress(OSError):
            Path(parent).chmod(0o700)
    shutil.rmtree(path, ignore_errors=True)


def stale(folder: Path) -> Iterator[Path]:
    """What dead processes left in a folder of temporary files: those entries that nobody holds a lock on.

    Each is yielded while this process holds its lock, so that removing it takes nothing from the living.
    """
    if not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        if path.is_symlink():
            yield path  # never made by us, and only the link goes
            continue
        try:
            descriptor = _open_to_lock(path.with_name(f"{path.name}{_HOLD}") if path.is_dir() else path)
        except FileNotFoundError:
            if path.is_dir():
                yield path  # its lock is made before a folder, and goes after it
            continue
        except OSError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # held, or not to be known: then it stays
            continue
        else:
            yield path
        finally:
            os.close(descriptor)


def _open_to_lock(path: Path) -> int:
    flags = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        return os.open(path, os.O_RDWR | flags)  # network file systems lock exclusively what may be written
    except PermissionError:
        return os.open(path, os.O_RDONLY | flags)


def sweep(*folders: Path) -> None:
    """Remove what dead processes left in folders of temporary files; what cannot be removed stays."""
    for folder in folders:
        with suppress(OSError):
            for path in stale(folder):
                with suppress(OSError):
                    remove_tree(path)
