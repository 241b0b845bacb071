"""Locking: a recipe's request, its bases' locks and the lock there is become the lock there should be.

A lock that fits is left alone, byte for byte. One that does not is solved again with the versions that it held as
preferences, so that a changed line of a recipe changes only what it must. Bases are locked first, and what they hold is
pinned. The file appears in one step, after everything is solved.

Rules of the file: decides and assembles; solving is the scheduler's, the text ``envbuild.locks.lockfile``'s.
"""

from __future__ import annotations

import stat
from collections.abc import Generator, Mapping
from pathlib import Path
from shlex import quote
from types import MappingProxyType
from typing import TYPE_CHECKING

from envbuild.addresses import Addresses
from envbuild.digest import Digest
from envbuild.errors import InvalidInput, StaleError, UsageError, Where
from envbuild.graph import Graph
from envbuild.lock import Lock, LockedBase, LockedEnvironment
from envbuild.locks.lock_writing import lock_text
from envbuild.locks.lockdiff import Change, changes
from envbuild.locks.lockfile import LIMIT as LARGEST_LOCK
from envbuild.locks.lockfile import parse_lock
from envbuild.locks.place import lock_path
from envbuild.locks.staleness import stale_reasons
from envbuild.package import PLATFORMS, Platform
from envbuild.projects.checkout import replace_file
from envbuild.projects.impossible import impossible
from envbuild.projects.project import shown_path
from envbuild.request import BaseRequest, Request
from envbuild.value import dataclass, replace

if TYPE_CHECKING:
    from envbuild.locks.inheriting import NamedBase

_NO_BASES: Mapping[str, NamedBase] = MappingProxyType({})

Locking = Generator[Graph, "dict[Digest, bytes]", "Locked"]
"""A lock in the making: it stops for a graph to be run, and goes on with the fragments; several share one run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LockOptions:
    """What may change.

    Attributes:
        platforms: Only these are solved; empty for all. The others stay while their request is unchanged.
        upgrade: Forget every locked version.
        upgrade_packages: Forget these: ``NAME``, or ``NAME==VERSION`` to go to that one.
        upgrade_base: Take what the names of bases mean now, and not what the lock recorded.
        set_default: Let the lock be what ``reuse-latest`` finds for its request, also when it is not made now.
    """

    platforms: tuple[Platform, ...] = ()
    upgrade: bool = False
    upgrade_packages: tuple[str, ...] = ()
    upgrade_base: bool = False
    set_default: bool = False

    @property
    def upgrades(self) -> bool:
        """Whether a lock that fits is solved again all the same."""
        return self.upgrade or bool(self.upgrade_packages)


@dataclass(frozen=True, slots=True, kw_only=True)
class Locked:
    """A recipe and its lock.

    Attributes:
        recipe: The recipe's file. ``path``: the lock's.
        written: False when the lock already fitted, or was not to be written.
        changes: What differs from the lock before, by platform; empty when nothing does.
        dropped: Platforms whose old environments answered another request, and were not asked for now.
        bases: The bases' own locks, which were locked first.
    """

    recipe: Path
    path: Path
    request: Request
    lock: Lock
    written: bool
    changes: tuple[tuple[Platform, tuple[Change, ...]], ...] = ()
    dropped: tuple[Platform, ...] = ()
    bases: tuple[Locked, ...] = ()

    def files(self) -> tuple[Path, ...]:
        """This lock's file and those of all its bases."""
        return (self.path, *(path for base in self.bases for path in base.files()))

    def all_bases(self) -> tuple[Locked, ...]:
        """The bases, and theirs."""
        return (*self.bases, *(item for base in self.bases for item in base.all_bases()))


def read_lock(recipe: Path) -> Lock | None:
    """The lock beside a recipe, or None when there is none.

    Raises:
        InvalidInput: When it is malformed, or no file. IntegrityError: when it was edited.
    """
    data = _bytes(recipe)
    return None if data is None else parse_lock(data, shown_path(lock_path(recipe)))


def _bytes(recipe: Path) -> bytes | None:
    path = lock_path(recipe)
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise InvalidInput(
                "this is not a file", reference="bad-path", where=Where(file=shown_path(path)), hint="move it away"
            )
        with path.open("rb") as stream:
            return stream.read(LARGEST_LOCK + 1)
    except FileNotFoundError:
        return None


