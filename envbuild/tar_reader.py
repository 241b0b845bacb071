"""A strict reader of tar streams: one header, one meaning.

Python's ``tarfile`` stops without a word at a header that it cannot read, lets a negative offset send it in circles
(CVE-2025-8194), and reads some fields in ways that other readers do not. Here each member is a valid header with a
right checksum, or the archive is refused. Read are ustar (POSIX.1-1988), pax records ``path``, ``linkpath``, ``size``
and ``mtime`` (POSIX.1-2001), and GNU's long names; everything else that pax can say does not matter to a package.

Rules of the file: forward only; nothing is held but one header and its records; no path is judged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

from envbuild.digest import CHUNK
from envbuild.pattern import pattern
from envbuild.value import dataclass

BLOCK = 512
"""Bytes of a header; content is padded to whole ones."""

MemberKind = Literal["file", "folder", "link", "hard link", "other"]

_KINDS: dict[bytes, MemberKind] = {
    b"0": "file",
    b"\0": "file",
    b"7": "file",
    b"1": "hard link",
    b"2": "link",
    b"5": "folder",
}
_TIME = pattern(rb"-?[0-9]{1,18}(\.[0-9]{1,18})?")
_RECORDS_LIMIT = 1 << 20
_NAME_LIMIT = 64 << 10


class ArchiveFormatError(Exception):
    """The bytes are not a tar archive, or not a whole one; the text says how."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One member.

    Attributes:
        name: As it stands there, with ``/`` at its end when it has one.
        kind: ``other`` for devices, pipes, sparse files and what nobody knows.
        size: Bytes of content; 0 but for files.
        executable: Whether anybody may run it.
        target: Of a link or hard link.
        mode: All twelve bits.
        modified: Seconds since 1970, as a pax record says them: with a fraction or a sign where they have one.
    """

    name: str
    kind: MemberKind
    size: int
    executable: bool
    target: str
    mode: int = 0o644
    modified: str = "0"


class TarReader:
    """Members of a tar stream.

    Args:
        read: Gives at most the bytes asked for, and none at the end.
    """

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read
        self._left = 0
        self._padding = 0

    def members(self) -> Iterator[Member]:
        """Every member in order; its content must be taken by ``pieces``, or is passed over.

        Raises:
            ArchiveFormatError: When the stream is broken, cut, or goes on after its end.
        """
        shared: dict[str, bytes] = {}
        own: dict[str, bytes] = {}
        while True:
            self._skip()
            block = self._exactly(BLOCK, "has no end")
            if not any(block):
                self._end()
                return
            kind, size = _checked(block)
            if kind in b"xgLK":
                limit = _NAME_LIMIT if kind in b"LK" else _RECORDS_LIMIT
                if size > limit:
                    raise ArchiveFormatError("has a header that is too long")
                data = self._exactly(size, "ends inside a header")
                self._exactly(-size % BLOCK, "ends inside a header")
                if kind == b"g":
                    shared |= _records(data)
                elif kind == b"x":
                    own |= _records(data)
                else:
                    own["path" if kind == b"L" else "linkpath"] = data.split(b"\0", 1)[0]
                continue
            member = _member(block, kind, size, {**shared, **own})
            own = {}
            self._left, self._padding = member.size, -member.size % BLOCK
            yield member

    def pieces(self) -> Iterator[bytes]:
        """The content of the member that came last.

        Raises:
            ArchiveFormatError: When it is cut.
        """
        while self._left:
            piece = self._read(min(CHUNK, self._left))
            if not piece:
                raise ArchiveFormatError("ends inside a file")
            self._left -= len(piece)
            yield piece

    def _skip(self) -> None:
        for _ in self.pieces():
            pass
        self._exactly(self._padding, "ends inside a file")
        self._padding = 0

    def _exactly(self, count: int, otherwise: str) -> bytes:
        found = b""
        while len(found) < count:
            piece = self._read(count - len(found))
            if not piece:
                raise ArchiveFormatError(otherwise)
            found += piece
        return found

    def _end(self) -> None:
        """After one block of zeros there is nothing but zeros: the second block, and padding to the record."""
        while piece := self._read(CHUNK):
            if piece.strip(b"\0"):
                raise ArchiveFormatError("goes on after its end")


def is_tar_header(block: bytes) -> bool:
    """Whether these 512 bytes are a header with a right checksum."""
    try:
        return len(block) == BLOCK and any(block) and _checked(block) is not None
    except ArchiveFormatError:
        return False


def _checked(block: bytes) -> tuple[bytes, int]:
    """Type and size of a header whose checksum is right; some old writers summed signed bytes."""
    said = _number(block[148:156])
    rest = block[:148] + b" " * 8 + block[156:]
    signed = sum(rest) - 256 * sum(byte > 127 for byte in rest)
    if said not in {sum(rest), signed}:
        raise ArchiveFormatError("has a header with a wrong checksum")
    return block[156:157], _number(block[124:136])


def _number(field: bytes) -> int:
    """A field of octal digits, or of base 256 for what these cannot say (GNU)."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    if field[0] & 0x80:
        raise ArchiveFormatError("has a negative number")
    text = field.split(b"\0", 1)[0].strip(b" ")
    if text.strip(b"01234567"):
        raise ArchiveFormatError("has a number that is none")
    return int(text or b"0", 8)


