"""The state of a source folder: a digest of the names, sizes, times and kinds of everything in it.

It changes with every edit, and also with what is no edit (a touch, a new file that version control ignores); then the
folder itself is looked at. What version control says of it counts too: git's index, and the ignore files above.
Folders that it ignores (virtual environments, ``node_modules``) may be far larger than the source: a state names those
that it left out, and is read again without them. Should one come to be tracked or not ignored any more, then the index
or an ignore file has changed.

Rules of the file: standard library only, no file is opened: a `realize` with nothing to do pays for this.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterator
from pathlib import Path

ENTRIES = 20_000
"""Beyond it, reading the state is no short cut: there is none."""

_PASSED = frozenset({".git", ".hg", ".svn", ".bzr", "__pycache__"})


def folder_state(path: Path, ignored: Collection[str] = ()) -> str | None:
    """The state of a folder or file; None for one with too many entries, whose state nobody may rely on.

    What is not there has a state too: the empty text.

    Args:
        path: The folder or file.
        ignored: Folders in it, with ``/``, that are left out because version control ignores all that is in them.
    """
    lines = []
    left_out = frozenset(name for name in ignored if "\n" not in name)
    try:
        for number, line in enumerate(_lines(path, left_out)):
            if number > ENTRIES:
                return None
            lines.append(line)
    except OSError:
        return ""
    lines.sort()
    digest = hashlib.sha256("\0".join(lines).encode(errors="surrogateescape")).hexdigest()
    return "\n".join((digest, *sorted(left_out)))


def same_state(path: Path, state: str) -> bool:
    """Whether a folder or file has a state that it had."""
    return folder_state(path, state.split("\n")[1:]) == state


def _lines(path: Path, left_out: frozenset[str]) -> Iterator[str]:
    if not path.is_dir():
        yield _line(str(path), path.lstat())
        return
    folders = [(str(path), "")]
    while folders:
        folder, way = folders.pop()
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    if entry.name not in _PASSED and way + entry.name not in left_out:
                        folders.append((entry.path, f"{way}{entry.name}/"))
                else:
                    yield _line(entry.path, entry.stat(follow_symlinks=False))
    yield from _version_control(path.resolve())


def _version_control(folder: Path) -> Iterator[str]:
    """What decides, outside of the folder, which of its files count."""
    for place in (folder, *folder.parents):
        inside = os.path.lexists(place / ".git")
        for name in (".gitignore", ".git/index", ".git/info/exclude") if inside else (".gitignore",):
            try:
                yield _line(str(place / name), (place / name).lstat())
            except OSError:
                yield f"{place / name} is not there"
        if inside:
            return


def _line(path: str, state: os.stat_result) -> str:
    return f"{path} {state.st_mode:o} {state.st_size} {state.st_mtime_ns}"
