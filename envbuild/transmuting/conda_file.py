"""The ``.conda`` format: a zip file that holds ``metadata.json`` and two compressed tars, written and read.

::

    metadata.json                    {"conda_pkg_format_version": 2}
    pkg-<name>-<version>-<build>.tar.zst
    info-<name>-<version>-<build>.tar.zst

Everything is stored, for the tars are compressed; the info comes last, so that a reader finds it beside the directory.
conda-package-streaming puts the time of day into each entry; here every entry has the first day that a zip file can
say, and nothing else of the moment or the machine gets in. The large part is written where it stays: its header is
filled in when its size is known, and has the long form of sizes (zip64), as conda's own tools write it.

Rules of the file: the writer's bytes follow from what it is given; the reader refuses what it does not expect.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from envbuild.digest import CHUNK
from envbuild.tar_reader import ArchiveFormatError
from envbuild.transmuting.streams import Gathered, Read, zstd_reader

if TYPE_CHECKING:
    import zipfile

PARTS = ("info", "pkg")
"""The two tars; the info is what a reader wants first."""

_VERSION = 2
_METADATA = b'{"conda_pkg_format_version": 2}'
_LARGEST_METADATA = 1 << 16

_LOCAL = struct.Struct("<4s5H3L2H")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_LONG_END = struct.Struct("<4sQ2H2L4Q")
_LONG_PLACE = struct.Struct("<4sLQL")
_LONG = struct.Struct("<2H2Q")
_UNSAID = 0xFFFFFFFF
_PLAIN, _ZIP64 = 20, 45
_UNIX = 3
_FIRST_DAY = (1 << 5) | 1
_MODE = 0o100644 << 16


class _Part:
    """One entry of the zip: what is written to it is compressed, counted and summed."""

    def __init__(self, name: str, stream: BinaryIO, level: int) -> None:
        import zstandard

        parameters = zstandard.ZstdCompressionParameters.from_level(
            level, threads=0, write_checksum=True, write_content_size=False
        )
        self.name = name.encode()
        self.size = 0
        self.crc = 0
        self._stream = stream
        self._zstd = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
        self._gathered = Gathered(lambda piece: self._put(self._zstd.compress(piece)))

    def write(self, piece: bytes) -> None:
        self._gathered.write(piece)

    def finish(self) -> None:
        self._gathered.flush()
        self._put(self._zstd.flush())

    def _put(self, packed: bytes) -> None:
        if packed:
            self._stream.write(packed)
            self.size += len(packed)
            self.crc = zlib.crc32(packed, self.crc)


class CondaWriter:
    """A ``.conda`` being written; ``info`` and ``pkg`` get the bytes of their tars, in any order.

    Args:
        stream: An empty file that can be read, written and moved about in.
        stem: The package's name without its suffix: what its parts are called after.
        level: zstd level, 1 to 22.
        spool: An empty file for the info until the other part is whole.
    """

    def __init__(self, stream: BinaryIO, stem: str, level: int, spool: BinaryIO) -> None:
        self._stream = stream
        self._spool = spool
        self._directory: list[bytes] = []
        self._entry(b"metadata.json", _METADATA)
        self._begin = stream.tell()
        self.pkg = _Part(f"pkg-{stem}.tar.zst", stream, level)
        self.info = _Part(f"info-{stem}.tar.zst", spool, level)
        stream.write(_local(self.pkg.name, 0, None))

    def finish(self) -> None:
        """Write what is left: the large part's header, the info, the directory."""
        self.pkg.finish()
        self.info.finish()
        end = self._stream.tell()
        self._stream.seek(self._begin)
        self._stream.write(_local(self.pkg.name, self.pkg.crc, self.pkg.size, long=True))
        self._stream.seek(end)
        self._directory.append(_entry(self.pkg.name, self.pkg.crc, self.pkg.size, self._begin))
        begin = self._stream.tell()
        self._stream.write(_local(self.info.name, self.info.crc, self.info.size, long=self.info.size >= _UNSAID))
        self._spool.seek(0)
        while piece := self._spool.read(CHUNK):
            self._stream.write(piece)
        self._directory.append(_entry(self.info.name, self.info.crc, self.info.size, begin))
        self._close()

    def _entry(self, name: bytes, data: bytes) -> None:
        crc, begin = zlib.crc32(data), self._stream.tell()
        self._stream.write(_local(name, crc, len(data)) + data)
        self._directory.append(_entry(name, crc, len(data), begin))

    def _close(self) -> None:
        begin = self._stream.tell()
        directory = b"".join(self._directory)
        count = len(self._directory)
        self._stream.write(directory)
        if begin >= _UNSAID:
            place = begin + len(directory)
            long_end = _LONG_END.pack(
                b"PK\6\6", _LONG_END.size - 12, _ZIP64, _ZIP64, 0, 0, count, count, len(directory), begin
            )
            self._stream.write(long_end + _LONG_PLACE.pack(b"PK\6\7", 0, place, 1))
        self._stream.write(_END.pack(b"PK\5\6", 0, 0, count, count, len(directory), min(begin, _UNSAID), 0))
        self._stream.flush()


