"""The probe: does an address keep the one promise that everything rests on, and may we write there?

Asked by ``store init``, and before the first write: some servers take ``If-None-Match`` and overwrite all the same.
Three small objects under ``probe/`` are made, read, listed and deleted: create-only twice, where the second must be
told that it exists; a race of eight, which one must win; an object of no bytes; the same bytes back.

What is missing is said by the first answer that shows it: bucket, container, credentials, role. Who may not list or
delete can keep a store all the same, and is told so.

Rules of the file: knows the protocol alone; leaves nothing behind, but where it may not delete or nothing answers.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from envbuild.errors import EnvbuildError, UnreachableError
from envbuild.objects import Objects
from envbuild.value import dataclass

RACERS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """What else is allowed at an address that keeps its promise.

    Attributes:
        lists: Whether we may list, which collecting and checking take.
        deletes: Whether we may delete, which collecting and healing take.
    """

    lists: bool
    deletes: bool


def probe(objects: Objects) -> Probed:
    """Find out whether a store can be kept at an address; returns when it can.

    Args:
        objects: Where; they are asked as the store will ask them.

    Raises:
        UnreachableError: ``no-bucket``, ``refused``, ``read-only`` or no answer, as the address's own; ``overwrites``
            when a create-only put replaces what is there; ``unfit`` when bytes or sizes do not come back.
    """
    prefix = f"probe/{secrets.token_hex(8)}/"
    names = [prefix + name for name in ("once", "race", "empty")]
    try:
        _create_once(objects, names[0])
        _race(objects, names[1])
        _empty(objects, names[2])
        lists = _see(objects, prefix, names)
    except EnvbuildError as error:
        if not error.retryable:  # else nothing answers
            _delete(objects, names)
        raise
    deletes = _delete(objects, names)
    if deletes and objects.sizes(names):
        raise _unfit(objects, "keeps what was deleted")
    return Probed(lists=lists, deletes=deletes)


def _delete(objects: Objects, names: Sequence[str]) -> bool:
    """Whether everything could be deleted."""
    try:
        for name in names:
            objects.delete(name)
    except UnreachableError:
        return False
    return True


def _create_once(objects: Objects, name: str) -> None:
    first, second = b"the first", b"the second"
    objects.put(name, first)
    told = objects.put(name, second)
    found = objects.read(name)
    if told != "exists" or found == second:
        raise overwrites(objects)
    if found is None:
        raise UnreachableError(
            f"{objects.address} takes what is written and does not give it back",
            reference="unfit",
            hint="you may write there, but not read: that right is missing",
        )
    if found != first:
        raise _unfit(objects, "gives other bytes back than it was given")


def _race(objects: Objects, name: str) -> None:
    entries = [secrets.token_bytes(16) for _ in range(RACERS)]
    with ThreadPoolExecutor(RACERS) as pool:
        told = list(pool.map(lambda entry: objects.put(name, entry), entries))
    found = objects.read(name)
    won = Counter(told)["created"]
    if won > 1 or found not in entries:
        raise overwrites(objects)
    if won and entries[told.index("created")] != found:
        raise overwrites(objects)


def _empty(objects: Objects, name: str) -> None:
    objects.put(name, b"")
    if objects.put(name, b"more") != "exists":
        raise overwrites(objects)
    if objects.read(name) != b"":
        raise _unfit(objects, "does not keep an object of no bytes")


def _see(objects: Objects, prefix: str, names: Sequence[str]) -> bool:
    """Whether we may list, after what must hold for everybody."""
    sizes = objects.sizes([*names, prefix + "absent"])
    if sorted(sizes) != sorted(names) or sizes[names[2]] != 0:
        raise _unfit(objects, "does not say which objects it has")
    if objects.read(prefix + "absent") is not None:
        raise _unfit(objects, "gives what is not there")
    try:
        listed = {item.name: item.size for item in objects.list(prefix)}
    except UnreachableError as error:
        if error.reference == "refused":
            return False
        raise
    if listed != dict(sizes):
        raise _unfit(objects, "lists other objects than it has")
    return True


def overwrites(objects: Objects) -> UnreachableError:
    """The error for an address that does not keep the promise."""
    return UnreachableError(
        f"{objects.address} does not keep create-only puts: what was there was replaced",
        reference="overwrites",
        hint="use a service that honours If-None-Match (see docs/stores.md), or mode: read-only",
    )


def _unfit(objects: Objects, how: str) -> UnreachableError:
    return UnreachableError(f"{objects.address} {how}: no store can be kept there", reference="unfit")
