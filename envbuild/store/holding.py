"""Whoever writes a shared store holds what it needs of what is announced, before it makes anything that names it.

Rules of the file: what is announced is read once; what is held is known to be held when ``hold`` returns.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

from envbuild.errors import UnreachableError
from envbuild.objects import Objects
from envbuild.store.mark_logs import append, entries
from envbuild.store.marks import read_mark


class Holder:
    """What a command that writes knows of a collection: asked before it relies on anything that is there.

    Args:
        objects: The store.

    Raises:
        IntegrityError: ``bad-mark``: such a store is not written.
        UnreachableError: When the store does not answer.
    """

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._mark = read_mark(objects)
        self._held: set[str] = set()
        self._guard = threading.Lock()

    @property
    def open(self) -> bool:
        """Whether anything is announced, so that something may have to be held."""
        return self._mark is not None

    def hold(self, names: Iterable[str]) -> None:
        """Have these live on, as far as they are announced; before anything is made that names them.

        Raises:
            UnreachableError: ``being-collected`` when some of them are being deleted.
        """
        if self._mark is None:
            return
        with self._guard:
            wanted = {name for name in names if name in self._mark} - self._held
            if not wanted:
                return
            if not append(self._objects, self._mark.identity, closes=False, names=wanted):
                for entry in entries(self._objects, self._mark.identity):
                    wanted.difference_update(entry.names)
                    self._held.update(entry.names)
                if wanted:
                    raise being_collected(self._objects, len(wanted))
            self._held |= wanted


def being_collected(objects: Objects, count: int) -> UnreachableError:
    """What is needed there is just being deleted."""
    what = "an object that is" if count == 1 else f"{count} objects that are"
    return UnreachableError(
        f"{objects.address} is being collected, and {what} needed there will be gone in a moment",
        reference="being-collected",
        hint="again when `envbuild gc` has ended there; one that was interrupted is ended by the next",
        retryable=True,
    )
