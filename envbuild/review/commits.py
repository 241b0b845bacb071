"""The commit that is checked out, what differs from it, and what other commits are to it.

Rules of the file: reads only, through ``envbuild.review.git``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path

from envbuild.errors import UsageError
from envbuild.review.git import Repository
from envbuild.review.overtaken import overtaken
from envbuild.review.publishing import Kinship


class Checkout:
    """A project's folder in its repository.

    Args:
        root: The project's folder.
        environ: Variables for git.

    Attributes:
        commit: What is checked out, in full.

    Raises:
        UsageError: ``no-repository``, ``no-commit``.
    """

    def __init__(self, root: Path, environ: Mapping[str, str]) -> None:
        self._root = root
        self._git = Repository(root, environ)
        self._git.needed("commit to publish from")
        head = self._git.commit("HEAD")
        if head is None:
            raise UsageError(
                f"{root} has no commit yet", reference="no-commit", hint="commit the recipes and their locks first"
            )
        self.commit = head
        self._kin: dict[str, Kinship] = {}

    def changed(self, files: Iterable[Path]) -> tuple[str, ...]:
        """What differs from the commit: files below the project that git has, and of these files those that it has not.

        Args:
            files: What is published is made of; a lock that git was never told of counts.

        Raises:
            UsageError: ``no-repository`` when git does not answer.
        """
        tracked = self._git.ask("status", "--porcelain", "-z", "--untracked-files=no", "--no-renames", "--", ".")
        if tracked is None:
            raise UsageError(f"git does not tell what changed in {self._root}", reference="no-repository")
        found = [os.fsdecode(entry[3:]) for entry in tracked.split(b"\0") if len(entry) > 3]
        paths = sorted({self._git.inside(path) for path in files if path.is_file()})
        inside = [path for path in paths if not path.startswith("../")]
        known = set()
        if inside:
            words = (f":(top,literal){path}" for path in inside)
            listed = self._git.ask("ls-files", "-z", "--full-name", "--", *words) or b""
            known = {os.fsdecode(path) for path in listed.split(b"\0")}
        return tuple(dict.fromkeys((*found, *(path for path in paths if path not in known))))

    def knows(self, commit: str) -> bool:
        """Whether this repository has a commit."""
        return self._git.commit(commit) is not None

    @cached_property
    def is_shallow(self) -> bool:
        """Whether history was cut off when this repository was cloned."""
        return (self._git.ask("rev-parse", "--is-shallow-repository") or b"").strip() == b"true"

    def hides(self, commit: str) -> bool:
        """Whether a commit may be in the history that was cut off, with what lies between it and the checked out."""
        return self.is_shallow and not self.knows(commit)

    def kinship(self, commit: str) -> Kinship:
        """What a commit is to the one that is checked out."""
        if commit not in self._kin:
            self._kin[commit] = self._kinship(commit)
        return self._kin[commit]

    def overtaken(self, published: Iterable[tuple[str, Path]]) -> frozenset[tuple[str, Path]]:
        """Of commits, each with a file: those after which another commit had something else there."""
        asked = {(commit, path): (commit, self._git.inside(path)) for commit, path in published}
        found = overtaken(self._git, self.commit, set(asked.values()))
        return frozenset(item for item, place in asked.items() if place in found)

    def _kinship(self, commit: str) -> Kinship:
        if commit == self.commit:
            return "same"
        if self.knows(commit):
            if self._contains(self.commit, commit):
                return "older"
            if self._contains(commit, self.commit):
                return "newer"
            return "cut" if self.is_shallow else "apart"  # what was cut off may be what they have in common
        return "cut" if self.is_shallow else "unknown"

    def _contains(self, commit: str, other: str) -> bool:
        return self._git.ask("merge-base", "--is-ancestor", other, commit) is not None
