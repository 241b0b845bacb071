"""A strict reader of zip files: the directory at the end and the headers before each member must say the same.

Readers that believe one of the two see two archives in one file, and so do readers that look for the end in different
places. So members must follow each other from the first byte without gap or overlap, the directory follows the last
member, and its end is the end of the file. Stored and deflated members only, no encryption, no zip64 (a source of four
gigabytes comes as a tar).

Rules of the file: everything is bounded before it is read; no path is judged.
"""

from __future__ import annotations

import stat
import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from envbuild.digest import CHUNK
from envbuild.tar_reader import ArchiveFormatError, Member, MemberKind
from envbuild.value import dataclass

_END = struct.Struct("<4s4H2LH")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_DESCRIPTION = struct.Struct("<3L")

_ENCRYPTED = 0x1 | 0x40 | 0x2000
_DESCRIBED = 0x8
_UTF8 = 0x800
_STORED, _DEFLATED = 0, 8
_UNIX = 3
_UNICODE_PATH = 0x7075
_ZIP64 = 0x0001
_LINK_BYTES = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """One line of the directory."""

    raw: bytes
    name: str
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    offset: int
    mode: int


def zip_members(stream: BinaryIO) -> Iterator[tuple[Member, Iterable[bytes]]]:
    """The members of a zip file in the order in which they lie there.

    Raises:
        ArchiveFormatError: When the file is broken, or can be read in two ways.
    """
    entries, directory = _directory(stream)
    entries.sort(key=lambda entry: entry.offset)
    if entries and entries[0].offset != 0:
        raise ArchiveFormatError("has something before its first member")
    ends = [*(entry.offset for entry in entries[1:]), directory]
    for entry, end in zip(entries, ends, strict=True):
        start = _check_local(stream, entry, end)
        kind = _kind(entry)
        target = ""
        if kind == "link":
            if entry.size > _LINK_BYTES:
                raise ArchiveFormatError("has a link with a target that is too long")
            target = _decoded(b"".join(_content(stream, entry, start)), _UTF8)
        member = Member(
            name=entry.name,
            kind=kind,
            size=entry.size if kind == "file" else 0,
            executable=bool(entry.mode & 0o111),
            target=target,
            mode=entry.mode & 0o7777 or 0o644,
        )
        yield member, _content(stream, entry, start)


def _directory(stream: BinaryIO) -> tuple[list[_Entry], int]:
    size = stream.seek(0, 2)
    start = stream.seek(max(0, size - (1 << 16) - _END.size))
    tail = stream.read()
    places = []
    at = tail.find(b"PK\5\6")
    while at >= 0:
        if at + _END.size <= len(tail):
            (comment,) = struct.unpack_from("<H", tail, at + 20)
            if start + at + _END.size + comment == size:
                places.append(at)
        at = tail.find(b"PK\5\6", at + 1)
    if len(places) != 1:
        raise ArchiveFormatError("has no end of its directory" if not places else "has two ends of its directory")
    _, disk, first_disk, here, count, length, offset, _ = _END.unpack_from(tail, places[0])
    if disk or first_disk or here != count:
        raise ArchiveFormatError("is one part of several")
    if offset + length != start + places[0]:
        raise ArchiveFormatError("has a directory that is not where it should be")
    stream.seek(offset)
    data = stream.read(length)
    entries = []
    position = 0
    for _ in range(count):
        entry, position = _entry(data, position)
        entries.append(entry)
    if position != len(data):
        raise ArchiveFormatError("has a directory with other things in it")
    return entries, offset


def _entry(data: bytes, at: int) -> tuple[_Entry, int]:
    fields = _ENTRY.unpack_from(data, at)
    signature, made_by, _, flags, method, _, _, crc, packed, size, name, extra, comment, disk, _, outer, offset = fields
    at += _ENTRY.size
    end = at + name + extra + comment
    if signature != b"PK\1\2" or end > len(data) or disk:
        raise ArchiveFormatError("has a broken directory")
    raw = data[at : at + name]
    _check_extra(data[at + name : at + name + extra], raw)
    mode = outer >> 16 if made_by >> 8 == _UNIX else 0
    entry = _Entry(
        raw=raw,
        name=_decoded(raw, flags),
        flags=flags,
        method=method,
        crc=crc,
        packed=packed,
        size=size,
        offset=offset,
        mode=mode,
    )
    return entry, end


