"""Records in ``conda-meta`` finished while rattler still links other packages, and the disk set to work meanwhile.

Finishing sixty records takes 50 ms, and writing 12,000 new names to the disk as long: both after the link, where
nothing else is left to do. rattler writes a package's record when the package is linked, so each is finished as soon
as it can be read as a whole, and put into its place in one step, for rattler reads them all once more at its end. Half
way the system begins to write. What rattler has touched again since (files of several packages move) is finished
again.

Rules of the file: the link decides; what goes wrong here is met by ``rest``, which says it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

from envbuild.errors import BuildError
from envbuild.linkers.conda_meta import Linked, finish_record, record_name
from envbuild.package import CondaPackage
from envbuild.value import replace

_LOOK = 0.02
"""Seconds between two looks."""

_State = tuple[int, int, int]


class Finishing:
    """Finishes records for as long as it is entered.

    Args:
        folder: ``conda-meta`` of the prefix; it may not exist yet.
        packages: Those that are linked.
        alias: Gives the engine's own address of named channels; may wait for the engine.
        half: Called once when half of the records are there, from another thread.
    """

    def __init__(
        self, folder: Path, packages: Sequence[CondaPackage], alias: Callable[[], str], half: Callable[[], None]
    ) -> None:
        self._folder = folder
        self._packages = {record_name(package): package for package in packages}
        self._alias = alias
        self._half = half
        self._done: dict[str, tuple[Linked, _State]] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="records", daemon=True)

    def __enter__(self) -> Finishing:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def rest(self, *, moved: bool) -> list[Linked]:
        """Finish what is left, once rattler is done; what is known of all, in the order of the packages.

        Args:
            moved: Files that gave way to other packages' may stand in records by the place that rattler moved them to.

        Raises:
            BuildError: ``link-failed`` when there is no readable record of a package.
        """
        return [self._finished(name, moved) for name in self._packages]

    def _finished(self, name: str, moved: bool) -> Linked:
        early = self._done.get(name)
        path = self._folder / name
        if early is not None and not moved and early[1] == _state(path):
            return early[0]
        found = finish_record(path, self._packages[name], self._alias(), moved=moved)
        # What was finished before does not say any more where the engine unpacked the package.
        return found if early is None else replace(found, extracted=found.extracted or early[0].extracted)

    def _watch(self) -> None:
        # One of a path in the project says so in its finished record, which rattler would not read again.
        waiting = {name for name, package in self._packages.items() if package.url is None or "://" in package.url}
        begun = False
        while not self._over.wait(_LOOK):
            try:
                there = waiting.intersection(os.listdir(self._folder))  # noqa: PTH208  names alone
            except OSError:
                continue
            for name in there:
                try:
                    found = finish_record(self._folder / name, self._packages[name], self._alias())
                    self._done[name] = (found, _state(self._folder / name))
                except (BuildError, OSError):  # not whole yet
                    continue
                waiting.discard(name)
            if not begun and 2 * len(waiting) < len(self._packages):
                begun = True
                self._half()


def _state(path: Path) -> _State:
    state = path.stat()
    return state.st_ino, state.st_mtime_ns, state.st_size
