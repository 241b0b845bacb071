"""Saying that a prefix is in use: a shared kernel lock that a program inherits and that dies with it.

``gc`` leaves a prefix alone while anybody holds ``locks/use-<prefix>``; nothing has to be cleaned up after a crash. The
lock is taken while the home's own is held shared, so no collection can come between finding a prefix and holding it.
"""

from __future__ import annotations

import os
from pathlib import Path

from envbuild.errors import NoSpaceError
from envbuild.machine.kernel_lock import KernelLock

PATIENCE = 60.0
"""Seconds to wait for a collection that is under way; it holds the home only while it marks and renames."""

_kept: list[KernelLock] = []
"""Locks that live until this process, and whatever it becomes, ends."""


def hold(home: Path, prefix: Path) -> bool:
    """Hold a prefix for the rest of this process, through ``exec``, and for its children.

    Args:
        home: ``ENVBUILD_HOME``.
        prefix: The prefix.

    Returns:
        Whether the prefix is there; False when a collection was faster.

    Raises:
        LockTimeoutError: When a collection takes too long.
    """
    lock = KernelLock(home / "locks" / f"use-{prefix.name}", shared=True, timeout=PATIENCE)
    try:
        with KernelLock(home / "locks" / "home", shared=True, timeout=PATIENCE):
            lock.acquire()
    except NoSpaceError:
        return prefix.is_dir()  # a home that cannot be written cannot be collected either
    os.set_inheritable(lock.fileno(), True)
    _kept.append(lock)
    return prefix.is_dir()


def held(home: Path, prefix: str) -> bool:
    """Whether anybody holds a prefix.

    Args:
        home: ``ENVBUILD_HOME``.
        prefix: The name of its folder.
    """
    path = home / "locks" / f"use-{prefix}"
    if not path.exists():
        return False
    lock = KernelLock(path, timeout=0)
    if lock.try_acquire():
        lock.release()
        return False
    return True
