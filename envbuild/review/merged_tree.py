"""The files of a merge that is not there yet, as far as a recipe needs them.

What only one side changed is that side's; what both changed is merged by ``git merge-file``, line by line, as git
itself does; where lines conflict, the file has git's markers, and whoever reads it says so. Written are the recipe, its
bases, what they include, their locks and the projects' files, into a folder of its own: the working tree is not
touched, for git is still working on it.

Rules of the file: reads the repository; writes into the folder that it is given.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from envbuild.errors import EnvbuildError, InvalidInput
from envbuild.locks.lockfile import lock_text, parse_lock
from envbuild.locks.three_way import joined
from envbuild.review.git import Blobs, Repository
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
        three = (commits.base, commits.ours, commits.theirs)
        entries = [tuple(repository.files(commit)) if commit else () for commit in three]
        self._base, self._ours, self._theirs = ({item.path: item.blob for item in several} for several in entries)
        self._executable = {item.path for several in entries[1:] for item in several if item.executable}

    def has(self, path: str) -> bool:
        """Whether the merge has a file; one that a side removed and the other changed is there."""
        return path in self._ours or path in self._theirs if self._both_changed(path) else self._plain(path) is not None

    def below(self, folder: str) -> Iterator[str]:
        """The files of the merge below a folder."""
        for path in dict.fromkeys((*self._ours, *self._theirs)):
            if (folder in {"", "."} or path == folder or path.startswith(f"{folder}/")) and self.has(path):
                yield path

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
            if path in self._executable:
                file.chmod(0o755)
        return file

    def _both_changed(self, path: str) -> bool:
        base, ours, theirs = self._base.get(path), self._ours.get(path), self._theirs.get(path)
        return ours not in {theirs, base} and theirs != base

    def _plain(self, path: str) -> str | None:
        """The id of a file that at most one side changed."""
        ours, theirs = self._ours.get(path), self._theirs.get(path)
        return theirs if ours == self._base.get(path) else ours

    def _bytes(self, path: str) -> bytes:
        if not self._both_changed(path):
            blob = self._plain(path)
            assert blob is not None
            return self._blobs.read(blob)
        three = [side.get(path) for side in (self._base, self._ours, self._theirs)]
        texts = [self._blobs.read(blob) if blob is not None else b"" for blob in three]
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
