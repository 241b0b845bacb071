"""Files of wheels in each other's way, in conda's, or in a package that another wheel brings: told, or refused.

Places with one hash in RECORD hold the same, which nobody need know. Where they differ, the wheel that comes later in
the lock wins, and a wheel wins over conda's packages, for it is put there afterwards. uv installs all wheels of a call
at once and the fastest wins, so that those that must win come with a later call.

A wheel may also add files to a package whose ``__init__.py`` is another's: that is how plugins are made, and how
packages are changed behind their back. A folder that several make importable, or one whose ``__init__.py`` says so, is
a namespace, and nobody's.

Rules of the file: works on what is known of wheels; reads the lists of those alone that have the beginning of a path in
common, and a file only where two want its place.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from envbuild.digest import file_pieces
from envbuild.errors import IntegrityError
from envbuild.linkers.checked_wheel import CheckedWheel, files_of
from envbuild.linkers.clobber import CondaFiles, report, shared_paths
from envbuild.package import Wheel
from envbuild.value import dataclass

if TYPE_CHECKING:
    from envbuild.derivations import Context

_SHOWN = 3


CheckedWheels = Sequence[tuple[Path, Wheel, CheckedWheel]]
"""Verified wheel files with what the lock says and what was found in them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """How wheels are installed.

    Attributes:
        rounds: The number of the call of uv for each wheel, from 0.
        taken: Places that several wheels fill, as each may spell them.
    """

    rounds: tuple[int, ...]
    taken: frozenset[str] = frozenset()


def order_wheels(wheels: CheckedWheels, conda: CondaFiles, prefix: Path, site: str, context: Context) -> Order:
    """Decide about files in each other's way, before any wheel is installed.

    Args:
        wheels: In the lock's order.
        conda: The files of conda's packages in the prefix.
        prefix: Holds those.
        site: The ``site-packages`` in it, relative.
        context: For the setting, notes, and the memory of wheels.

    Raises:
        IntegrityError: ``clobber``.
    """
    near = _near(wheels, prefix if conda else None, site)
    if not near:
        return Order(rounds=(0,) * len(wheels))
    memory = context.engine_cache("checked-wheels")
    twice = (prefix / "lib64").is_symlink()
    hashes: list[Mapping[str, str]] = [
        _files(item, memory, site, twice=twice) if number in near else {} for number, item in enumerate(wheels)
    ]
    others = [{_place(path, site): path for path in paths} for _, paths in conda]
    shared = shared_paths([*hashes, {place for paths in others for place in paths}])
    _tell_guests(wheels, hashes, conda, others, prefix, context)
    lost: dict[tuple[str, str, str], list[str]] = {}
    before: dict[int, set[int]] = {}
    for place in sorted(shared):
        owners = [number for number, stated in enumerate(hashes) if place in stated]
        if not owners:
            continue
        winner = owners[-1]
        named, stated = _label(wheels[winner][1]), hashes[winner][place]
        for number in owners[:-1]:
            if hashes[number][place] != stated or stated == "-":
                before.setdefault(winner, set()).add(number)
                label = _label(wheels[number][1])
                lost.setdefault((label, named, wheels[winner][1].name), []).append(_shown(place, site))
        for (package, _), paths in zip(conda, others, strict=True):
            if place in paths and not _is_stated(prefix / paths[place], stated):
                label = f"{package.name} {package.version}"
                lost.setdefault((label, named, wheels[winner][1].name), []).append(paths[place])
    for (label, named, stays), several in lost.items():
        report(label, named, several, stays, usual="warn", context=context)
    rounds: list[int] = []
    for number in range(len(wheels)):
        rounds.append(max((rounds[earlier] + 1 for earlier in before.get(number, ())), default=0))
    taken = {spelling for place in shared for spelling in _spellings(place, site)} if before else set()
    return Order(rounds=tuple(rounds), taken=frozenset(taken))


