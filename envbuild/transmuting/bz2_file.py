"""A ``.tar.bz2`` read: streams of bz2 may follow each other, and nothing else may.

bz2 decodes at some 30 MB/s on one core, which is nearly all of the time that transmuting takes. The blocks of a stream
do not depend on each other, so that where there is more than one core a large file is decoded by several threads
(``bz2_blocks``). What a file holds is said by the plain way alone: as soon as the blocks are not what they seemed, it
takes over, from the byte that was given last.

Rules of the file: forward only; every defect of the bytes is ``ArchiveFormatError``.
"""

from __future__ import annotations

import bz2
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from envbuild.digest import CHUNK
from envbuild.tar_reader import ArchiveFormatError
from envbuild.transmuting.streams import Read

LARGE = 4 << 20
"""Bytes from which on threads are worth their start."""

THREADS = 4
"""At most; each holds some 7 MB, and other packages are decoded beside this one."""


@contextmanager
def open_bz2(path: Path, threads: int | None = None) -> Iterator[Read]:
    """What a file of bz2 streams holds, as a function that reads it.

    Args:
        path: The file.
        threads: How many decode; None for what fits the file and the machine.

    Raises:
        ArchiveFormatError: When it is broken, cut, or goes on after its end.
    """
    if threads is None:
        threads = min(THREADS, _cores()) if path.stat().st_size >= LARGE else 1
    with path.open("rb") as stream:
        plain = PlainReader(stream).read
        if threads < 2:
            yield plain
            return
        from envbuild.transmuting.bz2_blocks import BlockReader

        with path.open("rb") as second, BlockReader(second, threads) as blocks:
            yield _either(blocks, plain)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _either(blocks: Callable[[], bytes | None], plain: Read) -> Read:
    """Read by blocks as long as that goes well, then plainly what is left."""
    given = 0
    blocked = True

    def read(count: int) -> bytes:
        nonlocal given, blocked
        if blocked:
            piece = blocks()
            if piece is not None:
                given += len(piece)
                return piece
            blocked = False
            while given:
                skipped = plain(min(given, CHUNK))
                if not skipped:
                    raise ArchiveFormatError("cannot be unpacked: its blocks are not those of a stream")
                given -= len(skipped)
        return plain(count)

    return read


class PlainReader:
    """Streams of bz2, one after the other, decoded in the caller's thread.

    Args:
        stream: The file, at its first byte.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._decoder = bz2.BZ2Decompressor()
        self._ahead = b""

    def read(self, count: int) -> bytes:
        """At most so many bytes; none at the end."""
        while True:
            if self._decoder.eof:
                self._ahead = self._decoder.unused_data or self._stream.read(CHUNK)
                if not self._ahead:
                    return b""
                if not b"BZh".startswith(self._ahead[:3]) and not self._ahead.startswith(b"BZh"):
                    raise ArchiveFormatError("goes on after its end")
                self._decoder = bz2.BZ2Decompressor()
            given, self._ahead = self._ahead, b""
            if self._decoder.needs_input and not given:
                given = self._stream.read(CHUNK)
                if not given:
                    raise ArchiveFormatError("is cut")
            try:
                piece = self._decoder.decompress(given, count)
            except OSError as error:
                raise ArchiveFormatError(f"cannot be unpacked: {error}") from error
            if piece:
                return piece