def lock_before(recipe: Path) -> Lock | None:
    """The lock beside a recipe as a solve is told of it; as ``read_lock``.

    Of one that the merge driver left in conflict, it is what both sides hold: it answers no request, so it fits none.
    """
    data = _bytes(recipe)
    if data is None:
        return None
    shown = shown_path(lock_path(recipe))
    if data.startswith(b"<<<<<<< "):
        from envbuild.locks.conflict import conflict_sides
        from envbuild.locks.three_way import NO_REQUEST, joined

        if (sides := conflict_sides(data)) is not None:
            both = joined(None, *(parse_lock(side, shown) for side in sides))
            return replace(both.lock, request=NO_REQUEST)
    return parse_lock(data, shown)


def check_lock(recipe: Path, request: Request, bases: tuple[Locked, ...], own: Mapping[str, Digest]) -> Lock:
    """The lock beside a recipe, when it fits; ``own`` as in ``stale_reasons``.

    Raises:
        StaleError: ``no-lock`` or ``stale``, with every reason that can be named.
    """
    lock = read_lock(recipe)
    shown = shown_path(recipe)
    if lock is None:
        raise StaleError(
            f"{shown} has no lock", reference="no-lock", where=Where(file=shown), hint=f"envbuild lock {quote(shown)}"
        )
    reasons = stale_reasons(lock, request, _locks(bases), own)
    if reasons:
        raise StaleError(
            f"the lock does not fit its recipe: {'; '.join(reasons)}",
            where=Where(file=shown_path(lock_path(recipe))),
            hint=f"envbuild lock {quote(shown)}",
        )
    return lock


def fitting_lock(recipe: Path, request: Request, bases: tuple[Locked, ...], own: Mapping[str, Digest]) -> Locked | None:
    """The lock beside a recipe, when there is one and it fits; ``own`` as in ``stale_reasons``."""
    lock = lock_before(recipe)
    if lock is None or stale_reasons(lock, request, _locks(bases), own):
        return None
    return Locked(recipe=recipe, path=lock_path(recipe), request=request, lock=lock, written=False, bases=bases)


def make_lock(
    recipe: Path,
    request: Request,
    bases: tuple[Locked, ...],
    options: LockOptions,
    cut_off: str | None,
    addresses: Addresses,
    *,
    named: Mapping[str, NamedBase] = _NO_BASES,
    ready: tuple[LockedEnvironment, ...] = (),
    write: bool = True,
) -> Locking:
    """Solve what has to be solved and write the lock: gives the graph to run, is sent its fragments, returns the lock.

    Args:
        recipe: The recipe's file.
        request: What it asks for.
        bases: Its bases, locked.
        options: What may change.
        cut_off: RFC 3339, the age in the request already turned into a date.
        addresses: For the canonical addresses in keys.
        named: Its bases that are environments, by label.
        ready: What is locked instead of a solve: an environment for every platform.
        write: Whether the file is written.

    Raises:
        UnsatisfiableError: When a platform has no solution; nothing is written then.
        IntegrityError: ``index-moved`` or ``channel-moved`` when a name would silently come from elsewhere;
            ``wrong-hash`` when a file that was chosen is none of those that a requirement's hashes name.
    """
    _refuse_twin(recipe)
    from envbuild.locks.asked_hashes import check_hashes
    from envbuild.locks.build_names import check_build_names, check_provides
    from envbuild.locks.inheriting import inherit
    from envbuild.locks.lock_graph import lock_graph, named_indices  # solving is not on the way of a lock that fits
    from envbuild.locks.moved import check_moves
    from envbuild.locks.upgrading import free_names, kept, upgraded

    locks = {**_locks(bases), **{label: base.lock for label, base in named.items()}}
    said, request = request, inherit(request, locks)
    if issues := impossible(request, request.recipe, Where(file=shown_path(recipe))):
        raise InvalidInput.of(issues)
    old = lock_before(recipe)
    every = tuple(item.platform for item in request.platforms)
    chosen = options.platforms or every
    if not ready:
        solves = lock_graph(
            upgraded(request, options.upgrade_packages),
            chosen,
            bases=locks,
            keep=None if options.upgrade else kept(old, options.upgrade_packages),
            cut_off=cut_off,
            addresses=addresses,
        )
        ready = solves.environments((yield solves.graph))
    environments = {item.platform: item for item in ready}
    check_moves(old, environments, request, free_names(options.upgrade_packages), locks)
    check_hashes(environments.values(), request)
    others = {item.platform: item for item in old.platforms if item.platform not in chosen} if old else {}
    if old is not None and old.request == said.id:
        environments |= {name: item for name, item in others.items() if name in every}
    ordered = tuple(environments[name] for name in every if name in environments)
    if len(ordered) == len(every):
        check_build_names(request, ordered)
        check_provides(request, ordered)
    lock = Lock(
        request=said.id,
        platforms=ordered,
        exclude_newer=cut_off,
        bases=tuple(
            _locked_base(base, locks[base.path], every)
            if base.request is not None
            else _named_base(base, named[base.path])
            for base in request.bases
        ),
        indices=named_indices(request, ordered),
    )
    return Locked(
        recipe=recipe,
        path=lock_path(recipe),
        request=said,
        lock=lock,
        written=write and write_lock(recipe, lock),
        changes=_changes(old, lock),
        dropped=tuple(sorted(set(others) - set(environments))),
        bases=bases,
    )


