"""Bytes by where they come from: what a plan expects to move, and what a run has moved.

Both are added up in the same way, file by file, each file once, so that they can be compared.

Rules of the file: pure.
"""

from __future__ import annotations

from collections.abc import Iterable

from envbuild.digest import Digest
from envbuild.package import (
    ChannelOrigin,
    FolderOrigin,
    GitOrigin,
    IndexOrigin,
    InterpreterOrigin,
    LinksOrigin,
    Origin,
)
from envbuild.value import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A place that bytes come from.

    Attributes:
        kind: ``store``, ``channel``, ``index``, ``find-links``, ``url``, ``git``, ``folder`` or ``interpreters``.
        name: In the recipe's words; of a store as it is configured.
    """

    kind: str
    name: str

    def __str__(self) -> str:
        return self.name if self.kind in {"channel", "url"} else f"{self.kind} {self.name}".rstrip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """What comes from one source.

    Attributes:
        files: How many; ``size``: their bytes, as far as they are known.
        unknown: Of these files, how many whose sizes nobody told.
    """

    source: Source
    files: int
    size: int
    unknown: int = 0


def source_of(origin: Origin) -> Source:
    """Where a file comes from when no store has it."""
    if isinstance(origin, ChannelOrigin):
        return Source(kind="channel", name=origin.channel)
    if isinstance(origin, IndexOrigin):
        return Source(kind="index", name=origin.index)
    if isinstance(origin, LinksOrigin):
        return Source(kind="find-links", name=origin.location)
    if isinstance(origin, InterpreterOrigin):
        return Source(kind="interpreters", name="")
    if isinstance(origin, GitOrigin):
        return Source(kind="git", name=origin.url)
    if isinstance(origin, FolderOrigin):
        return Source(kind="folder", name=origin.path)
    return Source(kind="url", name=origin.url)


def add_up(files: Iterable[tuple[Source, Digest, int | None]]) -> tuple[Moved, ...]:
    """What comes from each source, the most first.

    Args:
        files: Source, sha256 and size of each; one that stands there twice counts once, where it stands first.
    """
    sums: dict[Source, list[int]] = {}
    seen: set[Digest] = set()
    for source, digest, size in files:
        if digest not in seen:
            seen.add(digest)
            into = sums.setdefault(source, [0, 0, 0])
            into[0] += 1
            into[1] += size or 0
            into[2] += size is None
    found = [
        Moved(source=source, files=files, size=size, unknown=unknown) for source, (files, size, unknown) in sums.items()
    ]
    return tuple(sorted(found, key=lambda item: (-item.size, item.source.kind, item.source.name)))
