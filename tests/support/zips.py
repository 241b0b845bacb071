"""Zip files in which every field can be a lie: what no packing tool writes, and a hostile one would.

::

    raw_zip([Member("a.txt", b"a"), Member("b.txt", b"b", local={"crc": 1})], suffix=b"more")

Each member is written from true values; ``local`` and ``central`` change what the header before it and the directory
say. Rules of the file: no judgement; the bytes that were asked for.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

STORED, DEFLATED = 0, 8


@dataclass(frozen=True, kw_only=True)
class Member:
    """One member.

    Attributes:
        local: Changed fields of the header before it: name, flags, method, crc, packed, size, extra.
        central: The same of the directory; also made_by, needs (version), outer (attributes), offset, disk.
        shown: Whether the directory names it; ``there``: whether it lies in the file.
        before: Bytes before its header; ``after``: bytes behind its content.
        packed: Its packed content, instead of the true one.
    """

    name: str
    data: bytes = b""
    method: int = STORED
    local: Mapping[str, Any] = field(default_factory=dict)
    central: Mapping[str, Any] = field(default_factory=dict)
    shown: bool = True
    there: bool = True
    before: bytes = b""
    after: bytes = b""
    packed: bytes | None = None


def deflated(data: bytes) -> bytes:
    """Deflate, as zip files have it."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush()


def raw_zip(
    members: Sequence[Member],
    *,
    prefix: bytes = b"",
    gap: bytes = b"",
    suffix: bytes = b"",
    comment: bytes = b"",
    end: Mapping[str, int] | None = None,
    behind_directory: bytes = b"",
) -> bytes:
    """The bytes of a zip file.

    Args:
        members: In the order in which they lie there.
        prefix: Before everything; offsets count from the very beginning all the same.
        gap: Between the last member and the directory.
        suffix: Behind everything.
        comment: The comment of the file.
        end: Changed fields of the end: disk, first_disk, here, count, length, offset.
        behind_directory: Between the directory and its end, such as the end of a large file.
    """
    body = bytearray(prefix)
    directory = bytearray()
    shown = 0
    for member in members:
        packed = member.packed
        if packed is None:
            packed = deflated(member.data) if member.method == DEFLATED else member.data
        true: dict[str, Any] = {
            "name": member.name.encode(),
            "flags": 0 if member.name.isascii() else 0x800,
            "method": member.method,
            "crc": zlib.crc32(member.data),
            "packed": len(packed),
            "size": len(member.data),
            "extra": b"",
            "made_by": 3 << 8 | 20,
            "needs": 20,
            "outer": 0o100644 << 16,
            "disk": 0,
        }
        body += member.before
        offset = len(body)
        if member.there:
            say = {**true, **member.local}
            body += struct.pack(
                "<4s5H3L2H", b"PK\3\4", 20, say["flags"], say["method"], 0, 0x21, say["crc"], say["packed"],
                say["size"], len(say["name"]), len(say["extra"]),
            )  # fmt: skip
            body += say["name"] + say["extra"] + packed + member.after
        if member.shown:
            say = {**true, "offset": offset, **member.central}
            directory += struct.pack(
                "<4s6H3L5H2L", b"PK\1\2", say["made_by"], say["needs"], say["flags"], say["method"], 0, 0x21,
                say["crc"], say["packed"], say["size"], len(say["name"]), len(say["extra"]), 0, say["disk"], 0,
                say["outer"], say["offset"],
            )  # fmt: skip
            directory += say["name"] + say["extra"]
            shown += 1
    body += gap
    told = {"disk": 0, "first_disk": 0, "here": shown, "count": shown, "length": len(directory), "offset": len(body)}
    told |= end or {}
    body += directory + behind_directory
    body += struct.pack("<4s4H2LH", b"PK\5\6", *told.values(), len(comment)) + comment + suffix
    return bytes(body)


def members_of(path: Path) -> list[Member]:
    """The members of a good zip file, to be written again with one of them changed."""
    with zipfile.ZipFile(path) as archive:
        return [Member(name=item.filename, data=archive.read(item), method=DEFLATED) for item in archive.infolist()]
