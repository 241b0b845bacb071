"""Copying one shared store into another: blobs first, then the records that name them, closures last.

Every blob is hashed on its way, every record and closure read: what is not what its name says stays behind, and is
told. What the other store has is not sent. Names (``refs/``) are not copied: their generations belong to one store.

Rules of the file: through ``SharedStore`` alone; what it lists it believes for the names only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import cast

from envbuild.derivations import KINDS
from envbuild.digest import Digest
from envbuild.errors import IntegrityError, StaleError
from envbuild.machine.publish import Incoming
from envbuild.objects import Listed
from envbuild.package import PLATFORMS, Platform
from envbuild.store.parallel import in_parallel
from envbuild.store.shared import SharedStore, blob_name
from envbuild.value import dataclass

THREADS = 24
_BATCH = 1000
_BLOB = re.compile(r"blobs/sha256/([0-9a-f]{2})/(\1[0-9a-f]{62})")
_RESULT = re.compile(r"results/([a-z-]+)/([0-9a-f]{2})/(\2[0-9a-f]{62})\.json")
_CLOSURE = re.compile(r"environments/([a-z0-9-]+)/([0-9a-f]{64})/([0-9a-f]{64})\.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """What a copy sent.

    Attributes:
        blobs: How many the other store did not have; ``size``: their bytes.
        results: Records likewise; ``environments``: closures.
        damaged: Objects that are not what their names say, and stayed behind.
    """

    blobs: int
    size: int
    results: int
    environments: int
    damaged: tuple[str, ...]


def copy_store(
    source: SharedStore, target: SharedStore, scratch: Path, progress: Callable[[int, int], None] = lambda *_: None
) -> Copied:
    """Copy everything but names.

    Args:
        source: Must be one that can be listed.
        target: Must be one that can be written.
        scratch: A folder for one file of each thread.
        progress: Told how many objects are done, of how many.

    Raises:
        StaleError: ``store-format`` when one of them is of a format that we do not know.
        UnreachableError: When one of them does not answer, or refuses.
    """
    if source.use() == "none" or target.use() != "write":
        other = source if source.use() == "none" else target
        raise StaleError(f"another version of envbuild made the store {other.name}", reference="store-format")
    target.holder()  # before it is asked what it has
    damaged: list[str] = []
    sent: dict[str, list[int]] = {}
    for prefix, send in (
        ("blobs/sha256/", partial(_blob, source, target, scratch)),
        ("results/", partial(_result, source, target)),
        ("environments/", partial(_closure, source, target)),
    ):
        moved = sent[prefix] = []

        def one(item: Listed, send: Callable[[Listed], bool] = send, moved: list[int] = moved) -> None:
            try:
                if send(item):
                    moved.append(item.size)
            except IntegrityError:
                damaged.append(item.name)

        listed = iter(source.objects.list(prefix))
        done = 0
        while batch := [item for item in islice(listed, _BATCH) if _name(item.name)]:
            there = target.sizes([item.name for item in batch])
            missing = [item for item in batch if item.name not in there]
            in_parallel(one, missing, THREADS)
            done += len(batch)
            progress(done, done)
    return Copied(
        blobs=len(sent["blobs/sha256/"]),
        size=sum(sent["blobs/sha256/"]),
        results=len(sent["results/"]),
        environments=len(sent["environments/"]),
        damaged=tuple(sorted(damaged)),
    )


def contents(store: SharedStore) -> Iterator[tuple[str, int]]:
    """Every object of a store that has a name of one, with its size; for people, who ask how much there is."""
    for prefix in ("blobs/sha256/", "results/", "environments/"):
        for item in store.objects.list(prefix):
            if _name(item.name):
                yield item.name, item.size


def _name(name: str) -> bool:
    return any(pattern.fullmatch(name) for pattern in (_BLOB, _RESULT, _CLOSURE))


def _blob(source: SharedStore, target: SharedStore, scratch: Path, item: Listed) -> bool:
    found = _BLOB.fullmatch(item.name)
    assert found is not None
    digest = Digest(found[2])
    with Incoming(scratch, item.size) as incoming:
        return source.blob(digest, incoming, item.size) and target.put_blob(digest, incoming.path) == "created"


def _result(source: SharedStore, target: SharedStore, item: Listed) -> bool:
    found = _RESULT.fullmatch(item.name)
    if found is None or found[1] not in KINDS:
        return False
    result = source.result(found[1], Digest(found[3]))
    if result is None:
        return False
    names = [blob_name(output.sha256) for _, output in result.outputs]
    return len(target.sizes(names)) == len(set(names)) and target.put_result(result) == "created"


def _closure(source: SharedStore, target: SharedStore, item: Listed) -> bool:
    found = _CLOSURE.fullmatch(item.name)
    if found is None or found[1] not in PLATFORMS:
        return False
    where = cast(Platform, found[1]), Digest(found[2]), Digest(found[3])
    data = source.closure(*where)
    return data is not None and target.put_closure(*where, data) == "created"
