"""A process for which no file system has symbolic links, or hard ones: the kernel refuses to make one, as on FAT.

``preexec_fn=without_symlinks`` or ``without_hard_links`` of a child: it and all that it starts get EPERM, by a seccomp
filter. Mounting a FAT image takes a kernel and tools that few machines of tests have.

Rules of the file: Linux on x86-64 and arm64; ``possible`` says whether it can be had.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys

_CALLS = {"x86_64": (88, 266), "aarch64": (36,)}
"""Numbers of symlink and symlinkat."""

_HARD_LINKS = {"x86_64": (86, 265), "aarch64": (37,)}
"""Numbers of link and linkat."""

_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_NO_NEW_PRIVILEGES, _SET_SECCOMP, _FILTER = 38, 22, 2


def possible() -> bool:
    """Whether this kernel is one whose calls are known here."""
    return sys.platform == "linux" and platform.machine() in _CALLS


def without_symlinks() -> None:
    """Have the kernel refuse symbolic links to this process and its children from now on."""
    _refuse(_CALLS[platform.machine()])


def without_hard_links() -> None:
    """The same of hard links."""
    _refuse(_HARD_LINKS[platform.machine()])


def _refuse(calls: tuple[int, ...]) -> None:
    rows = [(0x20, 0, 0, 0)]  # load the number of the call
    rows += [(0x15, len(calls) - place, 0, call) for place, call in enumerate(calls)]  # one of these: to the last row
    rows += [(0x06, 0, 0, _ALLOW), (0x06, 0, 0, _ERRNO | errno.EPERM)]
    program = b"".join(struct.pack("HBBI", *row) for row in rows)

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("rows", ctypes.c_char_p))

    library = ctypes.CDLL(None, use_errno=True)
    library.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    if library.prctl(_SET_SECCOMP, _FILTER, ctypes.byref(Program(len(rows), program)), 0, 0):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
