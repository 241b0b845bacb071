"""What a collection of a shared store announces before it deletes: a mark, which says what may go.

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

Rules of the file: what a mark is. Its log is in ``mark_logs``, who holds in ``holding``, collecting ``collect_shared``.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import sys
from array import array
from bisect import bisect_left
from dataclasses import field
from typing import Any

from envbuild.digest import unique_names
from envbuild.errors import IntegrityError
from envbuild.objects import Objects
from envbuild.pattern import pattern
from envbuild.value import dataclass

MARK_NAME = "collect/mark.json"
MARK_VERSION = 1
LARGEST_MARK = 256 << 20
"""Bytes that a mark may have: of some forty million names."""

_ID = pattern(r"[0-9a-f]{32}")


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
        tree = read_tree(data, {"version", "mark", "count", "size", "names"})
        names = array("I")
        names.frombytes(base64.b64decode(tree["names"], validate=True))
        return Mark(
            identity=identity_of(tree["mark"]),
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


def _ordered(names: array[int]) -> array[int]:
    """Most significant byte first, or back."""
    swapped = array("I", names)
    if sys.byteorder == "little":
        swapped.byteswap()
    return swapped


def read_tree(data: bytes, names: set[str]) -> dict[str, Any]:
    """The JSON of a mark, or of an entry of its log.

    Raises:
        ValueError: When it has other names, or another version.
    """
    tree = json.loads(data, object_pairs_hook=unique_names)
    if not isinstance(tree, dict) or tree.get("version") != MARK_VERSION or set(tree) != names:
        raise ValueError("it is of no shape that is known here")
    return tree


def identity_of(value: Any) -> str:
    """32 digits.

    Raises:
        ValueError: When it is something else.
    """
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise ValueError("it has no identity")
    return value


def _whole(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError("it counts nothing")
    return value
