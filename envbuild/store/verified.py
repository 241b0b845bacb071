"""Reading blobs for use: every byte is hashed before anybody sees its path, and again only when the file changed.

What was verified is remembered by device, inode, size, modification time and change time (``ctime``), which no program
can set: whoever writes into the file, also by another name of it or as root, changes it. The memory outlives the
process as small files in a cache folder of the user's own, and counts for files of this user only; others are hashed
in each process. Damage below the file system is found by ``verify``, which trusts no memory. A blob that is not what
its name says (flipped, truncated, replaced) is deleted, said once, and counts as absent, so that the fetch or the work
that made it mends the store: a bad blob costs time, never a wrong environment. The deletion holds the blob's own lock
and looks again first, so that it never takes the good bytes that somebody else has just put there.

Rules of the file: a decorator over ``envbuild.store.folder.FolderBlobs``; no healing here.
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path

from envbuild.digest import Digest, digest_file, short
from envbuild.machine.publish import Incoming
from envbuild.store import Put
from envbuild.store.folder import FolderBlobs

_SMALL = 4096
"""Bytes of a file that is hashed again by each process: it takes no longer than to look whether one did."""

_Mark = tuple[int, int, int, int, int, int]


class VerifiedBlobs:
    """Blobs whose ``path`` is verified.

    Args:
        blobs: What is read.
        lock: The lock of one blob among processes.
        note: Told once about each blob that was dropped.
        memory: A folder that remembers verified files for later processes; None remembers in this one only.
    """

    def __init__(
        self,
        blobs: FolderBlobs,
        *,
        lock: Callable[[Digest], AbstractContextManager[object]],
        note: Callable[[str], None],
        memory: Path | None = None,
    ) -> None:
        self._blobs = blobs
        self._lock = lock
        self._note = note
        self._memory = memory
        self._good: dict[Digest, _Mark] = {}
        self._guard = threading.Lock()

    def path(self, digest: Digest, *, locked: bool = False) -> Path | None:
        """The file with exactly these bytes; None when there is none (any more).

        Args:
            digest: Which blob.
            locked: True when the caller holds the blob's lock already.

        Raises:
            LockTimeoutError: When a broken blob's lock is kept too long by another process.
        """
        path = self._blobs.name(digest)
        if self._is_good(path, digest):
            return path
        if not os.path.lexists(path):
            return None
        with nullcontext() if locked else self._lock(digest):
            if self._is_good(path, digest):
                return path
            self._blobs.delete(digest)
        self._note(f"blob {short(digest)} in {path.parent.parent.parent.parent} was damaged; it was dropped")
        return None

    def adopt(self, incoming: Incoming, digest: Digest) -> Put:
        """Publish a file that this process has just hashed; it need not be hashed again.

        Raises:
            IntegrityError: When its bytes are others.
        """
        put = self._blobs.adopt(incoming, digest)
        if put == "created":
            self._remember(self._blobs.name(digest), digest)
        return put

    def _is_good(self, path: Path, digest: Digest) -> bool:
        try:
            mark = _mark(path)
            if mark is None:
                return False
            if self._good.get(digest) == mark:
                return True
            if not self._recalls(digest, mark):
                if digest_file(path) != digest or _mark(path) != mark:
                    return False
                self._keep(digest, mark)
        except OSError:
            return False
        with self._guard:
            self._good[digest] = mark
        return True

    def _recalls(self, digest: Digest, mark: _Mark) -> bool:
        """Whether an earlier process verified this very file."""
        if self._memory is None or mark[2] <= _SMALL or mark[-1] != os.getuid():
            return False
        try:
            return (self._memory / digest).read_bytes() == repr(mark).encode()
        except OSError:
            return False

    def _keep(self, digest: Digest, mark: _Mark) -> None:
        if self._memory is not None and mark[2] > _SMALL:
            with suppress(OSError):  # it only saves time
                self._memory.mkdir(parents=True, exist_ok=True)
                (self._memory / digest).write_bytes(repr(mark).encode())

    def _remember(self, path: Path, digest: Digest) -> None:
        mark = _mark(path)
        if mark is not None:
            with self._guard:
                self._good[digest] = mark
            self._keep(digest, mark)


def _mark(path: Path) -> _Mark | None:
    """What tells a file from its successor; None for what is no regular file, such as a symbolic link."""
    state = path.lstat()
    if not stat.S_ISREG(state.st_mode):
        return None
    return (state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_uid)
