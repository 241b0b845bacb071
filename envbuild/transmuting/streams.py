"""Bytes on their way: compressed files read in pieces, and pieces gathered before they are compressed.

A compressor may give other bytes for the same content when it gets it in other pieces. So it gets pieces of one size,
whatever the decoder on the other side gives.

Rules of the file: forward only; every defect of the bytes is ``ArchiveFormatError``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO

from envbuild.digest import CHUNK
from envbuild.tar_reader import ArchiveFormatError

Read = Callable[[int], bytes]
"""Gives at most the bytes asked for, and none at the end."""

WINDOW = 128 << 20
"""Bytes that a zstd stream may ask to be remembered: what level 22 asks for."""


class Buffered:
    """Small reads out of large ones: a header of 512 bytes is not worth a call into a decoder.

    Args:
        read: Where the bytes come from.
    """

    def __init__(self, read: Read) -> None:
        self._read = read
        self._piece = b""
        self._begin = 0

    def read(self, count: int) -> bytes:
        """At most so many bytes; none at the end."""
        if self._begin == len(self._piece):
            self._piece, self._begin = self._read(CHUNK), 0
        piece = self._piece[self._begin : self._begin + count]
        self._begin += len(piece)
        return piece


class Gathered:
    """Pieces of any size, passed on in pieces of ``CHUNK`` bytes; the last may be shorter.

    Args:
        write: Gets them.
    """

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write
        self._held: list[bytes] = []
        self._size = 0

    def write(self, piece: bytes) -> None:
        """Add a piece."""
        self._held.append(piece)
        self._size += len(piece)
        if self._size >= CHUNK:
            data = b"".join(self._held)
            whole = len(data) - len(data) % CHUNK
            for begin in range(0, whole, CHUNK):
                self._write(data[begin : begin + CHUNK])
            self._held, self._size = [data[whole:]], len(data) - whole

    def flush(self) -> None:
        """Pass on what is left."""
        if self._size:
            self._write(b"".join(self._held))
        self._held, self._size = [], 0


def zstd_reader(stream: BinaryIO) -> Read:
    """What a zstd file holds; frames may follow each other, and nothing else may."""
    import zstandard

    plain = zstandard.ZstdDecompressor(max_window_size=WINDOW).stream_reader(stream, read_across_frames=True)

    def read(count: int) -> bytes:
        try:
            return bytes(plain.read(count))
        except zstandard.ZstdError as error:
            raise ArchiveFormatError(f"cannot be unpacked: {error}") from error

    return read
