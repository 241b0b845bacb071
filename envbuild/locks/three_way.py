"""Two locks that went different ways, and the lock that both began with, become one: package by package.

What both sides agree on stays, what only one of them changed is that side's. What both changed differently has the
newer version: somebody chose it. Such a lock is no solution yet: what one side chose need not fit what the other did.
It holds what a solve is to prefer, so that only what does not fit is chosen anew.

It is a solution where nothing was mixed: each platform is one side's as a whole, and both sides answer one request.

Rules of the file: pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from envbuild.digest import Digest
from envbuild.errors import InvalidInput
from envbuild.lock import Lock, LockedEnvironment
from envbuild.locks.lockdiff import Package, newer
from envbuild.package import PLATFORMS, CondaPackage, Platform, SourcePackage, Wheel
from envbuild.recipe import ENVIRONMENTS
from envbuild.value import dataclass

NO_REQUEST = Digest("0" * 64)
"""The request of a lock that answers none."""

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """Two locks as one.

    Attributes:
        lock: What both hold; its request is ``NO_REQUEST`` unless it is ``whole``.
        whole: Whether nothing was mixed, so that it is right wherever it fits its recipe.
        undecided: Bases by name or id that both sides took anew, each as another environment.
    """

    lock: Lock
    whole: bool
    undecided: tuple[str, ...] = ()


def joined(base: Lock | None, ours: Lock, theirs: Lock) -> Joined:
    """One lock of two.

    Args:
        base: What both began with; None when that is not known, or there was none.
        ours: One side.
        theirs: The other.
    """
    whole = ours.request == theirs.request
    platforms = []
    for platform in PLATFORMS:
        three = [lock.environment(platform) if lock is not None else None for lock in (base, ours, theirs)]
        environment, pure = _environment(platform, *three)
        whole = whole and pure
        if environment is not None:
            platforms.append(environment)
    was = {item.path: item for item in base.bases} if base else {}
    bases, pure_bases = _table(was, {i.path: i for i in ours.bases}, {i.path: i for i in theirs.bases}, _first)
    cut_off, pure_cut_off = _choice(base.exclude_newer if base else None, ours.exclude_newer, theirs.exclude_newer)
    indices = {item.name: item for item in (*theirs.indices, *ours.indices)}
    whole = whole and pure_bases and pure_cut_off
    lock = Lock(
        request=ours.request if whole else NO_REQUEST,
        platforms=tuple(platforms),
        exclude_newer=cut_off,
        bases=tuple(sorted(bases, key=lambda item: _place(item.path, ours, theirs))),
        indices=tuple(indices[name] for name in sorted(indices)),
    )
    other = {item.path: item for item in theirs.bases}
    undecided = tuple(
        item.path
        for item in ours.bases
        if item.path.startswith(ENVIRONMENTS)
        and item.path in other
        and not _choice(was.get(item.path), item, other[item.path])[1]
    )
    return Joined(lock=lock, whole=whole, undecided=undecided)


def _place(path: str, ours: Lock, theirs: Lock) -> int:
    """Where a base stands among those of both sides."""
    order = [item.path for item in ours.bases] + [item.path for item in theirs.bases]
    return order.index(path)


def _choice(base: _Value | None, ours: _Value | None, theirs: _Value | None) -> tuple[_Value | None, bool]:
    """What one value becomes, and whether one side's word is enough for it."""
    if ours == theirs or theirs == base:
        return ours, True
    return (theirs, True) if ours == base else (ours, False)


def _environment(
    platform: Platform,
    base: LockedEnvironment | None,
    ours: LockedEnvironment | None,
    theirs: LockedEnvironment | None,
) -> tuple[LockedEnvironment | None, bool]:
    chosen, pure = _choice(base, ours, theirs)
    if pure:
        return chosen, True
    if ours is None or theirs is None:  # one took the platform away, the other changed it
        return ours or theirs, False
    try:
        return _mixed(platform, base, ours, theirs), False
    except InvalidInput:  # builds that need each other in a circle
        return ours, False


def _mixed(
    platform: Platform, base: LockedEnvironment | None, ours: LockedEnvironment, theirs: LockedEnvironment
) -> LockedEnvironment:
    conda = _packages([item.conda if item else () for item in (base, ours, theirs)])
    pypi = _packages([(*item.wheels, *item.sources) if item else () for item in (base, ours, theirs)])
    build = {item.file: item for item in (*theirs.build, *ours.build)}
    build_sources = {item.file: item for item in (*theirs.build_sources, *ours.build_sources)}
    python, _ = _choice(base.python if base else None, ours.python, theirs.python)
    return LockedEnvironment(
        platform=platform,
        python=python,
        interpreter=ours.interpreter,
        system=ours.system,
        conda=tuple(item for item in conda if isinstance(item, CondaPackage)),
        wheels=tuple(item for item in pypi if isinstance(item, Wheel)),
        sources=tuple(item for item in pypi if isinstance(item, SourcePackage)),
        build=tuple(build[file] for file in sorted(build)),
        build_sources=tuple(build_sources[file] for file in sorted(build_sources)),
        archive=ours.archive,
        variables=ours.variables,
        bytecode=ours.bytecode,
    )


def _packages(three: list[tuple[Package, ...]]) -> list[Package]:
    """The packages of one kind, sorted by name."""
    base, ours, theirs = ({item.name: item for item in packages} for packages in three)
    found, _ = _table(base, ours, theirs, lambda one, other: other if newer(one, other) else one)
    return sorted(found, key=lambda item: item.name)


def _first(one: _Value, other: _Value) -> _Value:
    return one


def _table(
    base: Mapping[str, _Value],
    ours: Mapping[str, _Value],
    theirs: Mapping[str, _Value],
    between: Callable[[_Value, _Value], _Value],
) -> tuple[list[_Value], bool]:
    """The values of a table, and whether one side's word was enough for each."""
    found: list[_Value] = []
    whole = True
    names: Iterable[str] = dict.fromkeys((*ours, *theirs))
    for name in names:
        mine, other = ours.get(name), theirs.get(name)
        chosen, pure = _choice(base.get(name), mine, other)
        whole = whole and pure
        if not pure and mine is not None and other is not None:
            chosen = between(mine, other)
        elif not pure:
            chosen = mine if mine is not None else other
        if chosen is not None:
            found.append(chosen)
    return found, whole
