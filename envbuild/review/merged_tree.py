"""The files of a merge that is not there yet, as far as a recipe needs them.

What only one side changed is that side's; what both changed is merged by ``git merge-file``, line by line, as git
itself does; where lines conflict, the file has git's markers, and whoever reads it says so. What one side renamed has
the new path; git finds out which, and is asked only where a file does not stand at one path in all three. What one side
added to a folder that the other renamed stands in the renamed one. Written are the recipe, its bases, what they
include, their locks and the projects' files, into a folder of its own: the working tree is not touched, for git is
still working on it.

Rules of the file: reads the repository; writes into the folder that it is given.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from envbuild.errors import EnvbuildError, InvalidInput
from envbuild.locks.lock_writing import lock_text
from envbuild.locks.lockfile import parse_lock
from envbuild.locks.three_way import joined
from envbuild.review.folder_renames import folder_renames, follow, origin
from envbuild.review.git import Repository
from envbuild.review.git_objects import Blobs, Entry
from envbuild.review.parted import Parted


class MergedTree:
    """Three commits as one tree.

    Args:
        repository: Where they are.
        commits: The commits.
        blobs: Reads their files.
        folder: Where files are written, under the paths that git has.
    """

    def __init__(self, repository: Repository, commits: Parted, blobs: Blobs, folder: Path) -> None:
        self._repository = repository
        self._blobs = blobs
        self.folder = folder
        self._written: set[str] = set()
        self._commits = [place.commit if place else None for place in (commits.base, commits.ours, commits.theirs)]
        self._three: dict[str, list[Entry | None]] = {}
        self._renames: list[dict[str, str]] | None = None
        self._folders: list[dict[str, str]] | None = None

    def has(self, path: str) -> bool:
        """Whether the merge has a file; one that a side removed and the other changed is there."""
        _, ours, theirs = self._at(path)
        return bool(ours or theirs) if self._both_changed(path) else self._plain(path) is not None

    def is_torn(self, path: str) -> bool:
        """Whether one side removed a file that the other changed: git leaves that in conflict."""
        base, ours, theirs = self._ids(path)
        return base is not None and None in {ours, theirs} and self._both_changed(path)

    def below(self, folder: str) -> Iterator[str]:
        """The files of the merge below a folder."""
        found = [item.path for commit in self._commits[1:] if commit for item in self._blobs.files(commit, folder)]
        for side, folders in zip(self._commits[:0:-1], self._renamed_folders(), strict=True):
            added = [item for place in origin(f"{folder}/", folders) for item in self._files(side, place)]
            found += [follow(item, folders) or item for item in added]
        yield from filter(self.has, dict.fromkeys(found))

    def write(self, path: str) -> Path | None:
        """Write a file; None when the merge has none of that path.

        Raises:
            InvalidInput: When git does not give its bytes.
        """
        if not self.has(path):
            return None
        file = self.folder / path
        if path not in self._written:
            self._written.add(path)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(self._bytes(path))
            if any(entry is not None and entry.executable for entry in self._at(path)[1:]):
                file.chmod(0o755)
        return file

    def _at(self, path: str) -> list[Entry | None]:
        """A file of the merge where both began, on our side and on theirs; git says which path each has it at."""
        if path not in self._three:
            found = [self._blobs.file(commit, path) if commit else None for commit in self._commits]
            if None in found and any(found):
                ours, theirs = self._renamed()
                if path in {*ours.values(), *theirs.values()} - {*ours, *theirs}:
                    found = [None, None, None]  # it has another name now
                elif (old := ours.get(path) or theirs.get(path)) is not None:
                    paths = (old, path if path in ours else old, path if path in theirs else old)
                    found = [
                        self._blobs.file(commit, place) if commit else None
                        for commit, place in zip(self._commits, paths, strict=True)
                    ]
                elif self._leaves(path, found):
                    found = [None, None, None]
            elif not any(found):
                found = self._arrives(path)
            self._three[path] = found
        return self._three[path]

    def _renamed(self) -> list[dict[str, str]]:
        """The files that each side renamed: the new path, and the old one."""
        if self._renames is None:
            base, *sides = self._commits
            self._renames = [self._repository.renames(base, side) if base and side else {} for side in sides]
        return self._renames

    def _renamed_folders(self) -> list[dict[str, str]]:
        """The folders that each side renamed: the old path, and the new one."""
        if self._folders is None:
            self._folders = []
            for side, files in zip(self._commits[1:], self._renamed(), strict=True):
                folders = folder_renames(files)
                self._folders.append({old: new for old, new in folders.items() if not any(self._files(side, old))})
            if any(self._folders):
                said = (self._repository.ask("config", "merge.directoryRenames") or b"").strip().lower()
                if said in {b"false", b"no", b"off", b"0"}:
                    self._folders = [{}, {}]
        return self._folders

    def _files(self, commit: str | None, folder: str) -> Iterator[str]:
        return (item.path for item in self._blobs.files(commit, folder)) if commit else iter(())

    def _leaves(self, path: str, found: list[Entry | None]) -> bool:
        """Whether one side added a file to a folder that the other renamed."""
        base, ours, theirs = found
        renamed_here, renamed_there = self._renamed_folders()
        folders = renamed_there if ours is not None else renamed_here
        return base is None and None in {ours, theirs} and follow(path, folders) is not None

    def _arrives(self, path: str) -> list[Entry | None]:
        """A file that one side added to a folder which the other renamed to the one of this path."""
        for side, folders in zip((2, 1), self._renamed_folders(), strict=True):
            for old in origin(path, folders):
                found = [self._blobs.file(commit, old) if commit else None for commit in self._commits]
                if found[side] is not None and found.count(None) == 2 and follow(old, folders) == path:
                    return found
        return [None, None, None]

    def _ids(self, path: str) -> list[str | None]:
        return [entry.blob if entry is not None else None for entry in self._at(path)]

    def _both_changed(self, path: str) -> bool:
        base, ours, theirs = self._ids(path)
        return ours not in {theirs, base} and theirs != base

    def _plain(self, path: str) -> str | None:
        """The id of a file that at most one side changed."""
        base, ours, theirs = self._ids(path)
        return theirs if ours == base else ours

    def _bytes(self, path: str) -> bytes:
        if not self._both_changed(path):
            blob = self._plain(path)
            assert blob is not None
            return self._blobs.read(blob)
        texts = [self._blobs.read(blob) if blob is not None else b"" for blob in self._ids(path)]
        if path.endswith(".lock.yaml") and (lock := _merged_lock(path, texts)) is not None:
            return lock
        return merged_lines(self._repository, *texts)[0]


def _merged_lock(path: str, texts: list[bytes]) -> bytes | None:
    """The lock of a base that both sides changed, as its own solve is told of it."""
    try:
        base = parse_lock(texts[0], path) if texts[0] else None
        return lock_text(joined(base, parse_lock(texts[1], path), parse_lock(texts[2], path)).lock).encode()
    except EnvbuildError:
        return None


def merged_lines(repository: Repository, base: bytes, ours: bytes, theirs: bytes) -> tuple[bytes, bool]:
    """Three texts merged line by line, and whether that went without a conflict.

    Raises:
        InvalidInput: ``merge-conflict`` when git cannot do it, as with what is no text.
    """
    with TemporaryDirectory(prefix="envbuild-merge-") as folder:
        files = [Path(folder, name) for name in ("ours", "base", "theirs")]
        for file, data in zip(files, (ours, base, theirs), strict=True):
            file.write_bytes(data)
        command = ["merge-file", "-p", "-q", "-L", "ours", "-L", "base", "-L", "theirs", *map(str, files)]
        clean = repository.ask(*command)
        found = clean if clean is not None else repository.ask(*command, codes=range(1, 128))
    if found is None:
        raise InvalidInput("git cannot merge this file", reference="merge-conflict")
    return found, clean is not None
