"""Reading where an object is a stream of bytes: whole into memory when it is small, else into whatever takes it."""

from __future__ import annotations

from collections.abc import Callable

from envbuild.objects import SMALL, Writer


class Streamed:
    """The three of ``envbuild.objects.Objects`` that follow from ``_stream`` and the address that people may see."""

    _shown: str

    @property
    def address(self) -> str:
        """The address as people may see it."""
        return self._shown

    def read(self, name: str, limit: int = SMALL) -> bytes | None:
        """A small object; see ``Objects.read``."""
        pieces: list[bytes] = []
        return b"".join(pieces) if self._stream(name, pieces.append, limit) else None

    def fetch(self, name: str, into: Writer, size: int | None = None) -> bool:
        """Stream an object; see ``Objects.fetch``."""
        return self._stream(name, into.write, size)

    def _stream(self, name: str, write: Callable[[bytes], object], limit: int | None) -> bool:
        """Hand every piece of an object to a function; False when there is none."""
        raise NotImplementedError
