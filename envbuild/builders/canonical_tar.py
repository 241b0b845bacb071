"""The canonical tar: one byte sequence for one tree, on every machine.

Its sha256 is a tree's content digest, so every byte is decided here and none by a library's version: members sorted by
their UTF-8 names below one folder ``source/``; files and symbolic links only (a folder is there because something is
in it); time, user and group 0; mode 0644, or 0755 when the file is executable; ustar headers (POSIX.1-1988), with a pax
record (POSIX.1-2001) before a member whose name or link does not fit into one.

Rules of the file: bytes go to the function given; nothing is held but one piece.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from envbuild.errors import InvalidInput
from envbuild.tar_reader import BLOCK

TOP = "source"
"""The one folder in it; the tree's own name is not in the bytes."""

LARGEST_FILE = 8 << 30
"""Bytes; also the first size that a ustar header cannot say."""

PATH_BYTES = 1024
COMPONENT_BYTES = 255

_END = bytes(2 * BLOCK)


class CanonicalTar:
    """A canonical tar being written; members must come sorted.

    Args:
        write: Gets the bytes.
    """

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write
        self._last: bytes = b""

    def add_file(self, path: str, size: int, pieces: Iterable[bytes], *, executable: bool) -> None:
        """Add a file.

        Args:
            path: From the tree's root, with ``/``.
            size: Bytes that ``pieces`` give together.
            pieces: Its content.
            executable: Whether its owner may run it.

        Raises:
            InvalidInput: ``bad-source`` for a name or a size that no archive may have, or other than ``size`` bytes.
        """
        if not 0 <= size < LARGEST_FILE:
            raise _bad(path, f"has {size} bytes, and {LARGEST_FILE - 1} are allowed")
        self._begin(path, b"0", size=size, mode=0o755 if executable else 0o644)
        written = 0
        for piece in pieces:
            written += len(piece)
            if written > size:
                break
            self._write(piece)
        if written != size:
            raise _bad(path, "was written to while it was read")
        self._write(bytes(-size % BLOCK))

    def add_link(self, path: str, target: str) -> None:
        """Add a symbolic link; that it stays inside is its caller's to see."""
        self._begin(path, b"2", size=0, mode=0o777, link=_encoded(target, path))

    def close(self) -> None:
        """Write the end."""
        self._write(_END)

    def _begin(self, path: str, kind: bytes, *, size: int, mode: int, link: bytes = b"") -> None:
        encoded = _encoded(path, path)
        check_length(path, encoded)
        if encoded <= self._last:
            raise ValueError(f"{path!r} comes after {self._last!r}")
        self._last = encoded
        name = f"{TOP}/".encode() + encoded
        records = b""
        if len(name) > 100 or not name.isascii():
            records += pax_record(b"path", name)
        if len(link) > 100 or not link.isascii():
            records += pax_record(b"linkpath", link)
        if records:
            self._write(header(b"pax", b"x", len(records), 0o644, b"") + records + bytes(-len(records) % BLOCK))
        self._write(header(short_name(name), kind, size, mode, short_name(link)))


def check_length(path: str, encoded: bytes) -> None:
    """Refuse names that are longer than envbuild unpacks.

    Raises:
        InvalidInput: ``bad-source``.
    """
    longest = max(len(part) for part in encoded.split(b"/"))
    if len(encoded) > PATH_BYTES - len(TOP) - 1 or longest > COMPONENT_BYTES:
        raise _bad(path[:80] + "…", "is a longer name than sources may have")


def _encoded(text: str, path: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise _bad(path.encode(errors="replace").decode(), "has a name or target that is not UTF-8") from None


def short_name(name: bytes) -> bytes:
    """What stands in the ustar field when a pax record says the whole: for readers that know none."""
    return name[:100].decode("ascii", "replace").encode("ascii", "replace")[:100]


def pax_record(keyword: bytes, value: bytes) -> bytes:
    """A pax record: ``<length> <keyword>=<value>`` and a new line, the length counting itself."""
    rest = b" " + keyword + b"=" + value + b"\n"
    length = len(rest)
    while length != len(rest) + len(str(length)):
        length = len(rest) + len(str(length))
    return str(length).encode() + rest


def header(name: bytes, kind: bytes, size: int, mode: int, link: bytes, time: int = 0) -> bytes:
    """A ustar header of user and group 0; ``name`` and ``link`` have at most 100 bytes."""
    head = name.ljust(100, b"\0") + b"%07o\0" % mode + b"%07o\0" % 0 * 2 + b"%011o\0" % size + b"%011o\0" % time
    tail = kind + link.ljust(100, b"\0") + b"ustar\x0000" + bytes(BLOCK - 265)
    total = sum(head) + sum(tail) + 8 * ord(" ")
    return head + b"%06o\0 " % total + tail


def _bad(path: str, what: str) -> InvalidInput:
    return InvalidInput(f"{path} {what}", reference="bad-source")
