"""Writeback: the system writes to the disk while there is still work to do.

A tree gets its name once the disk has it (``publish.sync_tree``), which for an environment that was unpacked just now
is hundreds of megabytes. The system of its own begins to write after seconds; asked each time that something is
unpacked, it has little left to write when the tree is ready. Who asks while the system writes is served by one more
round after it, so that there is never more than one.

Rules of the file: promises nothing; what goes wrong here is met by ``sync_tree``, which says it.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path

from envbuild.machine.publish import Durability, sync_file_system


class Writeback:
    """Has the system write, in a thread of its own.

    Args:
        durability: With ``fast`` nothing is ever waited for, so nothing is begun.
    """

    def __init__(self, durability: Durability) -> None:
        self._wanted = durability == "safe"
        self._guard = threading.Lock()
        self._running = False
        self._again: Path | None = None

    def begin(self, folder: Path) -> None:
        """Have the file system of an existing folder written; returns at once."""
        if not self._wanted:
            return
        with self._guard:
            self._again = folder
            if self._running:
                return
            self._running = True
        threading.Thread(target=self._run, name="writeback", daemon=True).start()

    def _run(self) -> None:
        while (folder := self._next()) is not None:
            with suppress(OSError):  # scratch that is gone again
                sync_file_system(folder)

    def _next(self) -> Path | None:
        with self._guard:
            folder, self._again = self._again, None
            self._running = folder is not None
            return folder
