"""What a collection of a shared store announces before it deletes: a mark, its log, pins, and the store's own time.

::

    collect/mark.json                          what may be deleted, as fingerprints of names; there while a mark is open
    collect/<mark>/<number, 20 digits>.json    its log: who needs some of it all the same; last of all, that it closed
    collect/<mark>/ended.json                  all of it is deleted
    collect/pins/<environment>.json            an environment that stays
    collect/now/<nonce>                        made, listed and deleted: its time is the store's

Deleting is announced a grace before it is done, and whoever writes looks at the announcement before it relies on
anything that is there. What is not in the mark can be relied on: it will not be deleted before a further mark and a
further grace, which is longer than any command. What is in the mark is *held* first: an entry of the log says who needs
it. The log is contiguous and each entry is put create-only, so every entry comes before, or after, the one that closes
it. Before: it stays, for whoever deletes reads the log once it is closed. After: it is as good as gone, nothing may be
made that names it, and that is ``being-collected``, until the mark is taken away.

Fingerprints are 32 bits of a name's sha256. That a name is in the mark *means* that its fingerprint is, for those who
write as for those who delete: two names that share one cost a hold that was not needed, and nothing else.

Rules of the file: through the six calls of ``envbuild.objects`` alone; no clock is asked but the store's.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import secrets
import sys
import threading
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import field
from typing import Any

from envbuild.digest import Digest, unique_names
from envbuild.errors import EnvbuildError, IntegrityError, UnreachableError
from envbuild.objects import Listed, Objects
from envbuild.value import dataclass

MARK_NAME = "collect/mark.json"
MARK_VERSION = 1
LARGEST_MARK = 256 << 20
"""Bytes that a mark may have: of some forty million names."""
LARGEST_ENTRY = 64 << 20

_ID = re.compile(r"[0-9a-f]{32}")
_PIN = re.compile(r"collect/pins/([0-9a-f]{64})\.json")
_ENTRY = re.compile(r"collect/([0-9a-f]{32})/([0-9]{20})\.json")
_NOW = "collect/now/"
_ASKED = 64


def fingerprint(name: str) -> int:
    """What of a name stands in a mark."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What a collection announced.

    Attributes:
        identity: 32 digits of its own.
        count: How many objects, ``size``: their bytes.
        names: Their fingerprints, sorted.
    """

    identity: str
    count: int
    size: int
    names: array[int] = field(repr=False)

    def __contains__(self, name: str) -> bool:
        found = fingerprint(name)
        place = bisect_left(self.names, found)
        return place < len(self.names) and self.names[place] == found


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry of a mark's log.

    Attributes:
        closes: Whether it is the last: what is not held by then is deleted.
        names: What it holds.
    """

    closes: bool
    names: tuple[str, ...]
    nonce: str


def new_mark(names: array[int], size: int) -> Mark:
    """A mark of what has these fingerprints, in any order."""
    return Mark(identity=secrets.token_hex(16), count=len(names), size=size, names=array("I", sorted(names)))


def mark_to_bytes(mark: Mark) -> bytes:
    """A mark as stored."""
    packed = array("I", mark.names)
    if packed.itemsize != 4:
        raise AssertionError("an unsigned int has four bytes here")
    tree = {"version": MARK_VERSION, "mark": mark.identity, "count": mark.count, "size": mark.size}
    return json.dumps({**tree, "names": base64.b64encode(_ordered(packed).tobytes()).decode()}).encode() + b"\n"


def mark_from_bytes(data: bytes) -> Mark:
    """A mark from its bytes.

    Raises:
        IntegrityError: ``bad-mark``.
    """
    try:
        tree = _tree(data, {"version", "mark", "count", "size", "names"})
        names = array("I")
        names.frombytes(base64.b64decode(tree["names"], validate=True))
        return Mark(
            identity=_text(_ID, tree["mark"]),
            count=_whole(tree["count"]),
            size=_whole(tree["size"]),
            names=_ordered(names),
        )
    except (ValueError, TypeError, RecursionError) as error:
        raise IntegrityError(
            f"what a collection announced in {MARK_NAME} cannot be read ({str(error)[:100]})",
            reference="bad-mark",
            hint=f"use the envbuild that wrote it; if nobody collects that store, delete its {MARK_NAME}",
        ) from None