def _refuse_twin(recipe: Path) -> None:
    """``x.yaml`` beside ``x.yml`` would have the same lock."""
    twin = recipe.with_suffix(".yml" if recipe.suffix == ".yaml" else ".yaml")
    if twin.is_file() and not twin.samefile(recipe):
        raise InvalidInput(
            f"{twin.name} beside it would have the same lock, {lock_path(recipe).name}",
            reference="two-recipes",
            where=Where(file=shown_path(recipe)),
            hint="rename one of the two",
        )


def write_lock(recipe: Path, lock: Lock) -> bool:
    """Write a lock in one step, unless the file already holds these bytes; whether it was written.

    Raises:
        NoSpaceError: When it cannot be written; the old file is untouched then.
    """
    path = lock_path(recipe)
    data = lock_text(lock).encode()
    if path.is_file() and path.read_bytes() == data:
        return False
    replace_file(path, data)
    return True


def frozen_lock(recipe: Path) -> Lock:
    """The lock beside a recipe, whether it fits or not.

    Raises:
        InvalidInput: ``no-lock`` when there is none.
    """
    lock = read_lock(recipe)
    if lock is None:
        shown = shown_path(recipe)
        raise InvalidInput(
            f"there is no lock {lock_path(recipe).name} beside it",
            reference="no-lock",
            where=Where(file=shown),
            hint=f"envbuild lock {quote(shown)}",
        )
    return lock


def _locks(bases: tuple[Locked, ...]) -> dict[str, Lock]:
    return {base.request.recipe: base.lock for base in bases}


def check_platforms(recipe: Path, chosen: tuple[Platform, ...], request: Request) -> None:
    """Refuse platforms that a recipe is not for.

    Raises:
        UsageError: ``unknown-platform``.
    """
    every = tuple(item.platform for item in request.platforms)
    unknown = sorted(set(chosen) - set(every))
    if unknown:
        raise UsageError(
            f"{shown_path(recipe)} is for {', '.join(every)}, not for {', '.join(unknown)}",
            reference="unknown-platform",
            hint="add it under `platforms:` in the recipe"
            if set(unknown) <= set(PLATFORMS)
            else f"platforms are {', '.join(PLATFORMS)}",
        )


def _named_base(base: BaseRequest, named: NamedBase) -> LockedBase:
    """A base that is an environment: with all its platforms, for the name may mean another one tomorrow."""
    return LockedBase(path=base.path, request=named.request, environments=named.environments, pin=True)


def _locked_base(base: BaseRequest, lock: Lock, platforms: tuple[Platform, ...]) -> LockedBase:
    """A base as the lock records it: what it has for other platforms is none of this recipe's business."""
    assert base.request is not None
    return LockedBase(
        path=base.path,
        request=base.request,
        environments=tuple((item.platform, item.id) for item in lock.platforms if item.platform in platforms),
        pin=base.pin,
    )


def _changes(old: Lock | None, new: Lock) -> tuple[tuple[Platform, tuple[Change, ...]], ...]:
    found = []
    for environment in new.platforms:
        before = old.environment(environment.platform) if old is not None else None
        differences = changes(before, environment)
        if differences:
            found.append((environment.platform, differences))
    return tuple(found)
