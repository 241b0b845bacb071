"""What differs between two states of recipes and locks, as values: for people, for pull requests, for scripts.

A package differs on a platform in one of seven ways; the first that applies is its ``how``::

    added, removed              it is in one of the two only
    upgraded, downgraded        another version
    rebuilt                     the same version: another build, other bytes, or built with other things
    moved                       the same bytes from another channel, index or address
    changed                     the same package, of which something else is told: its licence, what it requires

Platforms that agree (in everything but builds and sizes, which each platform has its own of) stand in one change.

Rules of the file: pure; holds what is shown and nothing more, for hundreds of locks are compared at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from envbuild.locks.lockdiff import How
from envbuild.review.reasons import Reason
from envbuild.review.requests import RequestChange
from envbuild.value import dataclass

Kind = Literal["conda", "pypi"]
Way = How | Literal["changed"]

WAYS: tuple[Way, ...] = ("added", "removed", "upgraded", "downgraded", "rebuilt", "moved", "changed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What is told of a package on one side.

    Attributes:
        build: Of a conda package its build, of a source its form; None for a wheel.
        origin: The channel or index as the lock writes it, or the address.
        digest: The beginning of its sha256, of what is rebuilt; else None.
        asked: Whether the recipe asked for it.
    """

    version: str
    build: str | None
    origin: str
    license: str | None
    size: int | None
    digest: str | None
    asked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Occurrence:
    """A change on one platform.

    Attributes:
        platform: Where; of two environments of different platforms ``linux-64 -> osx-arm64``.
        inputs: What else differs in the build of a source, by name.
        details: What else is told of a package that is ``changed``: ``requires``, ``constrains``, ``asked`` …
        reason: Why; None where nothing is known of it.
    """

    platform: str
    before: Held | None
    after: Held | None
    inputs: tuple[str, ...] = ()
    details: tuple[str, ...] = ()
    reason: Reason | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageChange:
    """One package that differs in the same way on some platforms.

    Attributes:
        direct: Whether a recipe asks, or asked, for it by name.
        on: Each platform; never empty.
    """

    kind: Kind
    name: str
    how: Way
    direct: bool
    on: tuple[Occurrence, ...]

    @property
    def before(self) -> Held | None:
        """One platform's; version, origin and licence are those of all."""
        return self.on[0].before

    @property
    def after(self) -> Held | None:
        """As ``before``."""
        return self.on[0].after

    @property
    def platforms(self) -> tuple[str, ...]:
        """Where."""
        return tuple(item.platform for item in self.on)

    @property
    def reason(self) -> Reason | None:
        """The shortest of the platforms' reasons."""
        return min((item.reason for item in self.on if item.reason), key=lambda reason: len(reason.chain), default=None)

    @property
    def origin(self) -> tuple[str, str] | None:
        """The two places that it comes from, when they differ."""
        return self._pair("origin")

    @property
    def license(self) -> tuple[str, str] | None:
        """The two licences, when they differ."""
        return self._pair("license")

    def _pair(self, word: str) -> tuple[str, str] | None:
        if self.before is None or self.after is None:
            return None
        was, now = getattr(self.before, word), getattr(self.after, word)
        return None if was == now else (was or "unknown", now or "unknown")


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadChange:
    """Something of an environment that is no package: its Python, what it assumes of the system.

    Attributes:
        platforms: Where; empty for what is the whole lock's.
    """

    what: str
    before: str | None
    after: str | None
    platforms: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Bytes to fetch for one platform, as far as they are known, and packages."""

    platform: str
    before: int | None
    after: int | None
    packages_before: int
    packages_after: int


State = Literal["added", "removed", "renamed", "changed", "same"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One recipe, or one pair of things, held against each other.

    Attributes:
        label: The recipe's path from the project's root; of a pair ``A -> B``.
        was: Its path before, when it was renamed.
        requests: What the recipe asks for that changed.
        heads: What of the lock changed beside packages.
        changes: Direct before transitive, then by kind and name.
        platforms: Platforms of both sides together.
        problems: What could not be read, one line each; nothing is known of that side then.
    """

    label: str
    state: State
    was: str | None = None
    requests: tuple[RequestChange, ...] = ()
    heads: tuple[HeadChange, ...] = ()
    changes: tuple[PackageChange, ...] = ()
    sizes: tuple[Sizes, ...] = ()
    platforms: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def different(self) -> bool:
        """Whether there is anything to tell."""
        return self.state != "same"

    def counts(self) -> dict[Way, int]:
        """How many packages differ in which way; a package that does so on several platforms counts once."""
        found = {way: len({(item.kind, item.name) for item in self.changes if item.how == way}) for way in WAYS}
        return {way: number for way, number in found.items() if number}


@dataclass(frozen=True, slots=True, kw_only=True)
class Diff:
    """Everything that differs between two states.

    Attributes:
        before: As people call it; ``after`` likewise.
        unchanged: Recipes that are the same on both sides.
    """

    before: str
    after: str
    compared: tuple[Compared, ...]
    unchanged: int = 0

    @property
    def different(self) -> bool:
        """Whether anything differs."""
        return any(item.different for item in self.compared)


def totals(diff: Diff) -> Mapping[Way, int]:
    """How many packages differ in which way, over all recipes."""
    found: dict[Way, int] = {}
    for item in diff.compared:
        for way, number in item.counts().items():
            found[way] = found.get(way, 0) + number
    return {way: found[way] for way in WAYS if way in found}
