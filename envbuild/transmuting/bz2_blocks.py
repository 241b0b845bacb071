"""The blocks of a bz2 file, decoded by several threads and given in order.

A block begins with 48 bits that are always the same, at any bit of the file, for blocks are not padded; nothing says
where the next one begins. So a file is cut at these bits, and each cut is given to ``bz2`` as a stream of its own: the
file's header, the block moved to a whole byte, and the end of a stream with the block's own checksum. Every block is
thereby checked by ``bz2`` itself; the checksum over all blocks of a stream is checked here.

The 48 bits may also stand in the middle of a block, by chance or by malice. Then a block does not decode; this reader
says so by giving nothing more (None), and its caller reads the rest in the plain way.

Libraries that do this (indexed_bzip2, rapidgzip) hold whole decoded blocks, which are up to 46 MB each, do not check
the checksum of a stream, and let anything follow its end: docs/adr/0018.

Rules of the file: holds at most two cuts for each thread, and one piece of what each gives.
"""

from __future__ import annotations

import bz2
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import BinaryIO

from envbuild.digest import CHUNK
from envbuild.pattern import pattern

_BLOCK = 0x314159265359
_END = 0x177245385090
_MASK = (1 << 48) - 1
_HEADER = pattern(rb"BZh[1-9]")
_LONGEST = 2 << 20
"""Bytes that no block is longer than: 900,000 bytes take up to a hundredth more when they cannot be compressed."""


class _NotBlocksError(Exception):
    """The file is not what it seemed: somebody else must read it."""


@dataclass(frozen=True, slots=True)
class _Cut:
    """One block as a stream of its own.

    Attributes:
        stream: What ``bz2`` gets.
        crc: The block's checksum.
        total: The checksum of all blocks of the stream, when this is the last.
    """

    stream: bytes
    crc: int
    total: int | None


class BlockReader:
    """Gives the content of a file piece by piece: empty at the end, None when it is not to be read in this way.

    Args:
        file: At its first byte.
        threads: How many decode.
    """

    def __init__(self, file: BinaryIO, threads: int) -> None:
        self._cuts = _cuts(file)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="envbuild-bz2")
        self._most = threads + 2
        self._waiting: deque[tuple[_Cut, Future[tuple[bz2.BZ2Decompressor, bytes]]]] = deque()
        self._decoder: bz2.BZ2Decompressor | None = None
        self._sum = 0

    def __enter__(self) -> BlockReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def __call__(self) -> bytes | None:
        """The next piece."""
        try:
            return self._piece()
        except (_NotBlocksError, OSError, EOFError):
            self._waiting.clear()
            return None

    def _piece(self) -> bytes:
        while True:
            if self._decoder is not None:
                if self._decoder.needs_input:
                    raise _NotBlocksError
                piece = self._decoder.decompress(b"", CHUNK)
                if self._decoder.eof:
                    self._decoder = None
            else:
                self._fill()
                if not self._waiting:
                    return b""
                cut, future = self._waiting.popleft()
                decoder, piece = future.result()
                self._decoder = None if decoder.eof else decoder
                self._check(cut)
            if piece:
                return piece

    def _fill(self) -> None:
        while len(self._waiting) < self._most:
            cut = next(self._cuts, None)
            if cut is None:
                return
            self._waiting.append((cut, self._pool.submit(_decoded, cut.stream)))

    def _check(self, cut: _Cut) -> None:
        self._sum = ((self._sum << 1 | self._sum >> 31) & 0xFFFFFFFF) ^ cut.crc
        if cut.total is not None:
            if cut.total != self._sum:
                raise _NotBlocksError
            self._sum = 0


def _decoded(stream: bytes) -> tuple[bz2.BZ2Decompressor, bytes]:
    decoder = bz2.BZ2Decompressor()
    return decoder, decoder.decompress(stream, CHUNK)


def _cuts(file: BinaryIO) -> Iterator[_Cut]:
    """The file's blocks in order."""
    header = file.read(4)
    held, begin, searched = header, 0, 0
    if not _HEADER.fullmatch(header):
        raise _NotBlocksError
    while True:
        piece = file.read(CHUNK)
        held += piece
        for found in _found(held, searched):
            if found <= begin:
                continue
            if begin:
                yield _cut(held, begin, found, header)
            elif found != 32:
                raise _NotBlocksError
            if found % 8 == 0 and _HEADER.fullmatch(held, found // 8 - 4, found // 8):
                header = held[found // 8 - 4 : found // 8]
            begin = found
        if not begin or len(held) > 4 * _LONGEST:
            raise _NotBlocksError
        if not piece:
            yield _cut(held, begin, len(held) * 8, header)
            return
        gone = max(begin // 8 - 4, 0)
        held, begin = held[gone:], begin - 8 * gone
        searched = max(len(held) - 7, 0)


def _found(held: bytes, since: int) -> list[int]:
    """Bit positions of the beginnings of blocks, of those that begin at byte ``since`` or later and are whole."""
    found = []
    for shift in range(8):
        window = (_BLOCK << 8 - shift).to_bytes(7, "big")
        sure = window[:6] if shift == 0 else window[1:6]  # the bytes that hold nothing else
        ahead = 0 if shift == 0 else 1
        place = held.find(sure, since + ahead)
        while place >= 0:
            first = place - ahead
            bits = int.from_bytes(held[first : first + 7].ljust(7, b"\0"), "big")
            if bits >> 8 - shift & _MASK == _BLOCK:
                found.append(8 * first + shift)
            place = held.find(sure, place + 1)
    return sorted(found)


def _cut(held: bytes, begin: int, end: int, header: bytes) -> _Cut:
    """The bits from ``begin`` to ``end`` as a stream; what ends a stream in the file is taken off."""
    bits = int.from_bytes(held[begin // 8 : -(-end // 8)], "big") >> -end % 8
    size = end - begin
    bits &= (1 << size) - 1
    total = None
    last = end == 8 * len(held)
    if last or (end % 8 == 0 and _HEADER.fullmatch(held, end // 8 - 4, end // 8)):
        after = 0 if last else 32
        for padding in range(8):
            rest = after + padding
            if bits >> rest + 32 & _MASK == _END and not bits >> after & (1 << padding) - 1:
                total = bits >> rest & 0xFFFFFFFF
                bits, size = bits >> rest + 80, size - rest - 80
                break
        else:
            if last:
                raise _NotBlocksError
    if size < 80:
        raise _NotBlocksError
    crc = bits >> size - 80 & 0xFFFFFFFF
    whole = (bits << 48 | _END) << 32 | crc
    padding = -(size + 80) % 8
    return _Cut(header + (whole << padding).to_bytes((size + 80 + padding) // 8, "big"), crc, total)
