"""What py-rattler's cache says of the indices in it: date, identity, and how much they list; nothing is parsed.

Two forms are met: a whole ``repodata.json`` with a small file about it, and a sharded index (CEP 16), whose answer's
headers stand before it.

Rules of the file: reads files; the cache may be empty, broken or of another version at any time, then nothing is found.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from pathlib import Path

from envbuild.pattern import pattern
from envbuild.value import dataclass

_SHARDS = ".shards-cache-v1"
_MAGIC = b"SHARD-CACHE-V1"
_START = len(_MAGIC) + 4
_DATE = pattern(rb"last-modified.{1,8}?([A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT)", re.DOTALL)
_CREATED = pattern(rb"created_at.(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)")
_PIECE = 1 << 24


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedIndex:
    """An index in the engine's cache.

    Attributes:
        form: ``packages`` of a repodata.json are counted, or ``names`` of a sharded index.
        tag: Differs when the index differs.
        dated: When the server says that it is of, in seconds since 1970; None when it does not say.
        path: Its file.
        about: The small file about it, if there is one.
    """

    form: str
    tag: str
    dated: float | None
    path: Path
    about: Path | None = None


def cached_indices(cache: Path, wanted: set[str]) -> dict[str, CachedIndex]:
    """The indices of channels' folders that are in the engine's cache, by address.

    Args:
        cache: The engine's cache.
        wanted: Addresses of channels' folders, without a slash at the end.
    """
    # A sharded index comes last, for the engine takes it where there are both.
    entries = sorted(cache.iterdir(), key=lambda path: path.name.endswith(_SHARDS)) if cache.is_dir() else []
    return dict(found for path in entries for found in _entry(path, wanted))


def listed(index: CachedIndex) -> int:
    """How many packages, or names, an index lists; one walk over its bytes."""
    if index.form == "names":
        data = index.path.read_bytes()
        at = data.find(b"\xa6shards") + 7  # what follows is the head of a MessagePack map
        head = data[at : at + 5]
        if head[:1] in {b"\xde", b"\xdf"}:
            return int.from_bytes(head[1 : 3 if head[0] == 0xDE else 5], "big")
        return head[0] & 0x0F if head and head[0] & 0xF0 == 0x80 else 0
    word, found, rest = b'"build_number"', 0, b""
    with index.path.open("rb") as stream:
        while piece := stream.read(_PIECE):
            found += (rest + piece).count(word)
            rest = piece[-(len(word) - 1) :]
    return found


def _entry(path: Path, wanted: set[str]) -> Iterator[tuple[str, CachedIndex]]:
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        if path.name.endswith(".info.json"):
            told = json.loads(path.read_bytes())
            address = str(told["url"]).rpartition("/repodata.json")[0]  # packed ones end otherwise
            if address in wanted:
                data = path.with_name(path.name.removesuffix(".info.json") + ".json")
                dated = parsedate_to_datetime(told["mod"]).timestamp() if told.get("mod") else None
                tag = str(told["blake2_hash"])
                yield address, CachedIndex(form="packages", tag=tag, dated=dated, path=data, about=path)
        elif path.name.endswith(_SHARDS):
            held = path.read_bytes()
            end = _START + int.from_bytes(held[len(_MAGIC) : _START], "little")
            if held.startswith(_MAGIC) and len(held) > end:  # that there is none is remembered too, without a body
                yield from _sharded(path, held[_START:end], held[end:], wanted)


def _sharded(path: Path, policy: bytes, body: bytes, wanted: set[str]) -> Iterator[tuple[str, CachedIndex]]:
    address = next((item for item in wanted if f"{item}/repodata_shards.msgpack.zst".encode() in policy), None)
    if address is not None:
        created, modified = _CREATED.search(body, 0, 1 << 12), _DATE.search(policy)
        dated = None
        if created is not None:
            dated = datetime.fromisoformat(created[1].decode()).replace(tzinfo=timezone.utc).timestamp()
        elif modified is not None:
            dated = parsedate_to_datetime(modified[1].decode()).timestamp()
        tag = hashlib.sha256(body).hexdigest()
        yield address, CachedIndex(form="names", tag=tag, dated=dated, path=path)
