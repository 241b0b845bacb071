"""Publishing: how bytes and trees get their final names, so that a final name is always whole.

A file: a temporary file of our own (``O_EXCL``, 0600) on the same file system, written and hashed at once, compared,
made read-only, synced, then *linked* to its final name (a name that is already there means somebody was faster, which
is success), unlinked, and the folder synced. A tree: made in a scratch folder, synced, renamed to a final name that was
never created before. With durability ``fast`` nothing is synced; the order of the steps stays.

Rules of the file: no final name is ever opened for writing; every failure to write becomes ``NoSpaceError``.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Literal

from envbuild import faults
from envbuild.digest import CHUNK, Digest
from envbuild.machine.disk import writing
from envbuild.machine.temporary import create_held

Durability = Literal["safe", "fast"]
"""``safe`` syncs before a name appears; ``fast`` leaves that to the system."""


class Incoming:
    """A temporary file that becomes a blob: written and hashed at once, gone unless published.

    Args:
        folder: On the file system of the final names; created when missing.
        need: Bytes expected, for messages only.
    """

    def __init__(self, folder: Path, need: int | None = None) -> None:
        self.need = need
        with writing(folder, need):
            try:
                self.path, self._descriptor = create_held(folder)
            except FileNotFoundError:
                folder.mkdir(parents=True, exist_ok=True)
                self.path, self._descriptor = create_held(folder)
        self.size = 0
        self._named = True
        self._state = hashlib.sha256()
        try:
            with writing(self.path, need):
                faults.reach("tmp-created")
        except BaseException:
            self.discard()
            raise

    def __enter__(self) -> Incoming:
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()

    @property
    def digest(self) -> Digest:
        """The sha256 of what was written so far."""
        return Digest(self._state.hexdigest())

    def write(self, piece: bytes) -> None:
        """Append bytes.

        Raises:
            NoSpaceError: When they do not fit.
        """
        with writing(self.path, self.need):
            rest = memoryview(piece)
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        self._state.update(piece)
        self.size += len(piece)

    def restart(self) -> None:
        """Forget what was written: the next byte is the first."""
        with writing(self.path, self.need):
            os.ftruncate(self._descriptor, 0)
            os.lseek(self._descriptor, 0, os.SEEK_SET)
        self.size = 0
        self._state = hashlib.sha256()

    def publish(self, final: Path, durability: Durability, mode: int = 0o444) -> bool:
        """Give the file its final name in one atomic step.

        Returns:
            True when the name is new, False when it was already there (the temporary file is dropped).

        Raises:
            NoSpaceError: When the system refuses; the final name does not exist then.
        """
        with writing(final, self.need):
            os.fchmod(self._descriptor, mode)
            faults.reach("pre-fsync")
            if durability == "safe":
                os.fsync(self._descriptor)
            faults.reach("pre-rename")
            try:
                created = _link(self.path, final)
            except FileNotFoundError:  # the first of its folder: looking before each would cost more
                make_folder(final.parent, durability)
                created = _link(self.path, final)
            self.path.unlink()
            self._named = False
            if durability == "safe":
                sync_folder(final.parent)
            faults.reach("post-rename-pre-result")
        return created

    def discard(self) -> None:
        """Remove the temporary file when it is still there, and let go of it. Harmless after ``publish``."""
        if self._descriptor < 0:
            return
        if self._named:
            with suppress(OSError):
                if os.fstat(self._descriptor).st_nlink:
                    self.path.unlink()
        os.close(self._descriptor)
        self._descriptor = -1


def _link(source: Path, final: Path) -> bool:
    try:
        os.link(source, final)
    except FileExistsError:
        return False
    except OSError as error:
        # NFS may lose the reply of a link that was made; a second name tells.
        if source.stat().st_nlink == 2 and final.exists():
            return True
        if error.errno not in {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP}:
            raise
        if final.exists():
            return False
        source.rename(final)  # a file system without hard links: equal bytes replace equal bytes
        source.touch(mode=0o600)  # so that the caller's unlink is the same everywhere
    return True


def publish_bytes(data: bytes, final: Path, scratch: Path, durability: Durability, mode: int = 0o444) -> bool:
    """Publish a small file; see ``Incoming.publish``."""
    with Incoming(scratch, len(data)) as incoming:
        incoming.write(data)
        return incoming.publish(final, durability, mode)


def copy_into(incoming: Incoming, source: Path) -> None:
    """Write a file's bytes into a temporary one.

    Raises:
        OSError: When the source cannot be read.
        NoSpaceError: When it does not fit.
    """
    with source.open("rb") as stream:
        while piece := stream.read(CHUNK):
            incoming.write(piece)


def publish_tree(folder: Path, final: Path, durability: Durability) -> bool:
    """Give a finished folder its final name.

    Args:
        folder: On the same file system as ``final``; nobody writes into it any more.
        final: A name that must not have been created as an empty folder: a rename would replace that silently.
        durability: Whether the tree is synced first.

    Returns:
        True when the name is new; False when somebody was faster, and ``folder`` is left to its owner.

    Raises:
        NoSpaceError: When the system refuses.
    """
    with writing(final):
        make_folder(final.parent, durability)
        if durability == "safe":
            sync_tree(folder)
        if os.path.lexists(final):
            return False
        try:
            folder.rename(final)
        except OSError as error:
            if error.errno in {errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR}:
                return False
            raise
        if durability == "safe":
            sync_folder(final.parent)
    return True


def make_folder(folder: Path, durability: Durability, mode: int = 0o755) -> None:
    """Create a folder and what is missing above it, each name synced into its parent."""
    if folder.is_dir():
        return
    make_folder(folder.parent, durability, mode)
    with suppress(FileExistsError):
        folder.mkdir(mode=mode)
    if durability == "safe":
        sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Make a whole tree survive a loss of power: one ``syncfs`` where the system has it, else every file."""
    if sync_file_system(folder):
        return
    for parent, _, files in os.walk(folder):
        for name in files:
            path = Path(parent, name)
            if not path.is_symlink():
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
        sync_folder(Path(parent))


def sync_file_system(folder: Path) -> bool:
    """Make all that is on a folder's file system survive a loss of power; False where the system cannot say so.

    Raises:
        OSError: When there is no such folder.
    """
    sync = _syncfs()
    if sync is None:
        return False
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return sync(descriptor) == 0
    finally:
        os.close(descriptor)


def _syncfs() -> Callable[[int], int] | None:
    import ctypes  # 5 ms, only when a tree is published

    return getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
