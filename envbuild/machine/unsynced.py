"""Engines' caches that the disk may not have yet: what a loss of power may have torn is thrown away, not linked.

Engines unpack without syncing, and what they have unpacked once is linked into every later environment. It is on the
disk when the environment that it was unpacked for gets its name, for the whole file system is synced then. Until then a
mark says that it may not be: a file named after this machine and this boot, made before anything is unpacked. A mark of
another boot means that the machine has stopped meanwhile. Then any file of these caches may be empty or cut off under
its right name, and nothing tells which; all of them are made again from the store, whose files were synced each.

The marks are not synced either: a file system keeps the order of names, so what was made after a mark does not outlive
it. A process that was killed, that linked outside of the home alone, or whose environment another was faster to make,
leaves its mark, which costs the caches at the next start of the machine and nothing else; ``gc``, beside which nobody
unpacks, syncs and takes it away.
Where the system does not tell its boots apart (macOS), or nothing is ever synced (``fast``), there are no marks.

Rules of the file: decides by names alone; a mark goes with who made it, with the caches, or with a sync that nobody
unpacks beside.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from envbuild.machine.disk import writing
from envbuild.machine.home import Home
from envbuild.machine.publish import Durability, sync_file_system
from envbuild.machine.temporary import scratch_folder

TORN = ("rattler", "uv", "checked-wheels", "venvs")
"""The caches of engines whose files nobody syncs, and what is remembered of these files."""

_MARKS = "unsynced"
"""The folder of marks, below that of the caches."""

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_MACHINE = Path("/etc/machine-id")


class Unsynced:
    """What this process has had unpacked, and whether the disk has it.

    Args:
        home: Whose caches.
        durability: With ``fast`` there is nothing to tell.
        alone: A lock of the home, held while caches are thrown away.
        note: Told when that happens.
    """

    def __init__(
        self,
        home: Home,
        durability: Durability,
        alone: Callable[[], AbstractContextManager[object]],
        note: Callable[[str], None],
    ) -> None:
        self._home = home
        self._wanted = durability == "safe"
        self._alone = alone
        self._note = note
        self._guard = threading.Lock()
        self._mark: Path | None = None
        self._active = 0
        self._begun = 0

    @contextmanager
    def unpacking(self) -> Iterator[None]:
        """While engines unpack into their caches.

        Raises:
            NoSpaceError: When a mark cannot be made.
        """
        if not self._wanted:
            yield
            return
        with self._guard:
            if self._mark is None:
                self._mark = self._begin()
            self._begun += 1
            self._active += 1
        try:
            yield
        finally:
            with self._guard:
                self._active -= 1

    @contextmanager
    def syncing(self) -> Iterator[None]:
        """While the whole file system is synced: what was unpacked before, and nothing meanwhile, is on the disk."""
        with self._guard:
            still, begun = self._active == 0, self._begun
        yield
        with self._guard:
            if still and begun == self._begun and self._mark is not None:
                with suppress(OSError):  # it costs the caches once, at the next start
                    self._mark.unlink()
                self._mark = None

    def _begin(self) -> Path | None:
        """Throw away what another boot has left unsynced, and leave a mark of this one."""
        this = _boot()
        if this is None:
            return None
        machine, boot = this
        folder = self._home.cache / _MARKS
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            if _before(folder, machine, boot):
                with self._alone():
                    self._throw_away(_before(folder, machine, boot))
            mark = folder / f"{machine}.{boot}.{os.urandom(8).hex()}"
            mark.touch(mode=0o600)
        return mark

    def _throw_away(self, marks: list[Path]) -> None:
        if not marks:
            return
        with scratch_folder(self._home.scratch) as trash:
            for name in TORN:
                with suppress(FileNotFoundError):
                    (self._home.cache / name).rename(trash / name)
            for mark in marks:
                mark.unlink(missing_ok=True)
        self._note(
            "the machine stopped before what engines had unpacked was on the disk: it is unpacked again from the store"
        )


def leave_no_mark(cache: Path) -> None:
    """Sync what processes of this boot have left unsynced, and take their marks away; the home's lock is held alone."""
    this = _boot()
    marks = [*(cache / _MARKS).glob(".".join((*this, "*")))] if this is not None else []
    if not marks:
        return
    with writing(cache):
        for mark in marks if sync_file_system(cache) else ():
            mark.unlink(missing_ok=True)


def _before(folder: Path, machine: str, boot: str) -> list[Path]:
    """The marks of this machine's other boots."""
    return [
        folder / name
        for name in os.listdir(folder)  # noqa: PTH208  names alone
        if name.startswith(f"{machine}.") and not name.startswith(f"{machine}.{boot}.")
    ]


def _boot() -> tuple[str, str] | None:
    """What tells this machine from others, and this boot from earlier ones; None where the system does not say."""
    try:
        boot = _BOOT.read_text("ascii").strip()
    except OSError:
        return None
    try:
        machine = _MACHINE.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        machine = ""
    return machine or os.uname().nodename.replace(".", "-").replace("/", "-"), boot
