"""What the compiled files of a Mac need of a system: read from their load commands, nothing is run.

A Mach-O file says which machine it is for and the oldest macOS that it loads on (``LC_BUILD_VERSION``, before 2018
``LC_VERSION_MIN_MACOSX``). A universal file is several of them behind one table. The numbers are those of Apple's
``mach-o/loader.h`` and ``mach-o/fat.h``.

Rules of the file: pure but for the stream that it reads; a file that cannot be read as Mach-O is none.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import IO

from envbuild.value import dataclass

_THIN = {
    b"\xcf\xfa\xed\xfe": ("<", 32),
    b"\xfe\xed\xfa\xcf": (">", 32),
    b"\xce\xfa\xed\xfe": ("<", 28),
    b"\xfe\xed\xfa\xce": (">", 28),
}
"""Magic: byte order, and bytes of the header."""
_FAT = {b"\xca\xfe\xba\xbe": ">iiIII", b"\xca\xfe\xba\xbf": ">iiQQII"}
"""Magic: one line of the table of a universal file."""
_MACHINES = {0x01000007: "x86_64", 0x0100000C: "arm64"}
_LIBRARIES = frozenset({0x0C, 0x80000018, 0x8000001F, 0x80000023})
"""Load commands that name a library: LC_LOAD_DYLIB, and those for weak, passed on and upward ones."""
_RUN_PATH = 0x8000001C
_VERSION_MIN_MACOSX, _BUILD_VERSION, _MACOS = 0x24, 0x32, 1
_MOST_MACHINES, _MOST_BYTES = 16, 1 << 20
"""Machines of one universal file (a Java class begins alike, and would have more), and bytes of load commands."""

MAGICS = frozenset({*_THIN, *_FAT})
"""The first four bytes of such files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MachoNeeds:
    """What the part of one file for one machine needs.

    Attributes:
        machine: ``x86_64``, ``arm64``, or the header's own number.
        macos: The oldest macOS that it loads on; None when it does not say, or is not for a Mac.
        libraries: What it loads, as it says it: ``@rpath/libz.1.dylib``.
        run_paths: What ``@rpath`` stands for, in order.
    """

    machine: str
    macos: tuple[int, int] | None = None
    libraries: tuple[str, ...] = ()
    run_paths: tuple[str, ...] = ()


def macho_needs(stream: IO[bytes]) -> tuple[MachoNeeds, ...]:
    """What each machine's part of a file needs; empty when it is no Mach-O file, or damaged beyond reading.

    Args:
        stream: Seekable, of any content.
    """
    stream.seek(0)
    magic = stream.read(4)
    try:
        if magic in _THIN:
            return (_part(stream, 0),)
        if magic in _FAT:
            return tuple(_part(stream, offset) for offset in _offsets(stream, _FAT[magic]))
    except (struct.error, ValueError, OSError, OverflowError):
        return ()
    return ()


def _offsets(stream: IO[bytes], line: str) -> Iterator[int]:
    (number,) = struct.unpack(">I", stream.read(4))
    if not 0 < number <= _MOST_MACHINES:
        raise ValueError(f"{number} machines")
    size = struct.calcsize(line)
    table = stream.read(size * number)
    for index in range(number):
        yield struct.unpack_from(line, table, size * index)[2]


def _part(stream: IO[bytes], start: int) -> MachoNeeds:
    stream.seek(start)
    order, size = _THIN.get(stream.read(4), ("", 0))
    if not order:
        raise ValueError("not a Mach-O header")
    cpu, _, _, commands, length = struct.unpack(f"{order}iiIII", stream.read(20))
    if length > _MOST_BYTES:
        raise ValueError(f"{length} bytes of load commands")
    stream.seek(start + size)
    data = stream.read(length)
    versions: list[tuple[int, int]] = []
    libraries: list[str] = []
    paths: list[str] = []
    for kind, at, length in _commands(data, order, commands):
        if kind == _VERSION_MIN_MACOSX:
            versions.append(_version(*struct.unpack_from(f"{order}I", data, at + 8)))
        elif kind == _BUILD_VERSION:
            platform, version = struct.unpack_from(f"{order}II", data, at + 8)
            versions += [_version(version)] if platform == _MACOS else []
        elif kind in _LIBRARIES or kind == _RUN_PATH:
            (offset,) = struct.unpack_from(f"{order}I", data, at + 8)
            text = data[at + offset : at + length].partition(b"\0")[0].decode("utf-8", "backslashreplace")
            (paths if kind == _RUN_PATH else libraries).append(text)
    return MachoNeeds(
        machine=_MACHINES.get(cpu, str(cpu)),
        macos=max(versions, default=None),
        libraries=tuple(libraries),
        run_paths=tuple(paths),
    )


def _commands(data: bytes, order: str, commands: int) -> Iterator[tuple[int, int, int]]:
    """Each load command: its kind, where it begins, its bytes."""
    at = 0
    for _ in range(min(commands, len(data) // 8)):
        kind, size = struct.unpack_from(f"{order}II", data, at)
        yield kind, at, size
        if size < 8:
            raise ValueError("a load command without a length")
        at += size
        if at + 8 > len(data):
            return


def _version(packed: int) -> tuple[int, int]:
    """``xxxx.yy.zz`` in nibbles."""
    return packed >> 16, packed >> 8 & 0xFF
