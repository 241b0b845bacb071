"""The two protocols of a store: blobs by sha256, and results by key.

A store never overwrites: names are either digests of their content or written once (the first writer wins, and
records for one key are interchangeable). Absent is None; broken raises. Layers, checks and retries are decorators over
these protocols. The layout is the same for a folder and for object storage::

    format.json                            {"format": 1}
    blobs/sha256/ab/<hex>
    results/<kind>/ab/<key>.json
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, Protocol

from envbuild.derivations import Output
from envbuild.digest import Digest
from envbuild.package import Platform
from envbuild.value import dataclass

STORE_FORMAT = 1

Put = Literal["created", "exists"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The record of a derivation that was done.

    Attributes:
        outputs: By name.
        created: RFC 3339 UTC; for people and for age rules, never for a decision about content.
        seconds: How long it took, in milliseconds as an integer (records hold no floats).
        builder: envbuild's version and the engine's.
        notes: What had to be said while it was done.
    """

    kind: str
    key: Digest
    outputs: tuple[tuple[str, Output], ...]
    platform: Platform
    created: str
    milliseconds: int
    builder: str
    notes: tuple[str, ...] = ()

    def output(self, name: str = "out") -> Output:
        """One output.

        Raises:
            KeyError: When it has none of that name.
        """
        return dict(self.outputs)[name]


class Blobs(Protocol):
    """Bytes by sha256."""

    def known(self, digests: Iterable[Digest]) -> set[Digest]:
        """Which of these are here: one batched question, answered by names alone."""
        ...

    def path(self, digest: Digest) -> Path | None:
        """A local file with these bytes, or None. Not yet verified: see ``envbuild.store.verified``."""
        ...

    def put(self, path: Path, digest: Digest) -> Put:
        """Publish a file in one atomic step; the caller has hashed it."""
        ...

    def delete(self, digest: Digest) -> None:
        """Forget it; absent is fine."""
        ...

    def list(self) -> Iterator[tuple[Digest, int, float]]:
        """Every blob with its size in bytes and its time as the store states it; for gc and verify only."""
        ...


class Results(Protocol):
    """Small records by kind and key."""

    def known(self, kind: str, keys: Iterable[Digest]) -> set[Digest]:
        """Which of these are recorded."""
        ...

    def get(self, kind: str, key: Digest) -> Result | None:
        """One record, or None; a record that cannot be read is None and said once."""
        ...

    def put(self, result: Result) -> Put:
        """Record it, unless it already is."""
        ...

    def delete(self, kind: str, key: Digest) -> None:
        """Forget it; absent is fine."""
        ...

    def list(self, kind: str) -> Iterator[Digest]:
        """Every key of a kind; for gc and verify only."""
        ...
