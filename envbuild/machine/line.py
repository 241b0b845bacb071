"""The line to the world: how many large downloads share it.

When all of them share it, all end at its end, the largest last, and what is done with a file once it is there waits
until then. So large ones come a few at a time, the largest first. How many is tried: twice as many come in for as long
as that makes all together faster, for where each connection is slow but not the line, as with stores of clouds, many
are what fills it.

Rules of the file: no I/O; who waits here looks up often, so that a transfer that stands still keeps nobody out.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count

LARGE = 4 << 20
"""Bytes from which on a download is large; smaller ones are let in at once."""

FIRST = 2
"""How many large ones are let in at first."""

LOOK = 0.05
"""Seconds over which speed is measured."""

GATHER = 0.005
"""Seconds for which the first one waits for others that begin with it and may be larger."""

WORTH = 1.2
"""How much faster all must become for twice as many to be kept."""


class Line:
    """Counts those who are in, and lets in who waits; safe for threads.

    Args:
        given_up: Whether waiting is in vain; whoever waits is then let in, to meet that itself.
        clock: Seconds.
    """

    def __init__(self, given_up: Callable[[], bool], clock: Callable[[], float] = time.monotonic) -> None:
        self._given_up = given_up
        self._clock = clock
        self._changed = threading.Condition()
        self._waiting: set[tuple[int, int]] = set()
        self._numbers = count()
        self._inside = 0
        self._open = False
        self._allowed = FIRST
        self._trying = False
        self._settled = False
        self._speed = 0.0
        self._since, self._moved = clock(), 0

    @contextmanager
    def place(self, size: int | None) -> Iterator[Callable[[int], None]]:
        """A place on the line, which a large download waits for.

        Args:
            size: Bytes, when that is known.

        Yields:
            What is told the bytes of each piece that came.
        """
        if size is None or size < LARGE:
            yield lambda length: None
            return
        self._enter(size)
        try:
            yield self._came
        finally:
            with self._changed:
                self._inside -= 1
                self._open = bool(self._inside or self._waiting)
                self._changed.notify_all()

    def _enter(self, size: int) -> None:
        me = (-size, next(self._numbers))
        with self._changed:
            first = not (self._inside or self._waiting)
            self._waiting.add(me)
            if first:  # nothing has been measured while nobody was here
                self._changed.wait_for(self._given_up, GATHER)
                self._since, self._moved = self._clock(), 0
                self._open, self._trying, self._settled = True, False, False
                self._changed.notify_all()
            while not (self._has_room_for(me) or self._given_up()):
                self._changed.wait(LOOK)
                self._look()
            self._waiting.remove(me)
            self._inside += 1
            self._changed.notify_all()

    def _has_room_for(self, one: tuple[int, int]) -> bool:
        return self._open and self._inside < self._allowed and one == min(self._waiting)

    def _came(self, length: int) -> None:
        with self._changed:
            self._moved += length
            self._look()

    def _look(self) -> None:
        """Judge by the last moments whether more should be let in."""
        elapsed = self._clock() - self._since
        if elapsed < LOOK:
            return
        speed = self._moved / elapsed
        self._since, self._moved = self._clock(), 0
        if not self._waiting or self._inside < self._allowed:
            return
        if self._settled:
            if speed * 2 > self._speed:
                return
            self._settled = False  # it has become slower, or stands still: others may be faster
        elif self._trying and speed < WORTH * self._speed:
            self._allowed = max(FIRST, self._allowed // 2)
            self._trying, self._settled = False, True
            return
        self._speed, self._trying = speed, True
        self._allowed *= 2
        self._changed.notify_all()
