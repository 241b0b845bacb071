"""Locks of a project as its working tree and its Git history have them, and the environments that they hold.

The repository is read by the user's own git, which runs nothing of it here: no hook, no filter, no monitor; only trees
and blobs are read, by their ids. A lock that stands in many revisions is read once.

Rules of the file: reads only; a revision is never taken for an option.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from envbuild.digest import Digest
from envbuild.errors import EnvbuildError, InvalidInput, UsageError
from envbuild.lock import Lock
from envbuild.locks.lockfile import parse_lock
from envbuild.locks.place import lock_path

_ENDING = ".lock.yaml"
_SETTINGS = ("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null")
_TIMEOUT = 600.0


def environments_in(locks: Iterable[Lock]) -> frozenset[Digest]:
    """The ids of the environments that locks hold, and of those that they stand on."""
    found: set[Digest] = set()
    for lock in locks:
        found.update(environment.id for environment in lock.platforms)
        found.update(digest for base in lock.bases for _, digest in base.environments)
    return frozenset(found)


def working_locks(recipes: Iterable[Path]) -> Iterator[Lock]:
    """The locks of recipes, as they lie there.

    Raises:
        InvalidInput, IntegrityError: For one that cannot be read.
    """
    for recipe in recipes:
        path = lock_path(recipe)
        with suppress(FileNotFoundError):
            yield parse_lock(path.read_bytes(), str(path))


def committed_locks(
    root: Path, revisions: Sequence[str], environ: Mapping[str, str], note: Callable[[str], None]
) -> Iterator[Lock]:
    """Every lock of a project's folder in the current commit, and in these revisions.

    Args:
        root: The project's folder, anywhere in its repository.
        revisions: Commits, branches and tags, and ranges of them (``A..B``).
        environ: Variables for git.
        note: Told of locks of the past that cannot be read.

    Raises:
        UsageError: ``no-revision`` for one that git does not know; ``no-repository`` when there is none.
    """
    git = _Git(root, environ)
    if not git.there:
        if revisions:
            raise UsageError(
                f"{root} is in no Git repository, so there is no {revisions[0][:80]}", reference="no-repository"
            )
        return
    commits: dict[str, None] = dict.fromkeys(git.commits("HEAD", missing_is_fine=True))
    for revision in revisions:
        commits.update(dict.fromkeys(git.commits(revision)))
    blobs: dict[str, str] = {}
    for commit in commits:
        for blob, path in git.files(commit):
            blobs.setdefault(blob, f"{commit[:12]}:{path}")
    for blob, where in blobs.items():
        try:
            lock = _lock(git.blob(blob), where)
        except EnvbuildError as error:
            note(f"{where} cannot be read, so it keeps nothing: {error.message}")
            continue
        if lock is not None:
            yield lock


def _lock(data: bytes, where: str) -> Lock | None:
    """A lock; None for another tool's file of such a name."""
    if b"\nrequest:" not in data and b"\n<<<<<<< " not in data:
        return None
    return parse_lock(data, where)


class _Git:
    """Git in the repository of a folder."""

    def __init__(self, root: Path, environ: Mapping[str, str]) -> None:
        self._root = root
        self._environ = {**environ, "LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", "GIT_NO_LAZY_FETCH": "1"}
        self._program = shutil.which("git", path=environ.get("PATH"))
        self.there = self._program is not None and self._ask("rev-parse", "--git-dir") is not None

    def commits(self, revision: str, *, missing_is_fine: bool = False) -> list[str]:
        """The commits of a revision or range."""
        alone = () if ".." in revision else ("--max-count=1",)
        found = None
        if not revision.startswith("-") and "\0" not in revision:
            found = self._ask("rev-list", *alone, "--end-of-options", revision, "--")
        if found is None and not missing_is_fine:
            raise UsageError(
                f"git knows no revision {revision[:80]!r} in {self._root}",
                reference="no-revision",
                hint="a branch, a tag, a commit, or a range such as v1..main",
            )
        return (found or b"").decode().split()

    def files(self, commit: str) -> Iterator[tuple[str, str]]:
        """The locks of a commit below the folder: id and path of each."""
        for entry in (self._ask("ls-tree", "-r", "-z", commit) or b"").split(b"\0"):
            about, _, path = entry.partition(b"\t")
            words = about.split()
            if len(words) == 3 and words[1] == b"blob" and path.endswith(_ENDING.encode()):
                yield words[2].decode(), path.decode(errors="replace")

    def blob(self, identity: str) -> bytes:
        """The bytes of a file, by its id."""
        data = self._ask("cat-file", "blob", identity)
        if data is None:
            raise InvalidInput("git does not give it", reference="no-revision")
        return data

    def _ask(self, *arguments: str) -> bytes | None:
        assert self._program is not None
        try:
            done = subprocess.run(
                [self._program, *_SETTINGS, *arguments],
                cwd=self._root,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_TIMEOUT,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout if done.returncode == 0 else None
