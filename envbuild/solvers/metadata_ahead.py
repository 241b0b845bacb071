"""METADATA of wheels asked for while the engine still resolves.

The edges of a lock need the METADATA of each wheel, which the engine has read too but does not tell. With
``RUST_LOG`` it names each address that it asks for, as it does; what ends in ``.metadata`` is asked for here at once,
beside it. When the engine is done, what it chose is mostly there: a far index costs one round trip less.

Only a hint: what was not heard, or could not be read, is read afterwards as if nobody had listened. An engine that
says it in other words makes locking slower and nothing else.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import TYPE_CHECKING

from envbuild.errors import EnvbuildError
from envbuild.pattern import pattern
from envbuild.solvers.wheel_metadata import METADATA_LIMIT, PARALLEL, WheelMetadata, parse_ahead

if TYPE_CHECKING:
    from envbuild.derivations import Context

LOUD = {"RUST_LOG": "uv_client::cached_client=debug"}
"""What makes uv tell the addresses that it asks for; other lines stay as they are."""

MOST = 200
"""Addresses that are followed: beyond it the engine is searching, and most of what it reads is not chosen."""

_ASKED = pattern(r"DEBUG No cache entry for: (https?://\S+\.metadata)\s*")


class MetadataAhead:
    """What was heard and asked for; use it as a context."""

    def __init__(self, context: Context) -> None:
        """Nothing is asked yet."""
        self._context = context
        self._pool = ThreadPoolExecutor(max_workers=PARALLEL, thread_name_prefix="metadata")
        self._asked: dict[str, Future[WheelMetadata | None]] = {}

    def hear(self, line: str) -> None:
        """A line of what the engine says."""
        heard = _ASKED.fullmatch(line)
        if heard and heard[1] not in self._asked and len(self._asked) < MOST:
            self._asked[heard[1]] = self._pool.submit(self._read, heard[1])

    def _read(self, url: str) -> WheelMetadata | None:
        data = self._context.read(url, limit=METADATA_LIMIT)
        return parse_ahead(data) if data else None

    def heard(self, url: str) -> bool:
        """Whether an address was asked for."""
        return url in self._asked

    def metadata(self, url: str) -> WheelMetadata | None:
        """What stands at an address, when it was heard of and could be read; waits for it."""
        asked = self._asked.get(url)
        if asked is None:
            return None
        try:
            return asked.result()
        except EnvbuildError:
            return None

    def __enter__(self) -> MetadataAhead:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


def without_hints(said: str) -> str:
    """What the engine said, without the lines that ``LOUD`` adds."""
    return "".join(line for line in said.splitlines(keepends=True) if not line.startswith("DEBUG "))
