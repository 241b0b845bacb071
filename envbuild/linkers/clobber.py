"""Files that two packages bring: silent when both bring the same, refused or told when not, as the setting says.

conda's packages are refused unless ``clobber: warn``, for a channel is built as a whole and such a pair is a mistake of
one of both. Wheels are told of unless ``clobber: deny``: pip and uv let the last one win, and people live with it. Who
wins is decided by the lock, never by which thread was faster.

rattler writes files that give way into the folder ``__clobbers__`` of the prefix, but not the programs that it makes of
entry points: there the fastest would win, so that a package which lost is linked again without the others.

Rules of the file: compares what lies on the disk, not what packages say of it; looks only at paths that two have.
"""

from __future__ import annotations

import filecmp
import os
import shutil
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envbuild.errors import IntegrityError
from envbuild.package import CondaPackage

if TYPE_CHECKING:
    from envbuild.derivations import Clobber, Context

APART = "__clobbers__"
"""Where rattler puts files that give way, by the name of their package."""

CondaFiles = Sequence[tuple[CondaPackage, Sequence[str]]]
"""conda's packages in the lock's order, each with its paths in the prefix."""


def shared_paths(brought: Iterable[Collection[str]]) -> set[str]:
    """The paths that stand in more than one collection."""
    seen: set[str] = set()
    shared: set[str] = set()
    for paths in brought:
        if not seen.isdisjoint(paths):
            shared.update(seen.intersection(paths))
        seen.update(paths)
    return shared


def report(first: str, second: str, paths: Sequence[str], stays: str, *, usual: Clobber, context: Context) -> None:
    """Refuse or tell files that two packages bring with different contents.

    Args:
        first: One package, by name and version.
        second: The other.
        paths: At least one, from the prefix.
        stays: The one of both whose files are used.
        usual: What holds when the configuration says nothing.
        context: For the setting and notes.

    Raises:
        IntegrityError: ``clobber``.
    """
    more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    what = f"{first} and {second} both bring {paths[0]}{more}, with different contents"
    if (context.clobber or usual) == "deny":
        raise IntegrityError(
            what, reference="clobber", hint=f"leave one of them out; with `clobber: warn` {stays}'s would be used"
        )
    context.note(f"{what}: {stays}'s is used")


def settle_conda(
    prefix: Path, files: CondaFiles, again: Callable[[Collection[str], Path], None], context: Context
) -> None:
    """Decide about the files that several of conda's packages bring, and remove rattler's copies of those that lost.

    Args:
        prefix: As rattler left it, with records that are finished.
        files: Every package's.
        again: Links all packages but those of some names, into a folder.
        context: For the setting, notes and scratch.

    Raises:
        IntegrityError: ``clobber``.
    """
    _refuse_buried(prefix, files)
    apart = prefix / APART
    shared = shared_paths(paths for _, paths in files)
    lost: dict[tuple[str, str], list[str]] = {}
    undecided: dict[frozenset[str], list[str]] = {}
    label = {package.name: f"{package.name} {package.version}" for package, _ in files}
    owners: dict[str, list[str]] = {path: [] for path in sorted(shared)}
    for package, paths in files if shared else ():
        for path in shared.intersection(paths):
            owners[path].append(package.name)
    said = _said(prefix, files, owners) if shared else {}
    for path, names in owners.items():
        names.sort()
        unmoved = [name for name in names if not os.path.lexists(apart / name / path)]
        winner = (unmoved or names)[0]
        for name in names:
            if name == winner:
                continue
            if name in unmoved:
                differs = said[name].get(path) != said[winner].get(path)
                if differs:
                    undecided.setdefault(frozenset(set(unmoved) - {winner}), []).append(path)
            else:
                differs = not same_file(prefix / path, apart / name / path)
            if differs:
                lost.setdefault((name, winner), []).append(path)
    for (name, winner), paths in sorted(lost.items()):
        report(label[name], label[winner], paths, winner, usual="deny", context=context)
    for losers, paths in undecided.items():
        folder = prefix.parent / "without"
        again(losers, folder)
        for path in dict.fromkeys(paths):
            os.replace(folder / path, prefix / path)  # noqa: PTH105
        shutil.rmtree(folder)
    if apart.is_dir():
        shutil.rmtree(apart)


def _refuse_buried(prefix: Path, files: CondaFiles) -> None:
    """Refuse a file that is a folder to another package, whatever the setting: one of both would be gone."""
    folders: set[str] = set()
    for _, paths in files:
        for path in paths:
            folder = path.rpartition("/")[0]
            while folder and folder not in folders:
                folders.add(folder)
                folder = folder.rpartition("/")[0]
    for package, paths in files:
        for path in sorted(folders.intersection(paths)):
            if (prefix / path).is_symlink() or _is_folder(prefix, package, path):
                continue
            other = next(item for item, theirs in files if any(one.startswith(f"{path}/") for one in theirs))
            raise IntegrityError(
                f"{path} is a file of {package.name} {package.version}, and a folder of {other.name} {other.version}",
                reference="clobber",
                hint="leave one of them out",
            )


def _is_folder(prefix: Path, package: CondaPackage, path: str) -> bool:
    return any(entry["_path"] == path and entry.get("path_type") == "directory" for entry in _recorded(prefix, package))


def _recorded(prefix: Path, package: CondaPackage) -> Sequence[Mapping[str, Any]]:
    """What a package's record says of its paths."""
    import orjson

    record = prefix / "conda-meta" / f"{package.name}-{package.version}-{package.build}.json"
    entries: Sequence[Mapping[str, Any]] = orjson.loads(record.read_bytes()).get("paths_data", {}).get("paths", [])
    return entries


def _said(prefix: Path, files: CondaFiles, owners: Mapping[str, Sequence[str]]) -> dict[str, dict[str, object]]:
    """What the records of packages that share paths say that these hold: sha256 by package and path."""
    wanted = {name for names in owners.values() for name in names}
    return {
        package.name: {entry["_path"]: entry.get("sha256") for entry in _recorded(prefix, package)}
        for package, _ in files
        if package.name in wanted
    }


def same_file(one: Path, other: Path) -> bool:
    """Whether two paths hold the same: the same bytes, the same target of a link, or a folder each."""
    if one.is_symlink() or other.is_symlink():
        return one.is_symlink() and other.is_symlink() and one.readlink() == other.readlink()
    if one.is_file() and other.is_file():
        return filecmp.cmp(one, other, shallow=False)
    return one.is_dir() and other.is_dir()
