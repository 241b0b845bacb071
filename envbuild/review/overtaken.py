"""Files that were something else in between: what a commit there declared may still be published, by a late job.

A name that means already what is declared is left alone, and still tells the commit that it once came from. Where a
commit between that one and the checked out had another lock, its late job would take the name for older than itself and
move it. So the name is told anew that it comes from the commit that is checked out, and the late job finds it newer.

All names are asked at once: one walk over the commits since the oldest of them, whatever their number.

Rules of the file: reads, through ``envbuild.review.git``; where history was cut off, nothing was in between.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping

from envbuild.review.git import Repository

_MARK = b"\x01"


def overtaken(git: Repository, head: str, asked: Collection[tuple[str, str]]) -> frozenset[tuple[str, str]]:
    """Which of some files were changed in a commit that came after one, and before the checked out.

    Args:
        git: The repository.
        head: The commit that is checked out.
        asked: Commits, each with the path of a file as git has it.
    """
    with git.blobs() as blobs:
        known = {commit for commit in {item[0] for item in asked} if commit != head and blobs.commit(commit) == commit}
    oldest = git.ask("merge-base", "--octopus", head, *sorted(known)) if known else None
    if not oldest:
        return frozenset()
    span = (head, f"^{oldest.decode().strip()}")
    lines = (git.ask("rev-list", "--parents", *span) or b"").decode().splitlines()
    parents = {commit: tuple(others) for commit, *others in map(str.split, lines)}
    there = {*parents, *(item for several in parents.values() for item in several)}
    touched = _touched(git, span, {path for commit, path in asked if commit in known})
    before = {commit: _before(commit, parents) for commit in known & there}
    return frozenset(
        (commit, path)
        for commit, path in asked
        if commit in before and touched.get(path, set()) - before[commit] - {head}
    )


def _touched(git: Repository, span: tuple[str, str], paths: Collection[str]) -> dict[str, set[str]]:
    """The commits that changed each file, on whatever line of history."""
    words = ("log", "--full-history", "-m", "--no-renames", "--name-only", "-z", f"--format={_MARK.decode()}%H")
    found: dict[str, set[str]] = {}
    commit = ""
    for part in (git.ask(*words, *span, "--", *sorted(paths), literal=True) or b"").split(b"\0"):
        text = part.lstrip(b"\n")
        if text.startswith(_MARK):
            commit = text[1:].decode().strip()
        elif text:
            found.setdefault(os.fsdecode(text), set()).add(commit)
    return found


def _before(commit: str, parents: Mapping[str, tuple[str, ...]]) -> set[str]:
    """A commit, and those before it, as far as they are known."""
    found, todo = set[str](), [commit]
    while todo:
        one = todo.pop()
        if one not in found:
            found.add(one)
            todo += parents.get(one, ())
    return found
