"""``history`` of a recipe: the revisions of Git that changed its lock, and what each changed.

Git says which commits touched the lock's file; each version is compared with the one before it in that list, so a
revision that a merge brought stands where git's log has it. A renamed lock begins anew.

Rules of the file: reads by git alone; a version that is no lock is told, and ends nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from envbuild.errors import EnvbuildError, UsageError
from envbuild.locks.lockdiff import Change, changes
from envbuild.locks.lockfile import parse_lock
from envbuild.locks.place import lock_path
from envbuild.review.git import Repository
from envbuild.review.git_objects import Blobs
from envbuild.value import dataclass

if TYPE_CHECKING:
    from envbuild.lock import Lock

LIMIT = 200
"""Revisions that are told of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LockRevision:
    """One commit that changed a lock.

    Attributes:
        when: RFC 3339, of the author. ``subject``: the first line of its message.
        changes: By platform; a platform that was added or dropped has every package.
        platforms: Of the lock as it is then.
        problem: Why it could not be compared; None where it could.
    """

    commit: str
    when: str
    author: str
    subject: str
    platforms: tuple[str, ...]
    changes: tuple[tuple[str, tuple[Change, ...]], ...]
    problem: str | None = None


class LockHistoryVerbs:
    """The verb; ``envbuild.session.Session`` is one of these."""

    _environ: Mapping[str, str]

    def lock_history(self, recipe: Path | str) -> tuple[LockRevision, ...]:
        """The revisions of Git that changed a recipe's lock, the newest first.

        Args:
            recipe: Its file, or the lock's.

        Raises:
            UsageError: ``no-repository``; ``no-history`` when no commit has its lock.
        """
        path = Path(recipe).absolute()
        lock = path if path.name.endswith(".lock.yaml") else lock_path(path)
        repository = Repository(lock.parent, self._environ)
        repository.needed(f"history of {lock.name}")
        inside = repository.inside(lock)
        log = ["log", f"--max-count={LIMIT + 1}", "-z", "--format=%H%n%aI%n%an%n%s", "--", str(lock)]
        entries = [entry.split("\n", 3) for entry in _texts(repository.ask(*log, literal=True))]
        found = [(commit, when, author, subject.strip()) for commit, when, author, subject in entries]
        if not found:
            raise UsageError(f"no commit has {inside}", reference="no-history", hint=f"git add {inside}, and commit it")
        with repository.blobs() as blobs:
            locks = [_lock_of(blobs, commit, inside) for commit, *_ in found]
        return tuple(
            _revision(about, locks[at], locks[at + 1] if at + 1 < len(locks) else None)
            for at, about in enumerate(found[:LIMIT])
        )


def _texts(data: bytes | None) -> list[str]:
    return [entry.decode("utf-8", "replace").strip("\n") for entry in (data or b"").split(b"\0") if entry.strip()]


def _lock_of(blobs: Blobs, commit: str, path: str) -> Lock | str | None:
    """The lock in a commit; None where it has none, a text where it is none."""
    entry = blobs.file(commit, path)
    if entry is None:
        return None
    try:
        return parse_lock(blobs.read(entry.blob), f"{commit[:12]}:{path}")
    except EnvbuildError as error:
        return error.message


def _revision(about: tuple[str, str, str, str], now: Lock | str | None, was: Lock | str | None) -> LockRevision:
    commit, when, author, subject = about
    found: list[tuple[str, tuple[Change, ...]]] = []
    after = None if isinstance(now, str) else now
    before = None if isinstance(was, str) else was
    problem = now if isinstance(now, str) else f"the version before is no lock: {was}" if isinstance(was, str) else None
    if problem is None:
        here = {item.platform: item for item in after.platforms} if after is not None else {}
        there = {item.platform: item for item in before.platforms} if before is not None else {}
        found = [(name, changes(there.get(name), here.get(name))) for name in {**here, **there}]
    return LockRevision(
        commit=commit,
        when=when,
        author=author,
        subject=subject,
        platforms=tuple(item.platform for item in after.platforms) if after is not None else (),
        changes=tuple(each for each in found if each[1]),
        problem=problem,
    )
