"""Objects in this process's memory, for tests and trials: gone with the process, one set of objects for each name."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from envbuild.objects import SMALL, Listed, Odd, Put, Writer, check_name, check_size, unheard

_PIECE = 1 << 20
_held: dict[str, dict[str, tuple[bytes, float]]] = {}
_guard = threading.Lock()


class MemoryObjects:
    """The objects of ``memory://NAME``; implements ``envbuild.objects.Objects``.

    Args:
        name: Whoever opens the same name has the same objects.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        with _guard:
            self._objects = _held.setdefault(name, {})

    @property
    def address(self) -> str:
        """The address."""
        return f"memory://{self._name}"

    def read(self, name: str, limit: int = SMALL) -> bytes | None:
        """A small object; see ``Objects.read``."""
        found = self._objects.get(check_name(name))
        if found is None:
            return None
        check_size(self.address, name, len(found[0]), limit)
        return found[0]

    def fetch(self, name: str, into: Writer, size: int | None = None) -> bool:
        """Stream an object; see ``Objects.fetch``."""
        found = self._objects.get(check_name(name))
        if found is None:
            return False
        if size is not None:
            check_size(self.address, name, len(found[0]), size)
        for start in range(0, len(found[0]), _PIECE):
            into.write(found[0][start : start + _PIECE])
        return True

    def put(self, name: str, source: Path | bytes) -> Put:
        """Create an object; see ``Objects.put``."""
        data = source if isinstance(source, bytes) else source.read_bytes()
        with _guard:
            if check_name(name) in self._objects:
                return "exists"
            self._objects[name] = (data, time.time())
            return "created"

    def sizes(self, names: Iterable[str]) -> Mapping[str, int]:
        """Sizes; see ``Objects.sizes``."""
        return {name: len(self._objects[name][0]) for name in names if check_name(name) in self._objects}

    def list(self, prefix: str, odd: Odd = unheard) -> Iterator[Listed]:
        """A listing; see ``Objects.list``."""
        with _guard:
            held = sorted(self._objects.items())
        for name, (data, modified) in held:
            if name.startswith(prefix):
                yield Listed(name=name, size=len(data), modified=modified)

    def delete(self, name: str) -> None:
        """Forget an object."""
        with _guard:
            self._objects.pop(check_name(name), None)
