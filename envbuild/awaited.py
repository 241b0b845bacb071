"""What the derivations of a plan still wait for: how many inputs, and how many bytes of them.

Rules of the file: pure; every event costs what it names.
"""

from __future__ import annotations

from collections.abc import Iterable

from envbuild.digest import Digest
from envbuild.graph import Graph

_UNKNOWN = 1 << 40
"""Bytes of an input whose size nobody knows: a build, which takes long."""

_FEW = 4
"""An input that has more than so many times the bytes that are still awaited, or prepared, is not."""


class Awaited:
    """The inputs that are not there yet, of each derivation that waits."""

    def __init__(self) -> None:
        """Nobody waits."""
        self._count: dict[Digest, int] = {}
        self._bytes: dict[Digest, int] = {}

    def begin(self, graph: Graph, user: Digest, inputs: Iterable[Digest]) -> int:
        """A derivation begins to wait; gives for how many."""
        waits = list(inputs)
        self._count[user] = len(waits)
        self._bytes[user] = sum(graph[each].size or _UNKNOWN for each in waits)
        return len(waits)

    def came(self, graph: Graph, user: Digest, key: Digest) -> None:
        """One of the inputs is there."""
        self._count[user] -= 1
        self._bytes[user] -= graph[key].size or _UNKNOWN

    def all_came(self, user: Digest) -> bool:
        """Whether a derivation waits for no input any more."""
        return not self._count[user]

    def little_else(self, graph: Graph, user: Digest, key: Digest, beside: Iterable[Digest]) -> bool:
        """Whether an input has most of the bytes: of what is awaited, and of what is prepared beside it."""
        others = self._bytes[user] + sum(graph[each].size or _UNKNOWN for each in beside)
        return others * _FEW < (graph[key].size or 0)
