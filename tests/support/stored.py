"""Environments as they lie in a shared store, made without a solve: closures, records and blobs of a few bytes.

Each has a conda package of the older format, which it transmutes, and a wheel; both may be shared with others.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from envbuild.derivations import Output
from envbuild.digest import Digest, digest_bytes
from envbuild.lock import Lock, LockedEnvironment
from envbuild.locks.lock_writing import closure_bytes
from envbuild.names import parse_name
from envbuild.objects import Objects
from envbuild.package import CondaPackage, Platform, Wheel
from envbuild.store import Result
from envbuild.store.generation import Named
from envbuild.store.names import Moved, move
from envbuild.store.needs import needs_of
from envbuild.store.object_names import blob_name, closure_name, result_name
from envbuild.store.shared import SharedStore
from envbuild.store.shared_format import FORMAT_BYTES, FORMAT_NAME

LINUX: Platform = "linux-64"


@dataclass
class Stored:
    """One environment, and everything of it that a store may have.

    Attributes:
        blobs: By digest.
    """

    name: str
    lock: Lock
    environment: LockedEnvironment
    blobs: dict[Digest, bytes] = field(default_factory=dict)
    results: list[Result] = field(default_factory=list)

    @property
    def closure(self) -> str:
        """The name of its closure."""
        return closure_name(LINUX, self.lock.request, self.environment.id)

    @property
    def objects(self) -> set[str]:
        """The names of all of it."""
        records = {result_name(item.kind, item.key) for item in self.results}
        return {self.closure, *map(blob_name, self.blobs), *records}

    @property
    def named(self) -> Named:
        """What a name is to mean."""
        return Named(request=self.lock.request, environments=((LINUX, self.environment.id),))

    def push(self, store: SharedStore) -> None:
        """Send what is not there, as ``push`` does: asked first, closure last."""
        store.holder()
        there = store.sizes(self.objects)
        for data in self.blobs.values():
            if blob_name(digest_bytes(data)) not in there:
                store.objects.put(blob_name(digest_bytes(data)), data)
        for result in self.results:
            if result_name(result.kind, result.key) not in there:
                store.put_result(result)
        store.put_closure(LINUX, self.lock.request, self.environment.id, closure_bytes(self.lock, self.environment))


def stored(name: str, *packages: str, size: int = 100) -> Stored:
    """An environment of one conda package and one wheel for each word, which others that say it share."""
    blobs: dict[Digest, bytes] = {}

    def blob(word: str) -> Digest:
        data = word.encode().ljust(size, b".")
        blobs[digest_bytes(data)] = data
        return digest_bytes(data)

    words = packages or (name,)
    conda = tuple(
        CondaPackage(
            name=f"c-{word}", version="1", build="0", build_number=0, subdir="noarch", file=f"c-{word}-1-0.tar.bz2",
            sha256=blob(f"conda {word}"), channel="conda-forge", size=size,
        )
        for word in words
    )  # fmt: skip
    wheels = tuple(
        Wheel(
            name=f"w-{word}", version="1", file=f"w_{word.replace('-', '_')}-1-py3-none-any.whl",
            sha256=blob(f"wheel {word}"), index="default", size=size,
        )
        for word in words
    )  # fmt: skip
    environment = LockedEnvironment(
        platform=LINUX, python="3.12", interpreter="conda", system=(), conda=conda, wheels=wheels
    )
    lock = Lock(request=digest_bytes(f"request of {name}".encode()), platforms=(environment,))
    keys = sorted(key for _, key in needs_of(lock, environment).results)
    results = []
    for key in keys:
        outputs = tuple((out, Output(sha256=blob(f"{out} of {key}"), size=size)) for out in ("out", "record"))
        results.append(
            Result(kind="transmute", key=key, outputs=outputs, platform=LINUX, created="", milliseconds=1, builder="x")
        )
    return Stored(name=name, lock=lock, environment=environment, blobs=blobs, results=results)


def made(objects: Objects) -> SharedStore:
    """A store at an address, made when there is none."""
    objects.put(FORMAT_NAME, FORMAT_BYTES)
    return SharedStore("team", lambda: objects)


def again(store: SharedStore) -> SharedStore:
    """The same store as another command sees it."""
    return SharedStore("team", lambda: store.objects)


def call(store: SharedStore, name: str, item: Stored) -> Moved:
    """Have a name mean an environment."""
    return move(store.objects, parse_name(name), item.named)


def there(store: SharedStore, names: Iterable[str]) -> set[str]:
    """Which of these objects a store has."""
    return set(store.objects.sizes(list(names)))