def _near(wheels: CheckedWheels, prefix: Path | None, site: str) -> set[int]:
    """The wheels that may have a file in common with another, or with conda's packages in a prefix."""
    owners: dict[str, list[int]] = {}
    for number, (_, _, found) in enumerate(wheels):
        for top in found.tops:
            owners.setdefault(top, []).append(number)
    if any(top.startswith(("/lib/", "/lib64/")) for top in owners):  # site-packages by another way
        return set(range(len(wheels)))
    near = {number for several in owners.values() if len(several) > 1 for number in several}
    if prefix is not None:
        for top, several in owners.items():
            if os.path.lexists(f"{prefix}{top}" if top.startswith("/") else f"{prefix}/{site}/{top}"):
                near.update(several)
    return near


def _files(item: tuple[Path, Wheel, CheckedWheel], memory: Path, site: str, *, twice: bool) -> dict[str, str]:
    """A wheel's places and hashes, those below ``site-packages`` by one spelling; ``twice``: ``lib64`` is ``lib``."""
    blob, wheel, found = item
    files = files_of(memory, wheel, found)
    if files is None:
        from envbuild.linkers.wheel_check import inspect_wheel

        files = inspect_wheel(blob, wheel).files or {}
    return {
        _place(place[1:], site, twice=twice) if place[:1] == "/" else place: stated for place, stated in files.items()
    }


def _spellings(place: str, site: str) -> tuple[str, ...]:
    path = _shown(place, site)
    return (place, f"/{path}", f"/lib64/{path[4:]}") if path.startswith("lib/") else (place, f"/{path}")


def _place(path: str, site: str, *, twice: bool = False) -> str:
    if twice and path.startswith("lib64/"):
        path = f"lib/{path[6:]}"
    return path[len(site) + 1 :] if path.startswith(f"{site}/") else f"/{path}"


def _shown(place: str, site: str) -> str:
    return place[1:] if place.startswith("/") else f"{site}/{place}"


def _label(wheel: Wheel) -> str:
    return f"{wheel.name} {wheel.version}"


def _is_stated(path: Path, stated: str) -> bool:
    """Whether a file of conda's has the hash that a wheel's RECORD states of its own."""
    if stated.startswith(("=", "-")) or not path.is_file():
        return False
    from envbuild.linkers.wheel_contents import is_stated

    return is_stated(file_pieces(path), stated)


def _is_namespace(path: Path) -> bool:
    from envbuild.linkers.wheel_contents import SMALL, is_namespace

    with path.open("rb") as stream:
        return is_namespace(stream.read(SMALL))


def _tell_guests(
    wheels: CheckedWheels,
    brought: Sequence[Mapping[str, str]],
    conda: CondaFiles,
    others: Sequence[dict[str, str]],
    prefix: Path,
    context: Context,
) -> None:
    """Tell or refuse wheels that put files into a package that one other owns."""
    owners: dict[str, list[str]] = {}
    for _, wheel, found in wheels:
        for folder in found.packages:
            owners.setdefault(folder, []).append(_label(wheel))
    folders = {folder for _, _, found in wheels for folder in found.folders}
    for (package, _), paths in zip(conda, others, strict=True):
        for folder in folders:
            file = paths.get(f"{folder}/__init__.py")
            if file is not None and not _is_namespace(prefix / file):
                owners.setdefault(folder, []).append(f"{package.name} {package.version}")
    guests: dict[str, list[tuple[str, str]]] = {}
    for number, (_, wheel, found) in enumerate(wheels):
        for folder in found.folders:
            if len(owners.get(folder, ())) == 1 and folder not in found.packages:
                example = next(place for place in brought[number] if place.startswith(f"{folder}/"))
                guests.setdefault(folder, []).append((_label(wheel), example))
    for folder, several in sorted(guests.items()):
        labels = [label for label, _ in several]
        named = ", ".join(labels[:_SHOWN]) + (" …" if len(labels) > _SHOWN else "")
        verb = "puts" if len(labels) == 1 else "put"
        what = f"{named} {verb} files into {folder}, a package of {owners[folder][0]}: {several[0][1]}"
        if context.clobber == "deny":
            raise IntegrityError(what, reference="clobber", hint="leave one of them out, or set `clobber: warn`")
        context.note(what)
