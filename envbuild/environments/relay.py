"""The relay: carries what jobs say to the scheduler of the moment, or straight to the reporter between runs.

Rules of the file: jobs speak from their own threads; the reporter is only called from the thread that runs the loop.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from envbuild.digest import Digest
    from envbuild.reporter import Reporter
    from envbuild.scheduler import Scheduler


class Relay:
    """Where jobs speak to.

    Args:
        reporter: Told between runs.
    """

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._scheduler: Scheduler | None = None
        self._guard = threading.Lock()

    def lead(self, scheduler: Scheduler | None) -> None:
        """Lead to this scheduler from now on. What the one before was told too late is not lost."""
        with self._guard:
            before, self._scheduler = self._scheduler, scheduler
        if before is not None:
            before.hear()

    def note(self, text: str) -> None:
        """Something that a user must know."""
        with self._guard:
            (self._scheduler or self._reporter).note(text)

    def progress(self, key: Digest, done: int, total: int | None) -> None:
        """How far a job is."""
        with self._guard:
            (self._scheduler or self._reporter).progress(key, done, total)
