"""A tar of a package being written: what a member is stays, how its header says it is decided here alone.

Of a member stay name, kind, mode, time, link target and content. Owners become 0: they name whoever built the package,
and no reader of packages restores them. Headers are ustar (POSIX.1-1988), with a pax record (POSIX.1-2001) before a
member whose name, target or time does not fit into one; so the bytes follow from the members, whatever wrote the
archive that they came from and whichever Python runs this.

Rules of the file: bytes go to the function given; nothing is held but one piece.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from envbuild.tar_reader import BLOCK, ArchiveFormatError, Member

_KINDS = {"file": b"0", "hard link": b"1", "link": b"2", "folder": b"5"}
_RECORD = 20 * BLOCK
"""A tar ends at a multiple of this: readers of tapes want it, and ``tarfile`` writes it."""

_LATEST = 8**11
"""The first time that a ustar field cannot say."""


class PackageTar:
    """A tar being written.

    Args:
        write: Gets the bytes.
    """

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write
        self._size = 0

    def add(self, member: Member, path: str, target: str, pieces: Iterable[bytes]) -> None:
        """Add a member.

        Args:
            member: What it is.
            path: Its name in the one spelling; folders without a slash at the end.
            target: Of a link; of a hard link in the one spelling.
            pieces: A file's content, ``member.size`` bytes together.

        Raises:
            ArchiveFormatError: When the content is shorter or longer than its header says.
        """
        kind = _KINDS[member.kind]
        name = path.encode() + (b"/" if member.kind == "folder" else b"")
        seconds, _, fraction = member.modified.partition(".")
        time = int(seconds)
        fits = 0 <= time < _LATEST and not fraction.strip("0") and not seconds.startswith("-")
        records = b""
        if len(name) > 100 or not name.isascii():
            records += _record(b"path", name)
        encoded = target.encode()
        if len(encoded) > 100 or not encoded.isascii():
            records += _record(b"linkpath", encoded)
        if not fits:
            records += _record(b"mtime", member.modified.encode())
        if records:
            self._put(_header(b"pax", b"x", 0o644, len(records), 0, b"") + records + bytes(-len(records) % BLOCK))
        size = member.size if member.kind == "file" else 0
        field = min(max(time, 0), _LATEST - 1)
        self._put(_header(_short(name), kind, member.mode & 0o777, size, field, _short(encoded)))
        before = self._size
        for piece in pieces if size else ():
            self._put(piece)
        if self._size - before != size:
            raise ArchiveFormatError(f"has another size than its header says: {path}")
        self._put(bytes(-size % BLOCK))

    def close(self) -> None:
        """Write the end."""
        self._put(bytes(2 * BLOCK))
        self._put(bytes(-self._size % _RECORD))

    def _put(self, piece: bytes) -> None:
        self._size += len(piece)
        self._write(piece)


def _short(name: bytes) -> bytes:
    """What stands in the ustar field when a pax record says the whole: for readers that know none."""
    return (
        name if name.isascii() and len(name) <= 100 else bytes(byte if byte < 128 else ord("?") for byte in name)[:100]
    )


def _record(keyword: bytes, value: bytes) -> bytes:
    """``<length> <keyword>=<value>`` and a new line, the length counting itself."""
    rest = b" " + keyword + b"=" + value + b"\n"
    length = len(rest)
    while length != len(rest) + len(str(length)):
        length = len(rest) + len(str(length))
    return b"%d" % length + rest


def _header(name: bytes, kind: bytes, mode: int, size: int, time: int, link: bytes) -> bytes:
    head = name.ljust(100, b"\0") + b"%07o\0%07o\0%07o\0%011o\0%011o\0" % (mode, 0, 0, size, time)
    tail = kind + link.ljust(100, b"\0") + b"ustar\x0000" + bytes(BLOCK - 265)
    total = sum(head) + sum(tail) + 8 * ord(" ")
    return head + b"%06o\0 " % total + tail
