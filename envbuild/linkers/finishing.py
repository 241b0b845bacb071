"""Records in ``conda-meta`` finished while rattler still links other packages, and the disk set to work meanwhile.

Finishing sixty records takes 50 ms, and writing 12,000 new names to the disk as long: both after the link, where
nothing else is left to do. rattler writes a package's record when the package is linked, so each is finished, in
memory, as soon as it can be read as a whole; the files stay rattler's until it is done, for it reads them all once more
at its end. What the engine unpacked of a package is checked then too. Half way the system begins to write. What rattler
has touched again since (files of several packages move) is finished again.

Rules of the file: the link decides; what goes wrong while it runs is met by ``write``, which says it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

from envbuild.errors import BuildError, EnvbuildError
from envbuild.linkers.conda_meta import Linked, finished_record, record_name
from envbuild.package import CondaPackage

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
        check: Looks at a package in the folder that the engine unpacked it to, once, from any thread; its answer is
            handed on.
    """

    def __init__(
        self,
        folder: Path,
        packages: Sequence[CondaPackage],
        alias: Callable[[], str],
        half: Callable[[], None],
        check: Callable[[CondaPackage, str], bool],
    ) -> None:
        self._folder = folder
        self._packages = {record_name(package): package for package in packages}
        self._alias = alias
        self._half = half
        self._check = check
        self._done: dict[str, tuple[Linked, _State]] = {}
        self._checked: dict[str, bool | EnvbuildError] = {}
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

    def write(self, *, moved: bool) -> tuple[list[Linked], list[bool]]:
        """Finish and check what is left and write every record, once rattler is done.

        Args:
            moved: Files that gave way to other packages' may stand in records by the place that rattler moved them to.

        Returns:
            What is known of each, and what ``check`` said of it, in the order of the packages.

        Raises:
            BuildError: ``link-failed`` when there is no readable record of a package.
            EnvbuildError: As ``check``, of the first package that it refuses.
        """
        linked = [self._written(name, moved) for name in self._packages]
        return linked, [self._answer(name, found) for name, found in zip(self._packages, linked, strict=True)]

    def _answer(self, name: str, linked: Linked) -> bool:
        if name not in self._checked:
            return self._check(self._packages[name], linked.extracted)
        answer = self._checked[name]
        if isinstance(answer, EnvbuildError):
            raise answer
        return answer

    def _written(self, name: str, moved: bool) -> Linked:
        path = self._folder / name
        early = self._done.get(name)
        if early is not None and not moved and early[1] == _state(path):
            linked = early[0]
        else:
            linked = finished_record(path, self._packages[name], self._alias(), moved=moved)
        path.write_bytes(linked.record)
        path.chmod(0o644)
        return linked

    def _watch(self) -> None:
        waiting = set(self._packages)
        unchecked: list[str] = []
        begun = False
        while not self._over.wait(0 if unchecked else _LOOK):
            try:
                there = waiting.intersection(os.listdir(self._folder))  # noqa: PTH208  names alone
            except OSError:
                continue
            for name in there:
                path = self._folder / name
                try:
                    state = _state(path)  # before it is read: what is written meanwhile is another state
                    self._done[name] = (finished_record(path, self._packages[name], self._alias()), state)
                except (BuildError, OSError):  # not whole yet
                    continue
                waiting.discard(name)
                unchecked.append(name)
            if not begun and 2 * len(waiting) < len(self._packages):
                begun = True
                self._half()
            if unchecked:
                self._check_early(unchecked.pop())

    def _check_early(self, name: str) -> None:
        try:
            self._checked[name] = self._check(self._packages[name], self._done[name][0].extracted)
        except EnvbuildError as error:
            self._checked[name] = error
        except OSError:
            return  # met again in ``write``


def _state(path: Path) -> _State:
    state = path.stat()
    return state.st_ino, state.st_mtime_ns, state.st_size
