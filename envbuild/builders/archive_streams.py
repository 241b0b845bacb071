"""Source archives as streams of members: which format a file is, and its parts one after the other.

Compressed tars are unpacked strictly: streams may follow each other, as their formats allow, but nothing else may. Of a
zip file its directory at the end and the headers before each member must say the same.

Rules of the file: forward only; every defect of the bytes is ``IntegrityError``.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from envbuild.digest import CHUNK
from envbuild.errors import IntegrityError
from envbuild.tar_reader import BLOCK, ArchiveFormatError, Member, TarReader, is_tar_header

Members = Iterator[tuple[Member, Iterable[bytes]]]

_WINDOW = 128 << 20
"""Bytes that a stream may ask to be remembered."""

_MAGIC = {
    b"\x1f\x8b": (".tar.gz", ".tgz"),
    b"BZh": (".tar.bz2", ".tbz2"),
    b"\xfd7zXZ\0": (".tar.xz", ".txz"),
    b"\x28\xb5\x2f\xfd": (".tar.zst",),
    b"PK\x03\x04": (".zip",),
}


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


@contextmanager
def open_members(archive: Path, name: str) -> Iterator[Members]:
    """The members of an archive, each with its content, to be taken in order.

    Args:
        archive: The file.
        name: Its file name; the ending says the format.

    Raises:
        IntegrityError: ``archive-format``.
    """
    with archive.open("rb") as stream:
        try:
            ending = _format(stream, name)
            if ending == ".zip":
                from envbuild.builders.zip_reader import zip_members

                yield zip_members(stream)
            else:
                yield _tar_members(TarReader(_reader(stream, ending)))
        except (ArchiveFormatError, EOFError, zlib.error, struct.error) as error:
            raise IntegrityError(f"{name} {_words(error)}", reference="archive-format") from error


def _words(error: Exception) -> str:
    return str(error) if isinstance(error, ArchiveFormatError) else f"cannot be unpacked: {error}"


def _tar_members(tar: TarReader) -> Members:
    for member in tar.members():
        yield member, tar.pieces()


def _format(stream: BinaryIO, name: str) -> str:
    """The ending that the name has, when the bytes agree and say nothing else as well."""
    head = stream.read(BLOCK)
    said = next((magic for magic in _MAGIC if head.startswith(magic)), b"")
    endings = _MAGIC.get(said, (".tar",) if is_tar_header(head) else ())
    ending = next((ending for ending in endings if name.lower().endswith(ending)), None)
    if ending is None:
        raise ArchiveFormatError("is not what its name says: its first bytes are those of another format")
    if said and is_tar_header(head):
        raise ArchiveFormatError("is two archives in one: its first bytes are also those of a tar")
    if ending != ".zip" and _ends_as_zip(stream):
        raise ArchiveFormatError("is two archives in one: it ends as a zip file does")
    stream.seek(0)
    return endings[0]


def _ends_as_zip(stream: BinaryIO) -> bool:
    """Whether the end of the file is the end of a zip's directory, comment included."""
    size = stream.seek(0, 2)
    start = stream.seek(max(0, size - (1 << 16) - 22))
    tail = stream.read()
    found = tail.rfind(b"PK\x05\x06")
    while found >= 0:
        comment = tail[found + 20 : found + 22]
        if len(comment) == 2 and start + found + 22 + int.from_bytes(comment, "little") == size:
            return True
        found = tail.rfind(b"PK\x05\x06", 0, found)
    return False


def _reader(stream: BinaryIO, ending: str) -> Callable[[int], bytes]:
    if ending == ".tar":
        return stream.read
    if ending == ".tar.zst":
        return _zstd_reader(stream)
    if ending == ".tar.gz":
        return _Inflated(stream, _Gzip).read
    if ending == ".tar.xz":
        import lzma

        return _Inflated(stream, lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, 2 * _WINDOW)).read
    import bz2

    return _Inflated(stream, bz2.BZ2Decompressor).read


class _Inflated:
    """What compressed streams, one after the other, give; zeros may follow the last, and nothing else."""

    def __init__(self, stream: BinaryIO, make: Callable[[], _Decompressor]) -> None:
        self._stream = stream
        self._make = make
        self._part: _Decompressor | None = None
        self._ahead = b""
        self._padding = False

    def read(self, count: int) -> bytes:
        """At most so many bytes; none at the end."""
        while True:
            if not self._ahead and (self._part is None or self._part.needs_input):
                self._ahead = self._stream.read(CHUNK)
                if not self._ahead and self._part is None:
                    return b""
            if self._part is None and not self._next():
                continue
            assert self._part is not None
            given, self._ahead = self._ahead, b""
            try:
                piece = self._part.decompress(given, count)
            except (zlib.error, OSError, EOFError) as error:
                raise ArchiveFormatError(f"cannot be unpacked: {error}") from error
            except Exception as error:  # lzma's own class, which only lzma can name
                if type(error).__name__ != "LZMAError":
                    raise
                raise ArchiveFormatError(f"cannot be unpacked: {error}") from error
            if self._part.eof:
                self._ahead = self._part.unused_data
                self._part = None
            if piece:
                return piece
            if not given and self._part is not None:
                raise ArchiveFormatError("is cut")

    def _next(self) -> bool:
        """Begin the next stream; False when only padding was there."""
        rest = self._ahead.lstrip(b"\0")
        self._padding = self._padding or len(rest) != len(self._ahead)
        self._ahead = rest
        if not rest:
            return False
        if self._padding:
            raise ArchiveFormatError("goes on after its end")
        self._part = self._make()
        return True


class _Gzip:
    """``zlib`` with the interface of ``bz2`` and ``lzma``; checks the sum and the size at a stream's end."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(zlib.MAX_WBITS | 16)

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def needs_input(self) -> bool:
        return not self._zlib.unconsumed_tail and not self._zlib.eof

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        return self._zlib.decompress(self._zlib.unconsumed_tail + data, max_length)


def _zstd_reader(stream: BinaryIO) -> Callable[[int], bytes]:
    import zstandard

    plain = zstandard.ZstdDecompressor(max_window_size=_WINDOW).stream_reader(stream, read_across_frames=True)

    def read(count: int) -> bytes:
        try:
            return bytes(plain.read(count))
        except zstandard.ZstdError as error:
            raise ArchiveFormatError(f"cannot be unpacked: {error}") from error

    return read
