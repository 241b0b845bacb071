"""The version of a recipe that was realized last on this machine, as roots and stamps remember it.

A root tells of an out-link, a stamp of a plain ``realize`` without one; the closure in the home's store holds the lock.
Of a name or an id, what the same word meant the last time.

Rules of the file: reads small records; what is gone, or cannot be read, was not realized.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from typing import Any

from envbuild.digest import Digest
from envbuild.environments.realized import Wanted
from envbuild.environments.roots import read_roots
from envbuild.machine.home import Home
from envbuild.store.environments import Identity, read
from envbuild.value import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Last:
    """What was realized, and when (RFC 3339 UTC)."""

    wanted: Wanted
    when: str


def last_realized(home: Home, wanted: Wanted) -> Last | None:
    """The last version of what is wanted now; None when it was never realized here, or nothing tells of it."""
    found = sorted([*_rooted(home, wanted), *_stamped(home, wanted)], reverse=True)
    for when, request, environment in found:
        identity = Identity(
            platform=wanted.environment.platform, request=Digest(request), environment=Digest(environment)
        )
        lock = read(home.store, identity)
        if lock is not None:
            return Last(wanted=replace(wanted, lock=lock, environment=lock.platforms[0]), when=when)
    return None


def _rooted(home: Home, wanted: Wanted) -> Iterator[tuple[str, str, str]]:
    for _, root in read_roots(home.roots):
        same = root.recipe == str(wanted.recipe) or (wanted.link is None and root.name == wanted.name)
        if same and root.platform == wanted.environment.platform:
            yield root.created, root.request, root.environment


def _stamped(home: Home, wanted: Wanted) -> Iterator[tuple[str, str, str]]:
    for path in home.stamps.glob("*.json"):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            tree: Any = json.loads(path.read_bytes())
            summary = tree["summary"]
            same = str(wanted.recipe) in tree["files"] and summary["name"] == wanted.name
            if same and summary["platform"] == wanted.environment.platform:
                when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(path.stat().st_mtime))
                yield when, str(summary["request"]), str(summary["environment"])
