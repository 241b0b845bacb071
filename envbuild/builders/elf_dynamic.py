"""What an ELF file loads: the names of libraries and the places where it looks for them, read in some 100 microseconds.

A loader finds these through the program headers (``PT_DYNAMIC``, and ``PT_LOAD`` to turn addresses into offsets), which
a stripped file has as any other; so does this. Numbers are those of the System V ABI. A symbol's version needs the
sections, and the library that reads them takes some milliseconds for each file: that is ``elf_check``.

Rules of the file: pure but for the stream that it reads; every length is bounded; what cannot be read is None.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import IO

from envbuild.value import dataclass

MAGIC = b"\x7fELF"
_LOAD, _DYNAMIC = 1, 2
_NEEDED, _STRTAB, _RPATH, _RUNPATH = 1, 5, 15, 29
_MOST_HEADERS, _MOST_DYNAMIC, _LONGEST = 512, 1 << 20, 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class ElfLinks:
    """What one file loads.

    Attributes:
        libraries: Names of shared libraries.
        run_paths: Where it looks for them, in order.
    """

    libraries: tuple[str, ...] = ()
    run_paths: tuple[str, ...] = ()


def elf_links(stream: IO[bytes]) -> ElfLinks | None:
    """What a file loads, or None when it is damaged beyond reading, or no ELF file.

    Args:
        stream: Seekable, of any content.
    """
    try:
        stream.seek(0)
        return _links(stream)
    except (struct.error, ValueError, OSError, OverflowError):
        return None


def _links(stream: IO[bytes]) -> ElfLinks | None:
    head = stream.read(64)
    if head[:4] != MAGIC or len(head) < 52:
        return None
    wide, order = head[4] == 2, ">" if head[5] == 2 else "<"
    start, size, number = (
        (*struct.unpack_from(f"{order}Q", head, 32), *struct.unpack_from(f"{order}HH", head, 54))
        if wide
        else (*struct.unpack_from(f"{order}I", head, 28), *struct.unpack_from(f"{order}HH", head, 42))
    )
    if number and (number > _MOST_HEADERS or size < (56 if wide else 32)):
        raise ValueError("program headers of no known size")
    stream.seek(start)
    table = stream.read(size * number)
    loads, dynamic = [], None
    for index in range(number):
        if wide:
            kind, _, offset, address, _, length = struct.unpack_from(f"{order}IIQQQQ", table, index * size)
        else:
            kind, offset, address, _, length = struct.unpack_from(f"{order}IIIII", table, index * size)
        if kind == _LOAD:
            loads.append((address, offset, length))
        elif kind == _DYNAMIC:
            dynamic = offset, length
    if dynamic is None:
        return ElfLinks()
    stream.seek(dynamic[0])
    tags = list(_tags(stream.read(min(dynamic[1], _MOST_DYNAMIC)), f"{order}{'qQ' if wide else 'iI'}"))
    strings = next((value for tag, value in tags if tag == _STRTAB), None)
    texts = (
        None
        if strings is None
        else next((at + strings - low for low, at, n in loads if low <= strings < low + n), None)
    )
    if texts is None:
        if any(tag == _NEEDED for tag, _ in tags):
            raise ValueError("its strings are nowhere")
        return ElfLinks()

    def text(value: int) -> str:
        stream.seek(texts + value)
        found, end, _ = stream.read(_LONGEST).partition(b"\0")
        if not end:
            raise ValueError("a text without an end")
        return found.decode("utf-8", "backslashreplace")

    paths = [text(value) for tag, value in tags if tag in {_RPATH, _RUNPATH}]
    return ElfLinks(
        libraries=tuple(text(value) for tag, value in tags if tag == _NEEDED),
        run_paths=tuple(path for several in paths for path in several.split(":")),
    )


def _tags(data: bytes, form: str) -> Iterator[tuple[int, int]]:
    """The tags of a dynamic section, up to its end."""
    size = struct.calcsize(form)
    for tag, value in struct.iter_unpack(form, data[: len(data) // size * size]):
        if tag == 0:
            return
        yield tag, value
