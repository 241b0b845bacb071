"""How many questions are in flight at a store that does not keep up: fewer after a failure, slowly more after answers.

Many nodes that each keep dozens of requests in flight make a busy server answer none in time, and asking it all again
makes that worse. So a failure that may pass halves what this process has in flight, once for all that failed together,
and as many answers as are in flight let in one more: additive increase, multiplicative decrease, as TCP does (RFC
5681). As long as nothing fails there is no bound here.

A server that needs seconds for the first byte of an answer is behind already, and what is asked of it too early is
asked twice in the end: such an answer halves what is in flight as a failure does, though not below ``FEW``, and lets
nobody else in. Where many nodes wait for one server, a few of each are more than it answers before they give up: once
an answer took a third of that time, each asks one thing after the other.

Rules of the file: knows no store; threads wait in no order.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from envbuild.errors import UnreachableError
from envbuild.objects.failures import STALL

LATE = 2.0
"""Seconds to the first byte of an answer after which a server is behind."""

FAR_BEHIND = STALL / 3
"""Seconds to the first byte of an answer after which one question at a time is enough."""

FEW = 4
"""In flight at least at a server that is behind, though not far, and does not fail."""


class Window:
    """Bounds the questions in flight. Safe to enter from many threads."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._most: float | None = None
        self._inside = 0
        self._losses = 0
        self._cut = 0.0

    @property
    def most(self) -> float | None:
        """How many may be in flight now; None for any number."""
        return self._most

    def answered(self, began: float) -> None:
        """The first byte of an answer came.

        Args:
            began: When it was asked for, by ``time.monotonic``.
        """
        now = time.monotonic()
        waited = now - began
        if waited < LATE:
            return
        least = float(FEW) if waited < FAR_BEHIND else 1.0
        with self._changed:
            if began >= self._cut:  # else it was under way when we learned that already
                self._cut = now
                half = max(least, min(self._inside, self._most or self._inside) / 2)
                self._most = half if self._most is None else min(self._most, half)

    @contextmanager
    def one(self) -> Iterator[None]:
        """Ask one question inside; waits while too many are in flight."""
        with self._changed:
            self._changed.wait_for(lambda: self._most is None or self._inside < max(1, int(self._most)))
            self._inside += 1
            losses = self._losses
        began = time.monotonic()
        lost = False
        try:
            yield
        except UnreachableError as error:
            lost = error.retryable
            raise
        finally:
            with self._changed:
                if lost and losses == self._losses:  # else it was under way at a loss that counts already
                    self._losses += 1
                    self._most = max(1.0, self._inside / 2)
                elif not lost and self._most is not None and began >= self._cut:  # else it came late, or beside such
                    self._most += 1 / self._most
                self._inside -= 1
                self._changed.notify_all()
