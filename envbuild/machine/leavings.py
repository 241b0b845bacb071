"""What jobs leave to be removed later: it goes at the end of the run, when nobody waits for it any more.

Rules of the file: standard library only; each thing is removed once, by whoever ends the last run.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Leavings:
    """What is left, while any run goes on."""

    def __init__(self) -> None:
        """No run goes on."""
        self._guard = threading.Lock()
        self._runs = 0
        self._left: list[Callable[[], None]] = []

    @contextmanager
    def run(self) -> Iterator[None]:
        """While jobs run; what they leave goes at the end of the last run that goes on."""
        with self._guard:
            self._runs += 1
        try:
            yield
        finally:
            with self._guard:
                self._runs -= 1
                left, self._left = ([], self._left) if self._runs else (self._left, [])
            for remove in left:
                remove()

    def leave(self, remove: Callable[[], None]) -> None:
        """Have something removed at the end of the run; now outside of one, for a preparation may end after it."""
        with self._guard:
            if self._runs:
                self._left.append(remove)
                return
        remove()
