"""Locks of this machine that die with their process: ``flock`` on files under ``locks/``.

A lock only saves work: two makers of one thing both publish by a create-only step, so a lock that a strange file system
breaks costs time, never bytes. What the file holds (process, host, since) is for messages; nothing is decided by it.
After a lock was taken, the open file is compared with the name: a lock file that ``gc`` removed meanwhile is opened
anew (Nix does the same), so that there are never two holders. Files are opened with ``O_CLOEXEC``, one descriptor for
each lock. Many locks are taken in sorted order, so that nobody waits in a circle.

Rules of the file: never a timeout by clock time, never a decision by process id.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from envbuild import faults
from envbuild.errors import LockTimeoutError
from envbuild.machine.disk import cannot_write

DEFAULT_TIMEOUT = 300.0
"""Seconds to wait, as uv does."""

NOTICE_AFTER = 5.0
"""Seconds of waiting after which the user is told."""

_LONGEST_PAUSE = 0.05
_OPENED = 20


class KernelLock:
    """One lock, held from ``acquire`` to ``release`` or the end of the process.

    Args:
        path: The lock file; its folder is created.
        shared: Many may hold it shared, one exclusively.
        timeout: Seconds to wait; 0 asks once, infinity waits for as long as the holder lives.
        notice: Called once with a sentence after ``NOTICE_AFTER`` seconds.
        given_up: Waiting ends, as after the timeout, when this says True.
    """

    def __init__(
        self,
        path: Path,
        *,
        shared: bool = False,
        timeout: float = DEFAULT_TIMEOUT,
        notice: Callable[[str], None] | None = None,
        given_up: Callable[[], bool] = lambda: False,
    ) -> None:
        self.path = path
        self._given_up = given_up
        self._operation = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB
        self._timeout = timeout
        self._notice = notice
        self._descriptor = -1

    def __enter__(self) -> KernelLock:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    @property
    def held(self) -> bool:
        """True between ``acquire`` and ``release``."""
        return self._descriptor >= 0

    def fileno(self) -> int:
        """The descriptor that holds the lock; made inheritable, a program that replaces this one keeps the lock."""
        return self._descriptor

    def acquire(self) -> None:
        """Wait for the lock and take it.

        Raises:
            LockTimeoutError: When another process keeps it too long; the message names it.
            NoSpaceError: When the lock file cannot be made.
        """
        start = time.monotonic()
        pause = 0.002
        while not self._try():
            waited = time.monotonic() - start
            if waited >= self._timeout or self._given_up():
                raise self._too_long(waited)
            if self._notice is not None and waited >= NOTICE_AFTER:
                self._notice(f"waiting for {self.path.name}, held by {self._holder()}")
                self._notice = None
            time.sleep(min(pause, max(self._timeout - waited, 0.001)))
            pause = min(pause * 1.5, _LONGEST_PAUSE)
        faults.reach("lock-taken")

    def try_acquire(self) -> bool:
        """Take the lock when nobody holds it; True when that worked."""
        while True:
            try:
                return self._try()
            except InterruptedError:
                continue

    def release(self) -> None:
        """Let go; harmless when it is not held."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _try(self) -> bool:
        descriptor = self._open()
        try:
            fcntl.flock(descriptor, self._operation)
        except BlockingIOError:
            os.close(descriptor)
            return False
        except BaseException:
            os.close(descriptor)
            raise
        if not _same_file(descriptor, self.path):
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        self._sign()
        return True

    def _open(self) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            for _ in range(_OPENED):  # somebody may remove the folder as often as it is made
                try:
                    return os.open(self.path, flags, 0o600)
                except FileNotFoundError:
                    self.path.parent.mkdir(parents=True, exist_ok=True)
            return os.open(self.path, flags, 0o600)
        except OSError as error:
            raise cannot_write(error, self.path) from error

    def _sign(self) -> None:
        body = {
            "pid": os.getpid(),
            "host": os.uname().nodename,
            "since": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        data = json.dumps(body).encode() + b"\n"
        with suppress(OSError):  # a full disk must not keep anybody from locking
            os.pwrite(self._descriptor, data, 0)
            os.ftruncate(self._descriptor, len(data))

    def _holder(self) -> str:
        try:
            body = json.loads(self.path.read_bytes()[:4096])
            return f"process {int(body['pid'])} on {str(body['host'])[:253]!s} since {str(body['since'])[:20]!s}"
        except (OSError, ValueError, KeyError, TypeError):
            return "another process"

    def _too_long(self, waited: float) -> LockTimeoutError:
        return LockTimeoutError(
            f"{self._holder()} holds {self.path}; waited {waited:.0f} s",
            hint="wait for that process or end it; ENVBUILD_LOCK_TIMEOUT sets how many seconds to wait",
        )


def _same_file(descriptor: int, path: Path) -> bool:
    mine = os.fstat(descriptor)
    try:
        named = path.stat()
    except FileNotFoundError:
        return False
    return (mine.st_dev, mine.st_ino) == (named.st_dev, named.st_ino)


@contextmanager
def hold(
    paths: Iterable[Path],
    *,
    shared: bool = False,
    timeout: float = DEFAULT_TIMEOUT,
    notice: Callable[[str], None] | None = None,
) -> Iterator[None]:
    """Hold several locks, taken in sorted order.

    Raises:
        LockTimeoutError: When one of them is kept too long by others; none is held then.
    """
    with ExitStack() as stack:
        for path in sorted(set(paths)):
            stack.enter_context(KernelLock(path, shared=shared, timeout=timeout, notice=notice))
        yield
