"""Objects in a table, with what goes wrong on the way to a store: for tests of names."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from envbuild.errors import UnreachableError
from envbuild.objects import SMALL, Listed, Odd, Put, Writer, check_name, unheard


class TableObjects:
    """A store in this process.

    Attributes:
        table: Name to bytes; tests change it as an enemy would.
        asked: Every call, as ``read NAME`` or ``put NAME``.
        lose: So many puts are done and then answered by an error; ``drop`` so many are not done.
        double: So many puts are done and answered ``exists``, as by a client that tried twice.
        down: Nothing is answered.
    """

    def __init__(self, address: str = "memory://table") -> None:
        self.address = address
        self.table: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.lose = self.drop = self.double = 0
        self.down = False
        self._lock = threading.Lock()

    def read(self, name: str, limit: int = SMALL) -> bytes | None:
        self._ask(f"read {check_name(name)}")
        return self.table.get(name)

    def fetch(self, name: str, into: Writer, size: int | None = None) -> bool:
        data = self.read(name)
        if data is not None:
            into.write(data)
        return data is not None

    def put(self, name: str, source: Path | bytes) -> Put:
        self._ask(f"put {check_name(name)}")
        data = source if isinstance(source, bytes) else source.read_bytes()
        with self._lock:
            if self.drop:
                self.drop -= 1
                raise UnreachableError("the put did not arrive", retryable=True)
            created = self.table.setdefault(name, data) is data
            if self.lose:
                self.lose -= 1
                raise UnreachableError("the answer was lost", retryable=True)
            if self.double:
                self.double -= 1
                return "exists"
        return "created" if created else "exists"

    def sizes(self, names: Iterable[str]) -> Mapping[str, int]:
        return {name: len(self.table[name]) for name in names if name in self.table}

    def list(self, prefix: str, odd: Odd = unheard) -> Iterator[Listed]:
        self._ask(f"list {prefix}")
        yield from (
            Listed(name=name, size=len(data), modified=0.0)
            for name, data in list(self.table.items())
            if name.startswith(prefix)
        )

    def delete(self, name: str) -> None:
        self.table.pop(name, None)

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        if self.down:
            raise UnreachableError("the store does not answer", retryable=True)