def _member(block: bytes, kind: bytes, size: int, records: dict[str, bytes]) -> Member:
    name = _text(block[:100])
    if block[257:263] == b"ustar\0" and block[345]:
        name = _text(block[345:500]) + b"/" + name
    stated = records.get("size")
    if stated is not None:
        if not stated.isdigit() or len(stated) > 20:
            raise ArchiveFormatError("has a size that is no number")
        if size not in {0, int(stated)}:
            raise ArchiveFormatError("has two sizes for one member")  # tokio-tar's and others' way to two readings
        size = int(stated)
    kind_name = _KINDS.get(kind, "other")
    if any(key.startswith("GNU.sparse") for key in records):
        kind_name = "other"
    name = records.get("path", name)
    if kind_name == "file" and name.endswith(b"/") and kind != b"7":
        kind_name = "folder"  # before POSIX there was no type for folders
    if size and kind_name not in {"file", "other"}:
        raise ArchiveFormatError("has content where none can be")
    target = records.get("linkpath", _text(block[157:257]))
    mode = _number(block[100:108])
    return Member(
        name=_decoded(name),
        kind=kind_name,
        size=size,
        executable=bool(mode & 0o111),
        target=_decoded(target) if kind_name in {"link", "hard link"} else "",
        mode=mode & 0o7777,
        modified=_time(block[136:148], records.get("mtime")),
    )


def _time(field: bytes, stated: bytes | None) -> str:
    if stated is None:
        return str(int.from_bytes(field, "big", signed=True) if field[0] == 0xFF else _number(field))
    if not _TIME.fullmatch(stated):
        raise ArchiveFormatError("has a time that is no number")
    return stated.decode("ascii")


def _text(field: bytes) -> bytes:
    return field.split(b"\0", 1)[0]


def _decoded(name: bytes) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError:
        raise ArchiveFormatError(f"has a name that is not UTF-8: {name[:80].decode(errors='replace')!r}") from None


def _records(data: bytes) -> dict[str, bytes]:
    """Pax records: ``<length> <keyword>=<value>`` and a new line each."""
    found: dict[str, bytes] = {}
    while data.strip(b"\0"):
        digits, space, _ = data.partition(b" ")
        if not space or not digits.isdigit() or len(digits) > 8:
            raise ArchiveFormatError("has a pax record without a length")
        record, data = data[: int(digits)], data[int(digits) :]
        keyword, sign, value = record[len(digits) + 1 :].partition(b"=")
        if len(record) != int(digits) or not sign or not value.endswith(b"\n"):
            raise ArchiveFormatError("has a pax record that is cut")
        found[keyword.decode("ascii", "replace")] = value[:-1]
    return found
