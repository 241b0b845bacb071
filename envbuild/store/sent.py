"""Which environments this home has had whole in which shared stores: so that linking one again asks for nothing.

::

    sent/<of the store's address>/<environment>        its time is when

It is believed for some days. Then, and after whatever takes something away from the store by this home, the store is
asked again. Nothing is put on the strength of it: where it is wrong (somebody emptied the store) an environment is
linked again and not sent again, and the next one that has something to do, or ``push``, sends it.

Rules of the file: standard library only; what cannot be written, or read, is left out.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from pathlib import Path

from envbuild.digest import Digest, digest_bytes

DAYS = 7


def note_sent(home: Path, store: str, environment: Digest) -> None:
    """Note that a store has an environment, whole; what was noted long ago goes.

    Args:
        home: ``sent/`` of the home.
        store: The whole address.
        environment: Its id.
    """
    folder = _folder(home, store)
    with contextlib.suppress(OSError):
        if not (folder / environment).exists():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _sweep(folder)
        (folder / environment).touch(mode=0o600)


def was_sent(home: Path, store: str, environment: Digest) -> bool:
    """Whether that was noted within ``DAYS`` days, by this machine's clock."""
    try:
        return 0 <= time.time() - (_folder(home, store) / environment).stat().st_mtime < DAYS * 86400
    except OSError:
        return False


def forget_sent(home: Path, store: str) -> None:
    """Forget what was noted of a store: something of it may be gone."""
    shutil.rmtree(_folder(home, store), ignore_errors=True)


def _folder(home: Path, store: str) -> Path:
    return home / digest_bytes(store.encode())[:16]


def _sweep(folder: Path) -> None:
    with os.scandir(folder) as entries:
        for entry in entries:
            if time.time() - entry.stat(follow_symlinks=False).st_mtime >= DAYS * 86400:
                Path(entry.path).unlink(missing_ok=True)
