"""The locks of a project as they were in the revision that a change goes into.

What is the same is known by git's ids and not read; the lines of others come from one process.

Rules of the file: reads git, and nothing else.
"""

from __future__ import annotations

from pathlib import Path

from envbuild.errors import EnvbuildError, UsageError
from envbuild.review.git import Repository, blob_id
from envbuild.review.git_objects import Blobs

BRANCHES = (
    "upstream/HEAD",
    "upstream/main",
    "origin/HEAD",
    "origin/main",
    "origin/master",
    "main",
    "master",
    "@{upstream}",
)
"""What a branch may have left, in the order of asking."""


class Before:
    """The locks of one revision. Where there is no repository, nothing was there before.

    Args:
        repository: The project's.
        base: The revision; None for where this branch left the one it goes into.
        root: The project's root.

    Raises:
        UsageError: ``no-base``.
    """

    def __init__(self, repository: Repository, base: str | None, root: Path) -> None:
        self._repository = repository
        self._blobs: Blobs | None = None
        self._entries: dict[str, str] = {}
        self._length = 40
        if repository.root is None:
            if base is not None:
                repository.needed(base)
            return
        commit = self._commit(base)
        below = repository.inside(root / "envbuild.yaml").rpartition("/")[0]
        self._entries = {item.path: item.blob for item in repository.files(commit, below)}
        self._length = repository.hash_length()
        self._blobs = repository.blobs()

    def __enter__(self) -> Before:
        return self

    def __exit__(self, *_: object) -> None:
        if self._blobs is not None:
            self._blobs.__exit__(None, None, None)

    def same(self, file: Path, data: bytes) -> bool:
        """Whether a file is what it was."""
        known = self._entries.get(self._repository.inside(file)) if self._entries else None
        return known is not None and known == blob_id(data, self._length)

    def lines(self, file: Path) -> tuple[str, ...]:
        """The lines of a file as it was; none when it was not there."""
        known = self._entries.get(self._repository.inside(file)) if self._entries else None
        if known is None or self._blobs is None:
            return ()
        try:
            return tuple(self._blobs.read(known).decode("utf-8", "replace").split("\n"))
        except EnvbuildError:
            return ()

    def _commit(self, base: str | None) -> str:
        repository = self._repository
        if base is not None:
            commit = repository.commit(base)
            if commit is None:
                raise UsageError(
                    f"there is no revision {base[:80]!r} here",
                    reference="no-base",
                    hint="fetch it: in CI a checkout often has one commit alone (`fetch-depth: 0`)",
                )
            return commit
        for branch in BRANCHES:
            found = repository.commit(branch)
            ancestor = repository.merge_base("HEAD", found) if found is not None else None
            if ancestor is not None:
                return ancestor
        raise UsageError(
            "nothing says what this branch goes into: no remote, no main", reference="no-base", hint="--base REVISION"
        )
