"""Saying that a prefix is in use: a shared kernel lock that a program inherits and that dies with it.

``gc`` leaves a prefix alone while anybody holds ``locks/use-<prefix>``; nothing has to be cleaned up after a crash.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from envbuild.kernel_lock import KernelLock

_kept: list[KernelLock] = []
"""Locks that live until this process, and whatever it becomes, ends."""


def hold(home: Path, prefix: Path) -> None:
    """Hold a prefix for the rest of this process, through ``exec``, and for its children.

    A home that cannot be written has no ``gc`` either, so failing to hold is no error.
    """
    with contextlib.suppress(OSError):
        lock = KernelLock(home / "locks" / f"use-{prefix.name}", shared=True, timeout=0)
        lock.acquire()
        os.set_inheritable(lock.fileno(), True)
        _kept.append(lock)
