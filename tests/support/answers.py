"""What a test server answers with: requests as they came in, bodies, and the content of a folder.

Rules of the file: values only; the server itself, with its faults and counters, is in ``servers``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Incoming:
    """One request as it came in.

    Attributes:
        path: Decoded, without the query, beginning with a slash.
        headers: With lower-case names.
        at: ``time.monotonic()`` when it came.
        sent: The body of a POST.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    at: float
    sent: bytes = b""

    @property
    def range(self) -> str | None:
        """The ``Range`` header, if there is one."""
        return self.headers.get("range")


@dataclass(frozen=True, kw_only=True)
class Body:
    """What is answered: bytes or a file, and its type."""

    data: bytes | Path
    type: str = "application/octet-stream"
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes of the whole body."""
        return self.data.stat().st_size if isinstance(self.data, Path) else len(self.data)

    @property
    def etag(self) -> str:
        """Changes with the content (of a file: with size and time)."""
        if isinstance(self.data, Path):
            status = self.data.stat()
            return f'"{status.st_size:x}-{status.st_mtime_ns:x}"'
        return f'"{hashlib.sha256(self.data).hexdigest()[:24]}"'

    def read(self, first: int, last: int) -> bytes:
        """The bytes from ``first`` to ``last``, both included."""
        if isinstance(self.data, bytes):
            return self.data[first : last + 1]
        with self.data.open("rb") as stream:
            stream.seek(first)
            return stream.read(last + 1 - first)


Content = Callable[[Incoming], "Body | None"]
"""Answers a request; None is a 404."""


def folder_content(folder: Path) -> Content:
    """The files of a folder; nothing outside of it, no listings."""
    root = folder.resolve()

    def content(request: Incoming) -> Body | None:
        path = root / request.path.lstrip("/")
        if ".." in path.parts or not path.is_file():
            return None
        kinds = {".json": "application/json", ".html": "text/html", ".zst": "application/zstd"}
        return Body(data=path, type=kinds.get(path.suffix, "application/octet-stream"))

    return content
