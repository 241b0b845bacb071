"""How far the verification of a large store is: which parts of its blobs were hashed and found right, kept at home.

A part is the blobs whose digests begin with the same two digits, so there are 256 of them in a store of any size. What
is known is one line a part, in a file for each store; it is old after a week. Documents are read each time: they are
small, and what they name may have gone since.

Rules of the file: standard library only; what cannot be written is hashed again.
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

from envbuild.digest import digest_bytes

DAYS = 7
EVERY_PART = tuple(f"{number:02x}" for number in range(256))


class Parts:
    """The parts of one store that were found right by a verification that did not end.

    Args:
        folder: Where that is kept for each store.
        store: Its whole address.

    Attributes:
        done: The parts that were found right before, and so far.
    """

    def __init__(self, folder: Path, store: str) -> None:
        self._path = folder / digest_bytes(store.encode())[:16]
        self.done: set[str] = set()
        with contextlib.suppress(OSError):
            if 0 <= time.time() - self._path.stat().st_mtime < DAYS * 86400:
                self.done = set(self._path.read_text("ascii", "replace").split()) & set(EVERY_PART)
            else:
                self._path.unlink()

    def add(self, part: str) -> None:
        """A part is right."""
        self.done.add(part)
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._path.open("a", encoding="ascii") as stream:
                stream.write(f"{part}\n")

    def end(self) -> None:
        """All parts were looked at: the next verification begins anew."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
