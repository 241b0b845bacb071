"""Where the executable of uv is, found once.

Looking for it reads ``sysconfig``, which Python fills in the first time that it is asked, and for a moment half of it:
of two threads that ask first, one may read None. So whoever reads it holds ``SYSCONFIG``.

Where it is still being brought, whoever asks first waits for it.

Rules of the file: finds; runs nothing.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

SYSCONFIG = threading.Lock()
"""Held while ``sysconfig`` is read, here and wherever else jobs read it."""

_looking = threading.Lock()
_found: list[str] = []
_awaited: list[Callable[[], object]] = []


def await_uv(arrival: Callable[[], object]) -> None:
    """Have the first who needs uv wait.

    Args:
        arrival: Returns when it is there; what it raises is why it is not.
    """
    _awaited.append(arrival)


def uv_program() -> str:
    """The path of uv's executable. Safe to call from any thread.

    Raises:
        FileNotFoundError: When the package ``uv`` is there without its executable.
    """
    with _looking:
        if not _found:
            for arrival in _awaited:
                arrival()
            from uv import find_uv_bin

            with SYSCONFIG:
                _found.append(os.fspath(find_uv_bin()))
        return _found[0]
