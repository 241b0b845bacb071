"""Whether a zip file says one thing only: what every reader of zip files finds in it must be the same.

A zip file tells of each member twice, before its content and in a directory at the end, and readers differ in what they
believe. So a file passes only when nothing is left to belief: the members follow each other from the first byte to the
directory without gap or overlap; what stands before each agrees with the directory in name, method, sizes and sums; the
directory's end is the end of the file; no name stands twice or means two paths; nothing is encrypted, and nothing is
packed in a way that only some readers know. What passes gives the same files to ``zipfile``, to uv and to everybody
(a differential test holds it to that).

Rules of the file: reads, never extracts; bounded by the file's own size; one error, ``BadZipError``.
"""

from __future__ import annotations

import mmap
import stat
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

MEMBERS = 1_000_000
PATH_BYTES = 1024
COMPONENT_BYTES = 255
TOTAL_BYTES = 64 << 30
RATIO = 1100
"""Bytes out for each byte in: more than deflate can give (1032) is a lie."""

_END = struct.Struct("<4s4H2LH")
_END64_PLACE = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_MOST16, _MOST32 = 0xFFFF, 0xFFFFFFFF
_STORED, _DEFLATED = 0, 8
_ENCRYPTED, _DESCRIBED, _UTF8 = 0x1 | 0x40 | 0x2000, 0x8, 0x800
_ZIP64, _UNICODE_PATH = 0x0001, 0x7075
_UNIX = 3
_NEWEST = 63
"""Version of the format, 6.3, that readers know (APPNOTE 4.4.3); what says that it needs a later one, some refuse."""
_PIECE = 1 << 20
_NO_NAMES = frozenset({"", ".", ".."})


class BadZipError(Exception):
    """What is wrong with a file, in words that go on from its name."""


class Entry(NamedTuple):
    """One member; a tuple, for a science stack has ten thousand.

    Attributes:
        name: Its path, with ``/``.
        size: Bytes of its content; ``packed``: as they lie in the file, from ``start``.
        mode: Its Unix mode; 0 where the file says none.
    """

    name: str
    size: int
    packed: int
    method: int
    crc: int
    start: int
    mode: int

    @property
    def is_folder(self) -> bool:
        """Whether it is no file."""
        return self.name.endswith("/")


