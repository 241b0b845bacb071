"""What takes the bytes of an object while they come; each implements ``envbuild.objects.Writer``.

Rules of the file: no store is asked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from envbuild.machine.publish import Incoming


class Told:
    """Passes bytes on, and tells how many there were."""

    def __init__(self, incoming: Incoming, moved: Callable[[int], None]) -> None:
        self._incoming = incoming
        self._moved = moved

    def write(self, data: bytes) -> None:
        """Take some more."""
        self._incoming.write(data)
        self._moved(self._incoming.size)

    def restart(self) -> None:
        """Forget what was written."""
        self._incoming.restart()


class Hashing:
    """Takes bytes for their digest and number alone; implements ``envbuild.objects.Writer``."""

    def __init__(self) -> None:
        self.restart()

    def write(self, data: bytes) -> None:
        """Take some more."""
        self._state.update(data)
        self.size += len(data)

    def restart(self) -> None:
        """Forget what was written."""
        self._state = hashlib.sha256()
        self.size = 0

    def digest(self) -> str:
        """The sha256 of what was written."""
        return self._state.hexdigest()
