"""Objects that may not be written, whatever the other side would allow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from envbuild.errors import UnreachableError
from envbuild.objects import SMALL, Listed, Objects, Odd, Put, Writer, unheard


class ReadOnly:
    """Reads pass, writes are refused here and never sent; implements ``envbuild.objects.Objects``.

    Args:
        inner: The objects.
    """

    def __init__(self, inner: Objects) -> None:
        self._inner = inner

    @property
    def address(self) -> str:
        """The address as people may see it."""
        return self._inner.address

    def read(self, name: str, limit: int = SMALL) -> bytes | None:
        """A small object; see ``Objects.read``."""
        return self._inner.read(name, limit)

    def fetch(self, name: str, into: Writer, size: int | None = None) -> bool:
        """Stream an object; see ``Objects.fetch``."""
        return self._inner.fetch(name, into, size)

    def put(self, name: str, source: Path | bytes) -> Put:
        """Refused.

        Raises:
            UnreachableError: ``read-only``, always.
        """
        raise self._refusal(name)

    def sizes(self, names: Iterable[str]) -> Mapping[str, int]:
        """Sizes; see ``Objects.sizes``."""
        return self._inner.sizes(names)

    def list(self, prefix: str, odd: Odd = unheard) -> Iterator[Listed]:
        """A listing; see ``Objects.list``."""
        return self._inner.list(prefix, odd)

    def delete(self, name: str) -> None:
        """Refused.

        Raises:
            UnreachableError: ``read-only``, always.
        """
        raise self._refusal(name)

    def _refusal(self, name: str) -> UnreachableError:
        return UnreachableError(
            f"{self.address} is read-only here: {name} is not changed",
            reference="read-only",
            hint="say mode: read-write for that store, if you may write there",
        )