class ZipFileView:
    """A zip file whose structure has passed; for ``with``.

    Args:
        path: The file.
        entries: Its members, when it has passed before.

    Attributes:
        entries: The members in the order in which they lie there.

    Raises:
        BadZipError: The file can be read in two ways, or in none.
    """

    def __init__(self, path: Path, entries: tuple[Entry, ...] | None = None) -> None:
        self._stream = path.open("rb")
        try:
            self._data = mmap.mmap(self._stream.fileno(), 0, access=mmap.ACCESS_READ)
        except (ValueError, OSError):
            self._stream.close()
            raise BadZipError("is empty") from None
        try:
            self.entries = _members(self._data) if entries is None else entries
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> ZipFileView:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let the file go."""
        self._data.close()
        self._stream.close()

    def pieces(self, entry: Entry) -> Iterator[bytes]:
        """A member's content, piece by piece; the last piece comes only when size and sum are right.

        Raises:
            BadZipError: The member is damaged, or larger or smaller than it says.
        """
        given, crc = 0, 0
        for piece in self._unpacked(entry):
            given += len(piece)
            crc = zlib.crc32(piece, crc)
            if given > entry.size:
                break
            yield piece
        if given != entry.size or crc != entry.crc:
            raise BadZipError(f"has a damaged member: {entry.name!r}")

    def read(self, entry: Entry, limit: int) -> bytes:
        """A small member as a whole.

        Raises:
            BadZipError: As ``pieces``; also when it is larger than the limit.
        """
        if entry.size > limit:
            raise BadZipError(f"has a member of more than {limit} bytes: {entry.name!r}")
        return b"".join(self.pieces(entry))

    def _unpacked(self, entry: Entry) -> Iterator[bytes]:
        end = entry.start + entry.packed
        packed = (self._data[at : min(at + _PIECE, end)] for at in range(entry.start, end, _PIECE))
        if entry.method == _STORED:
            yield from packed
            return
        inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            for data in packed:
                while data and not inflate.eof:
                    yield inflate.decompress(data, _PIECE)
                    data = inflate.unconsumed_tail
                if inflate.eof and (data or inflate.unused_data):
                    break
            while not inflate.eof and (piece := inflate.decompress(inflate.unconsumed_tail, _PIECE)):
                yield piece
        except zlib.error:
            raise BadZipError(f"has a damaged member: {entry.name!r}") from None
        if not inflate.eof or inflate.unused_data or next(packed, b""):
            raise BadZipError(f"has a member with something behind its content: {entry.name!r}")


def _members(data: mmap.mmap) -> tuple[Entry, ...]:
    first, end, count = _end(data)
    listed = []
    at = first
    for _ in range(count):
        one, at = _entry(data, at, end)
        listed.append(one)
    if at != end:
        raise BadZipError("has a directory with other things in it")
    listed.sort(key=lambda one: one[1])
    at = 0
    found = []
    for index, (entry, offset, flags, raw) in enumerate(listed):
        if offset != at:
            raise BadZipError("has members that overlap" if offset < at else "has something between its members")
        behind = listed[index + 1][1] if index + 1 < len(listed) else first
        located, at = _located(data, entry, offset, flags, raw, behind)
        found.append(located)
    if at != first:
        raise BadZipError("has something between its members and their directory")
    _check_names(found)
    return tuple(found)


def _end(data: mmap.mmap) -> tuple[int, int, int]:
    """Where the directory begins and ends, and how many members it has."""
    size = len(data)
    at = size - _END.size
    if at < 0 or data[at : at + 4] != b"PK\5\6":
        # A comment could hold another end; no packing tool writes one into a package.
        raise BadZipError("does not end with its directory")
    _, disk, first_disk, here, count, length, offset, comment = _END.unpack_from(data, at)
    if comment or disk or first_disk or here != count:
        raise BadZipError("has a comment" if comment else "is one part of several")
    end = at
    place = at - _END64_PLACE.size
    if place >= 0 and data[place : place + 4] == b"PK\6\7":
        end, count, length, offset = _end64(data, place, (count, length, offset))
    elif count == _MOST16 or _MOST32 in (length, offset):
        raise BadZipError("says that its directory is elsewhere, and it is not")
    if offset + length != end or count > MEMBERS or count * _ENTRY.size > length:
        raise BadZipError("has a directory that is not where it should be")
    return offset, end, count


def _end64(data: mmap.mmap, place: int, small: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """The same of a large file; where the small end says something too, it must be the same."""
    _, disk, at, disks = _END64_PLACE.unpack_from(data, place)
    if disk or disks > 1 or at + _END64.size != place or data[at : at + 4] != b"PK\6\6":
        raise BadZipError("has two ends of its directory")
    _, length64, _, _, disk, first_disk, here, count, length, offset = _END64.unpack_from(data, at)
    if length64 != _END64.size - 12 or disk or first_disk or here != count:
        raise BadZipError("has two ends of its directory")
    for little, big, most in zip(small, (count, length, offset), (_MOST16, _MOST32, _MOST32), strict=True):
        if little not in (most, big):
            raise BadZipError("has two ends of its directory, which differ")
    return at, count, length, offset


def _entry(data: mmap.mmap, at: int, limit: int) -> tuple[tuple[Entry, int, int, bytes], int]:
    if at + _ENTRY.size > limit:
        raise BadZipError("has a broken directory")
    fields = _ENTRY.unpack_from(data, at)
    signature, made_by, needs, flags, method, _, _, crc, packed, size, name, extra, comment, disk, _, outer, offset = (
        fields
    )
    names = at + _ENTRY.size
    end = names + name + extra + comment
    if signature != b"PK\1\2" or end > limit or disk:
        raise BadZipError("has a broken directory")
    if needs & 0xFF > _NEWEST:
        raise BadZipError("says that it needs a newer reader of zip files than there is")
    raw = data[names : names + name]
    if extra:
        size, packed, offset = _wide(data[names + name : names + name + extra], raw, (size, packed, offset))
    if size > packed * RATIO + 64 or size > TOTAL_BYTES:
        raise BadZipError("has a member that is larger than it can be")
    mode = outer >> 16 if made_by >> 8 == _UNIX else 0
    entry = Entry(_name(raw, flags), size, packed, method, crc, 0, mode)
    return (entry, offset, flags, raw), end


def _wide(extra: bytes, raw: bytes, small: tuple[int, ...]) -> tuple[int, ...]:
    """The sizes that an extra field for large files gives; refuses fields that say another name, or stand twice."""
    values, seen = list(small), set()
    while extra:
        if len(extra) < 4:
            raise BadZipError("has an extra field that is cut")
        kind, length = struct.unpack_from("<2H", extra)
        value, rest = extra[4 : 4 + length], extra[4 + length :]
        if len(value) != length or (kind in seen and kind in {_ZIP64, _UNICODE_PATH}):
            raise BadZipError("has an extra field that is cut, or twice")
        seen.add(kind)
        if kind == _UNICODE_PATH and value[5:] != raw:
            raise BadZipError("has two names for one member")
        if kind == _ZIP64:
            for index, known in enumerate(values):
                if known == _MOST32:
                    if len(value) < 8:
                        raise BadZipError("has a size that is cut")
                    values[index] = struct.unpack_from("<Q", value)[0]
                    value = value[8:]
        extra = rest
    return tuple(values)


def _located(data: mmap.mmap, entry: Entry, offset: int, flags: int, raw: bytes, behind: int) -> tuple[Entry, int]:
    """The entry with where its content begins, and where the next member must begin."""
    if offset + _LOCAL.size > behind or data[offset : offset + 4] != b"PK\3\4":
        raise BadZipError("has members that overlap")
    _, _, local_flags, method, _, _, crc, packed, size, name, extra = _LOCAL.unpack_from(data, offset)
    names = offset + _LOCAL.size
    start = names + name + extra
    end = start + entry.packed
    if end > behind:
        raise BadZipError("has members that overlap")
    if data[names : names + name] != raw or method != entry.method or (flags ^ local_flags) & ~0x6:
        raise BadZipError(f"says two things about {entry.name!r}")
    if flags & _ENCRYPTED or method not in {_STORED, _DEFLATED} or (method == _STORED and entry.size != entry.packed):
        raise BadZipError(f"has a member that is encrypted, or packed in a rare way: {entry.name!r}")
    if extra:
        size, packed = _wide(data[names + name : start], raw, (size, packed))
    said = (crc, packed, size)
    told = (entry.crc, entry.packed, entry.size)
    if said != told and not (flags & _DESCRIBED and said == (0, 0, 0)):
        raise BadZipError(f"says two things about {entry.name!r}")
    if flags & _DESCRIBED:
        end = _described(data, told, end, behind)
    kind = stat.S_IFMT(entry.mode)
    if kind not in {0, stat.S_IFDIR if entry.is_folder else stat.S_IFREG} or (entry.is_folder and entry.size):
        raise BadZipError(f"has a member that is neither file nor folder: {entry.name!r}")
    return Entry(entry.name, entry.size, entry.packed, method, entry.crc, start, entry.mode), end


def _described(data: mmap.mmap, told: tuple[int, int, int], at: int, behind: int) -> int:
    """What may follow a member's content: its sums once more, in one of four forms."""
    for form in ("<4s3L", "<3L", "<4sL2Q", "<L2Q"):
        length = struct.calcsize(form)
        if at + length == behind:
            values = struct.unpack_from(form, data, at)
            if form.startswith("<4s") and values[0] != b"PK\7\x08":
                continue
            if values[-3:] == told:
                return at + length
    raise BadZipError("has something between its members")


