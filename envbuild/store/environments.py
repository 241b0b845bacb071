"""Environments of a store: ``environments/<platform>/<request>/<environment>.json``, the closure of each.

A closure is one environment of a lock, whole: who knows an environment id reads this one file and knows every package,
its digest and its origin. Written once; two writers write the same. What is read is held against the id in its name.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from envbuild.digest import Digest
from envbuild.errors import EnvbuildError, IntegrityError, InvalidInput
from envbuild.lock import Lock, LockedEnvironment
from envbuild.locks.lock_writing import closure_bytes
from envbuild.locks.lockfile import parse_closure
from envbuild.machine.publish import Durability, publish_bytes
from envbuild.objects import Listed, Objects
from envbuild.package import PLATFORMS, Platform
from envbuild.value import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What an environment is called: its request, and its own id on its platform."""

    platform: Platform
    request: Digest
    environment: Digest

    @property
    def object_name(self) -> str:
        """The name of its closure in a store."""
        return f"environments/{self.platform}/{self.request}/{self.environment}.json"

    def __str__(self) -> str:
        return f"{self.platform} {self.request[:12]}:{self.environment[:12]}"


def record(store: Path, lock: Lock, environment: LockedEnvironment, durability: Durability) -> Path:
    """Keep an environment's closure, unless it is kept already.

    Raises:
        NoSpaceError: When the store cannot be written.
    """
    identity = Identity(platform=environment.platform, request=lock.request, environment=environment.id)
    path = store / identity.object_name
    if not path.exists():
        publish_bytes(closure_bytes(lock, environment), path, store / "tmp", durability)
    return path


def parse(data: bytes, identity: Identity) -> Lock:
    """A closure from its bytes, held against its name.

    Raises:
        IntegrityError: ``bad-closure`` when it is another environment's, was edited, or is malformed.
    """
    try:
        lock = parse_closure(data, identity.object_name)
    except InvalidInput as error:
        raise IntegrityError(error.message, reference="bad-closure", where=error.where) from error
    environment = lock.platforms[0] if len(lock.platforms) == 1 else None
    found = environment and Identity(platform=environment.platform, request=lock.request, environment=environment.id)
    if found != identity:
        raise IntegrityError(f"{identity.object_name} is the record of {found}", reference="bad-closure")
    return lock


def read(store: Path, identity: Identity) -> Lock | None:
    """A closure of a local store; None when there is none that can be read."""
    with contextlib.suppress(OSError, EnvbuildError):
        return parse((store / identity.object_name).read_bytes(), identity)
    return None


def beginning(store: Path, request: str, environment: str) -> tuple[Identity, ...]:
    """The environments of a local store whose ids begin so, by name alone; an empty beginning fits all."""
    found = []
    for platform in PLATFORMS:
        for path in sorted(store.glob(f"environments/{platform}/{request}*/{environment}*.json")):
            if len(path.stem) == len(path.parent.name) == 64:
                identity = Identity(platform=platform, request=Digest(path.parent.name), environment=Digest(path.stem))
                found.append(identity)
    return tuple(found)


def requests(store: Path, begin: str) -> tuple[Digest, ...]:
    """The requests whose ids begin so and of which a local store has an environment, by name alone."""
    return tuple(sorted({item.request for item in beginning(store, begin, "")}))


def listed(objects: Objects) -> Iterator[tuple[Identity, Listed]]:
    """Every environment of a store by listing it: for people. What has another name is passed over."""
    from envbuild.store.object_names import CLOSURE  # compiles patterns, which realizing needs none of

    for item in objects.list("environments/"):
        match = CLOSURE.fullmatch(item.name)
        if match is not None and match[1] in PLATFORMS:
            identity = Identity(platform=Platform(match[1]), request=Digest(match[2]), environment=Digest(match[3]))
            yield identity, item


def closures(store: Path) -> Iterator[tuple[Path, Lock]]:
    """Every closure that can be read, with its file; a damaged one is passed over: it is written again when needed."""
    for path in sorted(store.glob("environments/*/*/*.json")):
        with contextlib.suppress(OSError, EnvbuildError):
            lock = parse_closure(path.read_bytes(), str(path))
            if lock.platforms and lock.platforms[0].id == path.stem:
                yield path, lock