def read_mark(objects: Objects) -> Mark | None:
    """What is announced now; None when nothing is.

    Raises:
        IntegrityError: ``bad-mark``.
        UnreachableError: When the store does not answer.
    """
    data = objects.read(MARK_NAME, LARGEST_MARK)
    return None if data is None else mark_from_bytes(data)


# The log of a mark


def append(objects: Objects, mark: str, *, closes: bool, names: Iterable[str] = ()) -> bool:
    """Add an entry to the log of a mark; False when it is closed by somebody else.

    Args:
        objects: The store.
        mark: Which, by its identity.
        closes: Whether the entry closes it.
        names: What it holds.

    Raises:
        IntegrityError: ``bad-mark`` when an entry cannot be read.
        UnreachableError: When it is not known to be added.
    """
    nonce = secrets.token_hex(16)
    number = _length(objects, mark)
    if number and _entry(objects, mark, number).closes:
        return False
    while True:
        number += 1
        tree = {"version": MARK_VERSION, "mark": mark, "number": number, "closes": closes, "nonce": nonce}
        data = json.dumps({**tree, "names": sorted(names)}).encode() + b"\n"
        try:
            if objects.put(entry_name(mark, number), data) == "created":
                return True
            there = _entry(objects, mark, number)
        except UnreachableError as error:  # the answer was lost, perhaps: the entry says whose it is
            try:
                there = _entry(objects, mark, number)
            except EnvbuildError:
                raise error from None
        if there.nonce == nonce:
            return True
        if there.closes:
            return False


def entries(objects: Objects, mark: str) -> Iterator[Entry]:
    """Every entry of a log, from the first.

    Raises:
        IntegrityError: ``bad-mark``.
        UnreachableError: When the store does not answer.
    """
    for number in range(1, _length(objects, mark) + 1):
        yield _entry(objects, mark, number)


def is_closed(objects: Objects, mark: str) -> bool:
    """Whether a mark is closed: what is in it and not held is being deleted."""
    number = _length(objects, mark)
    return number > 0 and _entry(objects, mark, number).closes


def entry_of(name: str) -> tuple[str, int] | None:
    """The mark and the number of an entry, from an object's name; None for other objects."""
    found = _ENTRY.fullmatch(name)
    return (found[1], int(found[2])) if found else None


def read_entry(objects: Objects, mark: str, number: int) -> Entry:
    """One entry of a log; see ``entries``."""
    return _entry(objects, mark, number)


def _length(objects: Objects, mark: str) -> int:
    """How many entries there are: dozens are asked for at once, for most logs have less."""
    done = 0
    while True:
        asked = [entry_name(mark, done + step) for step in range(1, _ASKED + 1)]
        there = objects.sizes(asked)
        for name in asked:
            if name not in there:
                return done
            done += 1


def _entry(objects: Objects, mark: str, number: int) -> Entry:
    name = entry_name(mark, number)
    data = objects.read(name, LARGEST_ENTRY)
    try:
        if data is None:
            raise ValueError("it is gone")
        tree = _tree(data, {"version", "mark", "number", "closes", "nonce", "names"})
        if (tree["mark"], tree["number"]) != (mark, number) or type(tree["closes"]) is not bool:
            raise ValueError("it is another's")
        if not isinstance(tree["names"], list) or not all(isinstance(item, str) for item in tree["names"]):
            raise ValueError("it holds no names")
        return Entry(closes=tree["closes"], names=tuple(tree["names"]), nonce=_text(_ID, tree["nonce"]))
    except (ValueError, TypeError, RecursionError) as error:
        raise IntegrityError(
            f"{name} is no entry of a collection's log ({str(error)[:100]})",
            reference="bad-mark",
            hint=f"if nobody collects that store, delete its {MARK_NAME}",
        ) from None


