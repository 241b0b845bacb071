"""What a collection of a shared store is told, and what it tells: which things stay, and what it did.

Rules of the file: values alone.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import field

from envbuild.digest import Digest
from envbuild.value import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What stays, and how long everything else does.

    Attributes:
        days: Days for which what was sent or locked stays without a root.
        grace: Days between announcing and deleting.
        keep_generations: Of tags that move, the newest generations that are roots; all when None.
        environments: Ids that stay: those of locks.
        largest: Bytes that the store may have: the oldest without a root goes until it has no more.
    """

    days: float = 30.0
    grace: float = 7.0
    keep_generations: int | None = None
    environments: frozenset[Digest] = frozenset()
    largest: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """Some of what is in a store: how many environments, results and blobs, and the bytes of everything."""

    environments: int = 0
    results: int = 0
    blobs: int = 0
    size: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What a collection did, or would do.

    Attributes:
        removed: What it deleted.
        announced: How many objects will be deleted by a later one, ``announced_size``: their bytes.
        due: Seconds until then; None when nothing is announced.
        kept: What stays, with what is announced; None when nothing was looked at, because nothing was due.
        names: Generations of names that were roots; ``pins``: environments that are pinned.
        odd: Names that are nothing of a store's, and were left alone.
    """

    removed: Share = field(default_factory=Share)
    announced: int = 0
    announced_size: int = 0
    due: float | None = None
    kept: Share | None = None
    names: int = 0
    pins: int = 0
    odd: int = 0


def share_of(counted: Counter[str]) -> Share:
    """What was counted, by kind, and ``size``."""
    return Share(
        environments=counted["environments"],
        results=counted["results"],
        blobs=counted["blobs"],
        size=counted["size"],
    )


def sum_of(one: Share, other: Share) -> Share:
    """Both."""
    return Share(
        environments=one.environments + other.environments,
        results=one.results + other.results,
        blobs=one.blobs + other.blobs,
        size=one.size + other.size,
    )