def _check_extra(extra: bytes, name: bytes) -> None:
    """Refuse further fields that say another size or name to some readers."""
    while extra:
        if len(extra) < 4:
            return  # padding of writers that align
        kind, length = struct.unpack_from("<2H", extra)
        value, extra = extra[4 : 4 + length], extra[4 + length :]
        if kind == _ZIP64:
            raise ArchiveFormatError("is a zip64 file")
        if kind == _UNICODE_PATH and value[5:] != name:
            raise ArchiveFormatError("has two names for one member")


def _check_local(stream: BinaryIO, entry: _Entry, end: int) -> int:
    """Compare the header before a member with the directory; where its content begins."""
    stream.seek(entry.offset)
    head = stream.read(_LOCAL.size)
    if len(head) != _LOCAL.size or entry.offset + _LOCAL.size > end:
        raise ArchiveFormatError("has members that overlap")
    signature, _, flags, method, _, _, crc, packed, size, name, extra = _LOCAL.unpack(head)
    start = int(entry.offset + _LOCAL.size + name + extra)
    if signature != b"PK\3\4" or stream.read(name) != entry.raw or method != entry.method:
        raise ArchiveFormatError(f"says two things about {entry.name!r}")
    _check_extra(stream.read(extra), entry.raw)
    if (flags ^ entry.flags) & (_DESCRIBED | _UTF8 | _ENCRYPTED):
        raise ArchiveFormatError(f"says two things about {entry.name!r}")
    if flags & _ENCRYPTED or method not in {_STORED, _DEFLATED}:
        raise ArchiveFormatError(f"has a member that is encrypted or packed in a rare way: {entry.name!r}")
    said, known = (crc, packed, size), (entry.crc, entry.packed, entry.size)
    if said != known and not (flags & _DESCRIBED and said == (0, 0, 0)):
        raise ArchiveFormatError(f"says two things about {entry.name!r}")
    _check_description(stream, entry, start + entry.packed, end)
    return start


def _check_description(stream: BinaryIO, entry: _Entry, at: int, end: int) -> None:
    """What follows a member's content up to the next: nothing, or its sums once more."""
    rest = end - at
    if rest == 0:
        return
    if rest not in {12, 16} or not entry.flags & _DESCRIBED:
        raise ArchiveFormatError("has members that overlap, or something between them")
    stream.seek(at)
    data = stream.read(rest)
    if rest == 16 and not data.startswith(b"PK\7\x08"):
        raise ArchiveFormatError("has something between its members")
    if _DESCRIPTION.unpack(data[-12:]) != (entry.crc, entry.packed, entry.size):
        raise ArchiveFormatError(f"says two things about {entry.name!r}")


def _kind(entry: _Entry) -> MemberKind:
    form = stat.S_IFMT(entry.mode)
    if entry.name.endswith("/"):
        if entry.size or form not in {0, stat.S_IFDIR}:
            raise ArchiveFormatError(f"has a folder with content: {entry.name!r}")
        return "folder"
    if form == stat.S_IFLNK:
        return "link"
    return "file" if form in {0, stat.S_IFREG} else "other"


def _content(stream: BinaryIO, entry: _Entry, start: int) -> Iterator[bytes]:
    stream.seek(start)
    pieces = _inflated(stream, entry) if entry.method == _DEFLATED else _stored(stream, entry.packed)
    given, crc = 0, 0
    for piece in pieces:
        given += len(piece)
        crc = zlib.crc32(piece, crc)
        if given > entry.size:
            break
        yield piece
    if given != entry.size or crc != entry.crc:
        raise ArchiveFormatError(f"has a member that is damaged: {entry.name!r}")


def _stored(stream: BinaryIO, left: int) -> Iterator[bytes]:
    while left:
        piece = stream.read(min(CHUNK, left))
        if not piece:
            raise ArchiveFormatError("is cut")
        left -= len(piece)
        yield piece


def _inflated(stream: BinaryIO, entry: _Entry) -> Iterator[bytes]:
    inflate, packed = zlib.decompressobj(-zlib.MAX_WBITS), _stored(stream, entry.packed)
    while not inflate.eof:
        data = inflate.unconsumed_tail or next(packed, b"")
        piece = inflate.decompress(data, CHUNK)
        if piece:
            yield piece
        elif not data:
            break
    if not inflate.eof or inflate.unused_data or inflate.unconsumed_tail or next(packed, b""):
        raise ArchiveFormatError(f"has a member that is damaged: {entry.name!r}")


def _decoded(raw: bytes, flags: int) -> str:
    try:
        return raw.decode("utf-8" if flags & _UTF8 else "ascii")
    except UnicodeDecodeError:
        raise ArchiveFormatError(f"has a name that is not UTF-8: {raw[:80].decode(errors='replace')!r}") from None
