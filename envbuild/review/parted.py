"""Where two branches parted, as a merge driver has to find out: git gives it three files, and not whose they are.

While git merges, neither the index nor the working tree holds what it merges, and most of its marks (``MERGE_HEAD``)
are written afterwards. So each side is a commit that is guessed and then proven: at the path of the lock it must hold
the very bytes that the driver was given. Guessed are what git's own variables and files name; last of all the commits
that brought these bytes, from all branches.

Rules of the file: reads; a commit that is not proven is none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from envbuild.review.git import Repository
from envbuild.value import dataclass

_MARKS = ("MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "REBASE_HEAD", "refs/stash")
_LISTS = ("rebase-merge/done", "sequencer/todo", "rebase-apply/original-commit")
_MOST = "20"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parted:
    """Three commits.

    Attributes:
        base: Where both began; None when there is none that is known.
    """

    base: str | None
    ours: str
    theirs: str


def parted(
    repository: Repository,
    environ: Mapping[str, str],
    path: str,
    base: str | None,
    ours: str,
    theirs: str,
) -> Parted | None:
    """The commits that are being merged; None when a side is in none.

    Args:
        repository: Where git merges.
        environ: What git told the driver.
        path: Of the file, as git has it.
        base: The id of its bytes where both began; None when there were none.
        ours: Likewise of one side.
        theirs: Of the other.
    """

    def holds(commit: str, blob: str | None) -> bool:
        return repository.blob_of(commit, path) == blob

    mine = next((item for item in _guesses(repository, path, ours, ("HEAD",)) if holds(item, ours)), None)
    named = (*_from_git(environ), *_MARKS, *_listed(repository))
    other = next((item for item in _guesses(repository, path, theirs, named) if holds(item, theirs)), None)
    if mine is None or other is None:
        return None
    common = repository.merge_base(mine, other)
    near = (*((common,) if common else ()), f"{other}^", *named)
    began = next((item for item in _guesses(repository, path, base, near) if holds(item, base)), None)
    return Parted(base=began, ours=mine, theirs=other)


def _from_git(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The commits that ``git merge`` names to its children."""
    return tuple(sorted(name.removeprefix("GITHEAD_") for name in environ if re.fullmatch("GITHEAD_[0-9a-f]+", name)))


def _listed(repository: Repository) -> Iterator[str]:
    """The commits in the lists of a rebase or a row of cherry-picks, the last done and the next to do."""
    for name in _LISTS:
        place = repository.git_path(name)
        try:
            lines = place.read_text(encoding="utf-8", errors="replace").splitlines() if place else []
        except OSError:
            continue
        for line in lines[-1:] if name.endswith("done") else lines[:1]:
            yield from re.findall(r"\b[0-9a-f]{7,64}\b", line)[:1]


def _guesses(repository: Repository, path: str, blob: str | None, words: tuple[str, ...]) -> Iterator[str]:
    """Commits that may be meant: those of some words and their parents, then those that brought the bytes."""
    for word in words:
        for item in (word, f"{word}^"):
            if (commit := repository.commit(item)) is not None:
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
            path,
            literal=True,
        )
        yield from dict.fromkeys((found or b"").decode().split())