def _name(raw: bytes, flags: int) -> str:
    try:
        name = raw.decode("utf-8" if flags & _UTF8 else "ascii")
    except UnicodeDecodeError:
        raise BadZipError(f"has a name that readers read differently: {raw[:60]!r}") from None
    parts = name.removesuffix("/").split("/")
    odd = not name.isprintable() or "\\" in name or len(raw) > PATH_BYTES or ":" in parts[0]
    odd = odd or (len(raw) > COMPONENT_BYTES and max(len(part.encode()) for part in parts) > COMPONENT_BYTES)
    if odd or not _NO_NAMES.isdisjoint(parts):
        raise BadZipError(f"has a member with a bad path: {name[:60]!r}")
    return name


def _check_names(entries: list[Entry]) -> None:
    """No path twice, none that is both file and folder."""
    files = {entry.name for entry in entries if not entry.is_folder}
    if len({entry.name for entry in entries}) != len(entries):
        raise BadZipError("has a member twice")
    folders = {entry.name.rstrip("/") for entry in entries if entry.is_folder}
    for name in [entry.name for entry in entries]:
        parent = name.rstrip("/").rpartition("/")[0]
        while parent and parent not in folders:
            folders.add(parent)
            parent = parent.rpartition("/")[0]
    if both := files & folders:
        raise BadZipError(f"has a path that is file and folder: {sorted(both)[0]!r}")