def entry_name(mark: str, number: int) -> str:
    """Where an entry of a log is, or would be."""
    return f"collect/{mark}/{number:020}.json"


def end_name(mark: str) -> str:
    """What says that everything announced by a mark is deleted."""
    return f"collect/{mark}/ended.json"


# Whoever writes


class Holder:
    """What a command that writes knows of a collection: asked before it relies on anything that is there.

    Args:
        objects: The store.

    Raises:
        IntegrityError: ``bad-mark``: such a store is not written.
        UnreachableError: When the store does not answer.
    """

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._mark = read_mark(objects)
        self._held: set[str] = set()
        self._guard = threading.Lock()

    @property
    def open(self) -> bool:
        """Whether anything is announced, so that something may have to be held."""
        return self._mark is not None

    def hold(self, names: Iterable[str]) -> None:
        """Have these live on, as far as they are announced; before anything is made that names them.

        Raises:
            UnreachableError: ``being-collected`` when some of them are being deleted.
        """
        if self._mark is None:
            return
        with self._guard:
            wanted = {name for name in names if name in self._mark} - self._held
            if not wanted:
                return
            if not append(self._objects, self._mark.identity, closes=False, names=wanted):
                for entry in entries(self._objects, self._mark.identity):
                    wanted.difference_update(entry.names)
                    self._held.update(entry.names)
                if wanted:
                    raise being_collected(self._objects, len(wanted))
            self._held |= wanted


def being_collected(objects: Objects, count: int) -> UnreachableError:
    """What is needed there is just being deleted."""
    what = "an object that is" if count == 1 else f"{count} objects that are"
    return UnreachableError(
        f"{objects.address} is being collected, and {what} needed there will be gone in a moment",
        reference="being-collected",
        hint="again when `envbuild gc` has ended there; one that was interrupted is ended by the next",
        retryable=True,
    )


# Pins


def pin_name(environment: Digest) -> str:
    """Where a pin is, or would be."""
    return f"collect/pins/{environment}.json"


def pinned(name: str) -> Digest | None:
    """The environment that an object pins; None for other objects."""
    found = _PIN.fullmatch(name)
    return Digest(found[1]) if found else None


# The store's time


def store_time(objects: Objects) -> float:
    """What time it is by the store's own clock; also a trial of the three rights that collecting takes.

    Raises:
        UnreachableError: ``refused`` with the right that is missing; when it does not answer.
    """
    name = f"{_NOW}{secrets.token_hex(16)}"
    objects.put(name, b"now\n")
    found: Listed | None = None
    old = []
    for item in objects.list(_NOW):
        if item.name == name:
            found = item
        else:
            old.append(item)
    objects.delete(name)
    if found is None:
        raise UnreachableError(
            f"{objects.address} does not list what was written a moment ago: it cannot be collected", reference="unfit"
        )
    for item in old:
        if item.modified < found.modified - 3600:  # of collections that were killed
            objects.delete(item.name)
    return found.modified


def _ordered(names: array[int]) -> array[int]:
    """Most significant byte first, or back."""
    swapped = array("I", names)
    if sys.byteorder == "little":
        swapped.byteswap()
    return swapped


def _tree(data: bytes, names: set[str]) -> dict[str, Any]:
    tree = json.loads(data, object_pairs_hook=unique_names)
    if not isinstance(tree, dict) or tree.get("version") != MARK_VERSION or set(tree) != names:
        raise ValueError("it is of no shape that is known here")
    return tree


def _text(pattern: re.Pattern[str], value: Any) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise ValueError("it has no identity")
    return value


def _whole(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError("it counts nothing")
    return value
