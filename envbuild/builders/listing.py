"""Which files of a folder are its source: those that version control has, and those that it would take.

In a git work tree git itself says it: what is tracked, and what is neither tracked nor ignored. Elsewhere the
``.gitignore`` files found are applied by a library. Some things are never source: version control's own folders, what
Python leaves behind while it builds and runs, and envbuild's locks (a lock that a folder holds would say that
folder's digest). A folder that its own repository ignores is read like one outside of any. Nested repositories and
submodules count as they lie there.

Rules of the file: names only, no file's content but ``.gitignore``; nothing is written.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from envbuild.errors import InvalidInput, UnreachableError

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

AskGit = Callable[[Sequence[str], Path], "bytes | None"]
"""Runs git with arguments in a folder and gives what it wrote; None when there is no git.

Raises BuildError when git fails.
"""

MEMBERS = 500_000
"""Files that a source may have."""

_NEVER = frozenset({".git", ".hg", ".svn", ".bzr", "__pycache__"})
_NEVER_ENDS = (".egg-info", ".pyc", ".pyo", ".lock.yaml")


def source_files(folder: Path, ask: AskGit) -> list[str]:
    """The files and links of a source folder, with ``/``, sorted by their UTF-8 names.

    Args:
        folder: The folder; links above it are followed.
        ask: Runs git, without a network.

    Raises:
        UnreachableError: ``no-folder``.
        InvalidInput: ``bad-source`` for names that are not UTF-8, or too many of them.
        BuildError: ``git-failed``.
    """
    if not folder.is_dir():
        raise UnreachableError(f"{folder} is not a folder", reference="no-folder", hint="look at the recipe's `path:`")
    try:
        names = _list(folder, ask)
    except OSError as error:
        raise UnreachableError(f"{folder} cannot be read: {error.strerror}", reference="no-folder") from error
    encoded: list[tuple[bytes, str]] = []
    for name in names:
        try:
            encoded.append((name.encode(), name))
        except UnicodeEncodeError:
            shown = os.fsencode(name).decode(errors="replace")
            raise InvalidInput(f"{shown} has a name that is not UTF-8", reference="bad-source") from None
    if len(encoded) > MEMBERS:
        raise InvalidInput(f"{folder} has more than {MEMBERS} files", reference="bad-source")
    return [name for _, name in sorted(encoded)]


def ignored_folders(folder: Path, ask: AskGit) -> set[str]:
    """Folders in a folder, with ``/``, in which nothing is source because version control ignores all of it.

    Args:
        folder: The folder.
        ask: Runs git, without a network.

    Raises:
        BuildError: ``git-failed``.
    """
    if _repository(folder) is None:
        return set()
    listed = ask(("ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--directory"), folder) or b""
    return {os.fsdecode(name).rstrip("/") for name in listed.split(b"\0") if name.endswith(b"/")} - {"", "."}


def _list(folder: Path, ask: AskGit) -> set[str]:
    repository = _repository(folder)
    if repository is not None:
        found = _by_git(folder, ask)
        if found is None:
            return set(_by_walking(folder, _specs_above(folder, repository)))
        if found:
            return found
    return set(_by_walking(folder, []))


def _repository(folder: Path) -> Path | None:
    """The work tree that a folder lies in, by the presence of ``.git`` alone."""
    place = Path(os.path.realpath(folder))
    return next((above for above in (place, *place.parents) if (above / ".git").exists()), None)


def _by_git(folder: Path, ask: AskGit) -> set[str] | None:
    """What git says; None when there is no git."""
    listed = ask(("ls-files", "-z", "--cached", "--others", "--exclude-standard"), folder)
    if listed is None:
        return None
    found: set[str] = set()
    for raw in set(listed.split(b"\0")) - {b""}:
        name = os.fsdecode(raw).rstrip("/")
        path = folder / name
        if _never(name) or not os.path.lexists(path):  # tracked, and removed from the folder
            continue
        if path.is_dir() and not path.is_symlink():
            if (path / ".git").exists():  # a submodule that was checked out, or a repository of its own
                found |= {f"{name}/{inner}" for inner in _by_git(path, ask) or ()}
        elif path.is_file() or path.is_symlink():
            found.add(name)
    return found


def _never(name: str) -> bool:
    return any(part in _NEVER or part.endswith(_NEVER_ENDS) for part in name.split("/"))


def _by_walking(folder: Path, above: list[tuple[str, GitIgnoreSpec]]) -> Iterator[str]:
    """All files below that no ``.gitignore`` names.

    Args:
        folder: Where to begin.
        above: For each ``.gitignore`` above: the way from it to the folder, ``""`` or ending in ``/``, and its rules.
    """
    waiting: list[tuple[str, list[tuple[str, GitIgnoreSpec]]]] = [("", above)]
    while waiting:
        inner, specs = waiting.pop()
        place = folder / inner
        own = _spec(place)
        if own is not None:
            specs = [("", own), *specs]
        with os.scandir(place) as entries:
            for entry in entries:
                is_folder = entry.is_dir(follow_symlinks=False)
                if _never(entry.name) or _ignored(entry.name + ("/" if is_folder else ""), specs):
                    continue
                if is_folder:
                    waiting.append((f"{inner}{entry.name}/", [(f"{way}{entry.name}/", spec) for way, spec in specs]))
                elif entry.is_file(follow_symlinks=False) or entry.is_symlink():
                    yield inner + entry.name


def _ignored(name: str, specs: list[tuple[str, GitIgnoreSpec]]) -> bool:
    """The nearest ``.gitignore`` that says anything decides."""
    for way, spec in specs:
        said = spec.check_file(way + name).include
        if said is not None:
            return said
    return False


def _spec(folder: Path) -> GitIgnoreSpec | None:
    path = folder / ".gitignore"
    if path.is_symlink() or not path.is_file():
        return None
    from pathspec import GitIgnoreSpec

    return GitIgnoreSpec.from_lines(path.read_text("utf-8", "surrogateescape").splitlines())


def _specs_above(folder: Path, repository: Path) -> list[tuple[str, GitIgnoreSpec]]:
    specs: list[tuple[str, GitIgnoreSpec]] = []
    place = Path(os.path.realpath(folder))
    way = ""
    while place != repository:
        way = f"{place.name}/{way}"
        place = place.parent
        spec = _spec(place)
        if spec is not None:
            specs.append((way, spec))
    return specs
