"""Where two branches parted, as a merge driver has to find out: git gives it three files, and not whose they are.

While git merges, neither the index nor the working tree holds what it merges, and most of its marks (``MERGE_HEAD``)
are written afterwards. So each side is a commit that is guessed and then proven: at the path of the lock it must hold
the very bytes that the driver was given. Guessed are what git's own variables and files name; last of all the commits
that brought these bytes, from all branches. Where a side has the lock under another path (somebody renamed it), any
lock of a commit that holds the bytes is proof, when no commit has them at the path itself.

Rules of the file: reads; a commit that is not proven is none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping

from envbuild.review.git import Repository
from envbuild.review.git_objects import Blobs
from envbuild.value import dataclass

_MARKS = ("MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "REBASE_HEAD", "refs/stash")
_LISTS = ("rebase-merge/done", "sequencer/todo", "rebase-apply/original-commit")
_MOST = "20"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A commit, and the path that it has the lock at."""

    commit: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Parted:
    """Three commits.

    Attributes:
        base: Where both began; None when there is none that is known.
    """

    base: Place | None
    ours: Place
    theirs: Place


def parted(
    repository: Repository,
    blobs: Blobs,
    environ: Mapping[str, str],
    path: str,
    base: str | None,
    ours: str,
    theirs: str,
) -> Parted | None:
    """The commits that are being merged; None when a side is in none.

    Args:
        repository: Where git merges.
        blobs: Reads it.
        environ: What git told the driver.
        path: Of the file, as git has it.
        base: The id of its bytes where both began; None when there were none.
        ours: Likewise of one side.
        theirs: Of the other.
    """

    def proven(blob: str | None, words: Callable[[], Iterable[str]]) -> Place | None:
        for commit in _guesses(repository, blobs, path, blob, words()):
            entry = blobs.file(commit, path)
            if (entry.blob if entry is not None else None) == blob:
                return Place(commit=commit, path=path)
        for commit in _guesses(repository, blobs, None, blob, words()) if blob is not None else ():
            for entry in blobs.files(commit):
                if entry.blob == blob and entry.path.endswith(".lock.yaml"):
                    return Place(commit=commit, path=entry.path)
        return None

    def named() -> Iterator[str]:
        yield from _from_git(environ)
        yield from _MARKS
        yield from _listed(repository)

    def near() -> Iterator[str]:
        assert mine is not None
        assert other is not None
        if (common := repository.merge_base(mine.commit, other.commit)) is not None:
            yield common
        yield f"{other.commit}^"
        yield from named()

    mine = proven(ours, lambda: ("HEAD",))
    other = proven(theirs, named) if mine is not None else None
    if mine is None or other is None:
        return None
    return Parted(base=proven(base, near), ours=mine, theirs=other)


def _from_git(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The commits that ``git merge`` names to its children."""
    return tuple(sorted(name.removeprefix("GITHEAD_") for name in environ if re.fullmatch("GITHEAD_[0-9a-f]+", name)))


def _listed(repository: Repository) -> Iterator[str]:
    """The commits in the lists of a rebase or a row of cherry-picks, the last done and the next to do."""
    for place in repository.git_paths(*_LISTS):
        try:
            lines = place.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            continue
        for line in lines[-1:] if place.name == "done" else lines[:1]:
            yield from re.findall(r"\b[0-9a-f]{7,64}\b", line)[:1]


def _guesses(
    repository: Repository, blobs: Blobs, path: str | None, blob: str | None, words: Iterable[str]
) -> Iterator[str]:
    """Commits that may be meant: those of some words and their parents, then those that brought the bytes."""
    for word in words:
        for item in (word, f"{word}^"):
            if (commit := blobs.commit(item)) is not None:
                yield commit
    if blob is not None:
        found = repository.ask(
            "log",
            "--all",
            "HEAD",
            "--format=%H",
            "-m",
            f"--max-count={_MOST}",
            f"--find-object={blob}",
            "--",
            *((path,) if path is not None else ()),
            literal=True,
        )
        yield from dict.fromkeys((found or b"").decode().split())
