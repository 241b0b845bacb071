"""Why a lock would have to be solved anew, said where the network may not be used.

A user who asks for an environment without the network expects a lock that fits. That a solve is missing says nothing
to them: what changed since the lock was made does, a folder of sources above all, for no word of the recipe changed.

Rules of the file: reads one lock; words for an error that another module raised.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from shlex import quote

from envbuild.digest import Digest
from envbuild.errors import UnreachableError, Where
from envbuild.locks.locking import Locked, lock_before
from envbuild.locks.place import lock_path
from envbuild.locks.staleness import stale_reasons
from envbuild.projects.project import shown_path
from envbuild.request import Request


def unsolved(
    error: UnreachableError, recipe: Path, request: Request, bases: tuple[Locked, ...], own: Mapping[str, Digest]
) -> UnreachableError:
    """The error for a recipe that cannot be locked without the network.

    Args:
        error: What the solve ended with.
        recipe: The recipe's file.
        request: What it asks for.
        bases: Its bases, locked.
        own: The digests of its own folders; see ``stale_reasons``.

    Returns:
        The error with what changed and what to do; the same one when something else than the network was missing.
    """
    if error.reference != "offline":
        return error
    shown, lock = shown_path(recipe), lock_before(recipe)
    files = [base for base in request.bases if base.request is not None]  # the others need no lock to be held against
    named = {base.path: item.lock for base, item in zip(files, bases, strict=True)}
    reasons = ("it has no lock",) if lock is None else stale_reasons(lock, request, named, own)
    edited = [path for path in own if any(reason.startswith(f"{path} was edited") for reason in reasons)]
    again = f"lock it once with the network: envbuild lock {quote(shown)}"
    return UnreachableError(
        f"{shown} has to be solved, and the network may not be used: {'; '.join(reasons) or 'an upgrade is asked for'}",
        reference=error.reference,
        where=Where(file=shown_path(lock_path(recipe)) if lock is not None else shown),
        hint=f"undo the edit of {', '.join(edited)}, or {again}" if edited else again,
    )
