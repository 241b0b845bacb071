"""Whose turn it is: a queue of jobs in which everybody who waits for some is served, and the most urgent of each first.

Jobs belong to *shares*, one for each of those who wait (the recipes of a run), and one for what several of them need.
Each share has a clock, which a job that is started moves on by what it costs; whose clock is furthest behind is next.
So one that has much to do keeps nobody waiting who has little. The clock of what several need goes slower the more
there are: it gets as much as all others together, for all of them wait for it.

With one share only, this is a queue by urgency.

Rules of the file: no clock but numbers; each call costs the logarithm of what waits, but for what ``first`` looks at.
"""

from __future__ import annotations

import heapq
from collections.abc import Container
from typing import Generic, TypeVar

COMMON = -1
"""The share of what several need."""

Item = TypeVar("Item")


class Turns(Generic[Item]):
    """Items that wait, by share."""

    def __init__(self, pending: Container[Item]) -> None:
        """A queue that nobody waits in.

        Args:
            pending: What is still to be had; an item that is not in it any more leaves when it is met.
        """
        self._pending = pending
        self._heaps: dict[int, list[tuple[int, int, Item]]] = {}
        self._clocks: dict[int, int] = {}
        self._rota: list[tuple[int, int]] = []
        self._on_rota: set[int] = set()
        self._offers = 0

    def put(self, item: Item, urgency: int, share: int) -> None:
        """Let an item wait; of two that are as urgent the earlier is first."""
        self._offers += 1  # also keeps items from being compared
        heapq.heappush(self._heaps.setdefault(share, []), (-urgency, self._offers, item))
        if share not in self._on_rota:
            self._on_rota.add(share)
            heapq.heappush(self._rota, (self._clocks.setdefault(share, 0), share))

    def spend(self, share: int, cost: int) -> None:
        """An item of a share was taken."""
        slower = max(1, len(self._clocks) - 1) if share == COMMON else 1
        self._clocks[share] = self._clocks.get(share, 0) + max(1, cost // slower)

    def first(self, limit: int | None, cost: int) -> list[Item]:
        """The first items, as their turns come; they stay.

        Args:
            limit: At most so many; None for all.
            cost: What one of them is taken to cost until it is taken.
        """
        kept: list[tuple[int, tuple[int, int, Item]]] = []
        met: dict[int, int] = {}
        ahead: list[tuple[int, int]] = []
        while limit is None or len(kept) < limit:
            share = self._next(ahead, met)
            if share is None:
                break
            entry = self._pop(share)
            if entry is None:
                self._on_rota.discard(share)
                continue
            kept.append((share, entry))
            slower = max(1, len(self._clocks) - 1) if share == COMMON else 1
            met[share] = met.get(share, self._clocks[share]) + max(1, cost // slower)
            heapq.heappush(ahead, (met[share], share))
        for share, entry in kept:
            heapq.heappush(self._heaps[share], entry)
        for share in met:
            heapq.heappush(self._rota, (self._clocks[share], share))
            self._on_rota.add(share)
        return [item for _, (_, _, item) in kept]

    def _next(self, ahead: list[tuple[int, int]], met: dict[int, int]) -> int | None:
        """The share that is furthest behind: of those that this look has met, and of the others."""
        while self._rota:
            clock, share = self._rota[0]
            if clock == self._clocks[share]:
                break
            heapq.heapreplace(self._rota, (self._clocks[share], share))  # it was served since
        if ahead and (not self._rota or ahead[0] < self._rota[0]):
            return heapq.heappop(ahead)[1]
        return heapq.heappop(self._rota)[1] if self._rota else None

    def _pop(self, share: int) -> tuple[int, int, Item] | None:
        heap = self._heaps[share]
        while heap:
            entry = heapq.heappop(heap)
            if entry[2] in self._pending:
                return entry
        return None
