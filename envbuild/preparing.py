"""What the derivations of a plan still wait for, and which of their inputs are worth preparing meanwhile.

An input is worth preparing while much else is waited for: bytes that still have to come, and bytes whose preparation
began before the last input came. On a slow line that is true of nearly all, and each is prepared as it comes; on a fast
one inputs come faster than they are prepared, and it is soon true of none: ``realise`` readies many at once faster than
one by one. Bytes are what decides, for a plan knows no clock.

Rules of the file: pure; every event costs what it names, and the logarithm of what waits.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable

from envbuild.digest import Digest
from envbuild.job import Job

_UNKNOWN = 1 << 40
"""Bytes of an input whose size nobody knows: a build, which takes long."""

_FEW = 4
"""An input that has more than so many times the bytes that are waited for is not worth it."""


class Preparing:
    """The inputs that are not there yet, and the preparations of those that are, of each derivation that waits."""

    def __init__(self) -> None:
        """Nobody waits."""
        self._count: dict[Digest, int] = {}
        self._bytes: dict[Digest, int] = {}
        self._offered: dict[Digest, list[tuple[int, int, Job]]] = {}
        self._offers = 0
        self._begun: dict[Job, int] = {}

    def begin(self, user: Digest, sizes: Iterable[int | None]) -> int:
        """A derivation begins to wait for inputs of these sizes, in bytes, None where nobody knows; gives how many."""
        waits = [size or _UNKNOWN for size in sizes]
        self._count[user], self._bytes[user] = len(waits), sum(waits)
        return len(waits)

    def came(self, user: Digest, size: int | None) -> None:
        """One of the inputs is there."""
        self._count[user] -= 1
        self._bytes[user] -= size or _UNKNOWN

    def offered(self, job: Job, size: int | None) -> None:
        """An input of this size may be prepared."""
        self._offers += 1  # also keeps jobs from being compared
        heapq.heappush(self._offered.setdefault(job.key, []), (-(size or 0), self._offers, job))

    def started(self, job: Job, size: int | None) -> None:
        """A preparation began; once all inputs came, it is no reason to begin yet another."""
        if self._count[job.key]:
            self._begun[job] = size or _UNKNOWN
            self._bytes[job.key] += self._begun[job]

    def ended(self, job: Job) -> None:
        """A preparation is over, well or not."""
        self._bytes[job.key] -= self._begun.pop(job, 0)

    def pointless(self, user: Digest) -> list[Job]:
        """The preparations that are not worth it any more, each told once; some of them may have begun long ago."""
        left, offered = self._bytes[user], self._offered.get(user, [])
        found = []
        while offered and (not left or -offered[0][0] > left * _FEW):
            found.append(heapq.heappop(offered)[2])
        return found

    def withdrawn(self, user: Digest) -> list[Job]:
        """All preparations of a derivation that nobody needs any more, each told once."""
        return [job for _, _, job in self._offered.pop(user, [])]
