"""Objects in a dictionary that count what is asked of them, and fail, lie or lose what a test orders."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from envbuild.errors import EnvbuildError, UnreachableError
from envbuild.objects import SMALL, Listed, Odd, Put, Writer, check_name, check_size, unheard

Calls = list[tuple[str, str]]


class FaultyObjects:
    """Implements ``envbuild.objects.Objects``; see the module's docstring.

    Attributes:
        held: What is there, by name.
        calls: Every call and the name that it was about, in order.
        most: How many were in flight at a time, at most.
    """

    address = "faulty://store"

    def __init__(self, **held: bytes) -> None:
        self.held: dict[str, bytes] = {"format.json": b'{"format": 1}\n', **held}
        self.calls: Calls = []
        self.most = 0
        self.latency = 0.0
        self._open = 0
        self._faults: list[tuple[str, str, EnvbuildError, list[int]]] = []
        self._guard = threading.Lock()

    def fault(self, call: str, pattern: str = "*", error: EnvbuildError | None = None, *, after: int = 0) -> None:
        """From now on a call about names like this fails, ``after`` so many that do not."""
        self._faults.append((call, pattern, error or UnreachableError("nobody answers"), [after]))

    def count(self, call: str, pattern: str = "*") -> int:
        """How often something was asked."""
        return sum(name == call and fnmatchcase(about, pattern) for name, about in self.calls)

    def _asked(self, call: str, name: str, answer: Callable[[], Any]) -> Any:
        with self._guard:
            self.calls.append((call, name))
            self._open += 1
            self.most = max(self.most, self._open)
        try:
            time.sleep(self.latency)
            with self._guard:
                for wanted, pattern, error, left in self._faults:
                    if wanted in {call, "*"} and fnmatchcase(name, pattern):
                        left[0] -= 1
                        if left[0] < 0:
                            raise error
            return answer()
        finally:
            with self._guard:
                self._open -= 1

    def read(self, name: str, limit: int = SMALL) -> bytes | None:
        def answer() -> bytes | None:
            data = self.held.get(check_name(name))
            if data is not None:
                check_size(self.address, name, len(data), limit)
            return data

        found: bytes | None = self._asked("read", name, answer)
        return found

    def fetch(self, name: str, into: Writer, size: int | None = None) -> bool:
        data: bytes | None = self.held.get(name)
        if data:
            into.write(data[: len(data) // 2])
        return bool(self._asked("fetch", name, lambda: self._rest(name, data, into, size)))

    def _rest(self, name: str, data: bytes | None, into: Writer, size: int | None) -> bool:
        if data is None:
            return False
        if size is not None:
            check_size(self.address, name, len(data), size)
        into.write(data[len(data) // 2 :])
        return True

    def put(self, name: str, source: Path | bytes) -> Put:
        def answer() -> Put:
            data = source if isinstance(source, bytes) else source.read_bytes()
            with self._guard:
                if name in self.held:
                    return "exists"
                self.held[check_name(name)] = data
                return "created"

        told: Put = self._asked("put", name, answer)
        return told

    def sizes(self, names: Iterable[str]) -> Mapping[str, int]:
        several = list(names)
        found: dict[str, int] = self._asked(
            "sizes", str(len(several)), lambda: {name: len(self.held[name]) for name in several if name in self.held}
        )
        return found

    def list(self, prefix: str, odd: Odd = unheard) -> Iterator[Listed]:
        names = self._asked("list", prefix, lambda: sorted(name for name in self.held if name.startswith(prefix)))
        yield from (Listed(name=name, size=len(self.held[name]), modified=0.0) for name in names)

    def delete(self, name: str) -> None:
        self._asked("delete", name, lambda: self.held.pop(name, None))
