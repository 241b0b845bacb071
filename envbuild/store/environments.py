"""Environments of a store: ``environments/<platform>/<request>/<environment>.json``, the closure of each.

A closure is one environment of a lock, whole: who knows an environment id reads this one file and knows every package,
its digest and its origin. Written once; two writers write the same. What is read is held against the id in its name.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from envbuild.errors import EnvbuildError
from envbuild.lock import Lock, LockedEnvironment
from envbuild.locks.lockfile import closure_bytes, parse_closure
from envbuild.machine.publish import Durability, publish_bytes


def record(store: Path, lock: Lock, environment: LockedEnvironment, durability: Durability) -> Path:
    """Keep an environment's closure, unless it is kept already.

    Raises:
        NoSpaceError: When the store cannot be written.
    """
    path = store / "environments" / environment.platform / lock.request / f"{environment.id}.json"
    if not path.exists():
        publish_bytes(closure_bytes(lock, environment), path, store / "tmp", durability)
    return path


def closures(store: Path) -> Iterator[tuple[Path, Lock]]:
    """Every closure that can be read, with its file; a damaged one is passed over: it is written again when needed."""
    for path in sorted(store.glob("environments/*/*/*.json")):
        with contextlib.suppress(OSError, EnvbuildError):
            lock = parse_closure(path.read_bytes(), str(path))
            if lock.platforms and lock.platforms[0].id == path.stem:
                yield path, lock
