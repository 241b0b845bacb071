"""Folders that one side of a merge renamed, and what the other side added to them.

Git takes a folder for renamed where a side has no file in it any more, and says by most of its files where to. What
the other side adds to it then comes to the new folder (``merge.directoryRenames``): at once, or as a conflict that only
asks whether that is right. Either way that is where it stands afterwards.

Rules of the file: decides; reads nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping


def folder_renames(files: Mapping[str, str]) -> dict[str, str]:
    """The folders that a side renamed, if it has nothing more in them: each old one, with the new.

    Args:
        files: The files that it renamed: the new path, and the old one.
    """
    counted: dict[str, Counter[str]] = {}
    for new, old in files.items():
        before, after = _parted(old, new)
        if before != after and before:
            counted.setdefault(before, Counter())[after] += 1
    found = {}
    for before, places in counted.items():
        (first, most), *others = places.most_common()
        if not others or others[0][1] < most:  # git follows no tie
            found[before] = first
    return found


def _parted(old: str, new: str) -> tuple[str, str]:
    """The folders of two paths, without what both end with: of ``a/x/f`` and ``b/x/f`` that is ``a`` and ``b``."""
    before, after = old.split("/")[:-1], new.split("/")[:-1]
    while len(before) > 1 and after and before[-1] == after[-1]:
        before, after = before[:-1], after[:-1]
    return "/".join(before), "/".join(after)


def follow(path: str, folders: Mapping[str, str]) -> str | None:
    """Where a file that was added to a folder comes to; None where it stays."""
    folder = path
    while "/" in folder:
        folder = folder.rpartition("/")[0]
        if folder in folders:
            return f"{folders[folder]}{path[len(folder) :]}".lstrip("/")
    return None


def origin(path: str, folders: Mapping[str, str]) -> list[str]:
    """From where a file may have come to a path."""
    return [
        f"{old}/{path.removeprefix(new + '/') if new else path}"
        for old, new in folders.items()
        if not new or path.startswith(f"{new}/")
    ]
