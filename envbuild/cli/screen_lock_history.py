"""How the history of a lock is told: a line for each revision, and one for each package that it changed.

Rules of the file: values in, lines out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from envbuild.cli.wording import count
from envbuild.digest import short

if TYPE_CHECKING:
    from envbuild.cli.screen import Screen
    from envbuild.review.lock_history import LockRevision

_MOST = 12
"""Packages of a revision that are told one by one, where all of them are new."""


def show_lock_history(screen: Screen, recipe: str, revisions: Sequence[LockRevision]) -> None:
    """Every revision, the newest first."""
    from envbuild.cli.as_json import tree

    told = [{**tree(each), "changes": {name: tree(found) for name, found in each.changes}} for each in revisions]
    if screen.document({"recipe": recipe, "revisions": told}):
        return
    for each in revisions:
        screen.result(f"{short(each.commit)}  {each.when[:10]}  {each.author}  {each.subject}")
        for line in _changes(each):
            screen.result(f"  {line}")
    screen.say(f"{recipe}: {count(len(revisions), 'revision')} of its lock")


def _changes(revision: LockRevision) -> list[str]:
    """Each change once, with the platforms that share it where not all do."""
    if revision.problem is not None:
        return [f"not compared: {revision.problem}"]
    seen: dict[str, list[str]] = {}
    for platform, found in revision.changes:
        for change in found:
            seen.setdefault(str(change), []).append(platform)
    if len(seen) > _MOST and all(change.startswith("added") for change in seen):
        return [f"added {count(len(seen), 'package')}"]
    everywhere = max(len(revision.platforms), 1)
    lines = [
        words if len(platforms) >= everywhere else f"{words} ({', '.join(platforms)})"
        for words, platforms in seen.items()
    ]
    return lines or ["the same packages"]
