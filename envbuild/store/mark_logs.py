"""The log of a mark: who needs some of what is announced all the same, and, last of all, that it is closed.

It is contiguous and each entry is put create-only, so that every entry comes before, or after, the one that closes it
(``envbuild.store.marks``).

Rules of the file: through the six calls of ``envbuild.objects`` alone; no clock is asked.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Iterator

from envbuild.errors import EnvbuildError, IntegrityError, UnreachableError
from envbuild.objects import Objects
from envbuild.pattern import pattern
from envbuild.store.marks import MARK_NAME, MARK_VERSION, identity_of, read_tree
from envbuild.value import dataclass

LARGEST_ENTRY = 64 << 20

_ENTRY = pattern(r"collect/([0-9a-f]{32})/([0-9]{20})\.json")
_ASKED = 64


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
        tree = read_tree(data, {"version", "mark", "number", "closes", "nonce", "names"})
        if (tree["mark"], tree["number"]) != (mark, number) or type(tree["closes"]) is not bool:
            raise ValueError("it is another's")
        if not isinstance(tree["names"], list) or not all(isinstance(item, str) for item in tree["names"]):
            raise ValueError("it holds no names")
        return Entry(closes=tree["closes"], names=tuple(tree["names"]), nonce=identity_of(tree["nonce"]))
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


def is_ended(objects: Objects, mark: str) -> bool:
    """Whether everything that a mark announced is deleted."""
    return bool(objects.sizes([end_name(mark)]))