def _local(name: bytes, crc: int, size: int | None, *, long: bool = False) -> bytes:
    """The header before an entry; without a size a place of the same length for it."""
    extra = _LONG.pack(1, 16, size or 0, size or 0) if long or size is None else b""
    short = _UNSAID if extra else size
    needed = _ZIP64 if extra else _PLAIN
    return _LOCAL.pack(b"PK\3\4", needed, 0, 0, 0, _FIRST_DAY, crc, short, short, len(name), len(extra)) + name + extra


def _entry(name: bytes, crc: int, size: int, begin: int) -> bytes:
    """A line of the directory."""
    long = [value for value in (size, size, begin) if value >= _UNSAID]
    extra = struct.pack(f"<2H{len(long)}Q", 1, 8 * len(long), *long) if long else b""
    needed = _ZIP64 if extra or name.startswith(b"pkg-") else _PLAIN
    short = min(size, _UNSAID)
    made = _UNIX << 8 | needed
    fixed = (b"PK\1\2", made, needed, 0, 0, 0, _FIRST_DAY, crc, short, short, len(name), len(extra), 0, 0, 0, _MODE)
    return _ENTRY.pack(*fixed, min(begin, _UNSAID)) + name + extra


@contextmanager
def open_conda(path: Path, stem: str) -> Iterator[dict[str, Read]]:
    """The two tars of a ``.conda``, each as a function that reads it.

    Args:
        path: The file.
        stem: What its parts must be called after.

    Raises:
        ArchiveFormatError: When it is not such a file, or has anything more in it.
    """
    import zipfile

    try:
        with zipfile.ZipFile(path) as archive:
            wanted = {"metadata.json": "", **{f"{part}-{stem}.tar.zst": part for part in PARTS}}
            _check(path, archive, wanted)
            version = _format_version(archive)
            if version != _VERSION:
                raise ArchiveFormatError(f"has the format version {version!r}, and {_VERSION} is known")
            yield {part: zstd_reader(_opened(archive, name)) for name, part in wanted.items() if part}
    except (zipfile.BadZipFile, EOFError, NotImplementedError, struct.error) as error:
        raise ArchiveFormatError(f"cannot be read: {error}") from error


def _check(path: Path, archive: zipfile.ZipFile, wanted: dict[str, str]) -> None:
    names = [entry.filename for entry in archive.infolist()]
    if sorted(names) != sorted(wanted):
        raise ArchiveFormatError(f"holds {', '.join(sorted(names)[:4]) or 'nothing'}, not {', '.join(sorted(wanted))}")
    for entry in archive.infolist():
        if entry.compress_type != 0 or entry.flag_bits & 0x2041 or entry.file_size != entry.compress_size:
            raise ArchiveFormatError(f"does not store its part {entry.filename} as it is")
    if min(entry.header_offset for entry in archive.infolist()) < 0:
        raise ArchiveFormatError("has parts that begin before it does")
    if sum(entry.file_size for entry in archive.infolist()) > path.stat().st_size:
        raise ArchiveFormatError("has parts that overlap")
    with path.open("rb") as stream:
        first = stream.read(4)
        stream.seek(-_END.size, 2)
        if first != b"PK\3\4" or stream.read(4) != b"PK\5\6":
            raise ArchiveFormatError("holds more than a zip file")


def _format_version(archive: zipfile.ZipFile) -> Any:
    if archive.getinfo("metadata.json").file_size > _LARGEST_METADATA:
        raise ArchiveFormatError("has a metadata.json that is too long")
    try:
        tree = json.loads(archive.read("metadata.json"))
    except (ValueError, RecursionError) as error:
        raise ArchiveFormatError("has a metadata.json that cannot be read") from error
    return tree.get("conda_pkg_format_version") if isinstance(tree, dict) else None


def _opened(archive: zipfile.ZipFile, name: str) -> BinaryIO:
    stream: Any = archive.open(name)
    return stream  # type: ignore[no-any-return]
