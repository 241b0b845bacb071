"""A layer of an image as a tar: one byte sequence for the same files, on every machine.

Members are sorted by their bytes; every folder stands before what is in it; user and group are 0; modes are 0755 for
folders and what its owner may run, else 0644. Times are 0, but for one kind of file: a compiled Python module that
packages bring names the time of its source, and counts only beside a source of that time. So such a source gets the
time that its compiled file names, which is content too.

Nothing is compressed: what a compressor writes depends on its version, and the digest would with it.

Rules of the file: streams; holds names and one piece.
"""

from __future__ import annotations

import functools
import os
import re
import stat
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath

from envbuild.builders.canonical_tar import LARGEST_FILE, header, pax_record, short_name
from envbuild.errors import InvalidInput
from envbuild.tar_reader import BLOCK

_PIECE = 1 << 20
_COMPILED_HEADER = 16


def write_layer(tree: Path, place: PurePosixPath, names: Iterable[bytes], write: Callable[[bytes], object]) -> None:
    """Write a layer.

    Args:
        tree: The folder that holds the files.
        place: Where that folder will be in the image; absolute.
        names: The members, by their paths below ``tree``; folders only where they would be empty.
        write: Gets the bytes.

    Raises:
        InvalidInput: ``no-image`` for what a layer cannot hold.
    """
    root = os.fsencode(tree)
    top = os.fsencode(place.relative_to("/"))
    parents = [b"/".join(top.split(b"/")[:count]) for count in range(1, top.count(b"/") + 2)]
    for parent in parents:
        _begin(write, parent + b"/", b"5", 0o755)
    seen: set[bytes] = set()
    for name in sorted(names, key=lambda item: item.split(b"/")):
        parts = name.split(b"/")
        for count in range(1, len(parts)):
            parent = b"/".join(parts[:count])
            if parent not in seen:
                seen.add(parent)
                _begin(write, top + b"/" + parent + b"/", b"5", 0o755)
        _member(write, root + b"/" + name, top + b"/" + name)
    write(bytes(2 * BLOCK))


def _member(write: Callable[[bytes], object], path: bytes, name: bytes) -> None:
    state = os.lstat(path)
    if stat.S_ISLNK(state.st_mode):
        _begin(write, name, b"2", 0o777, link=os.readlink(path))  # noqa: PTH115
    elif stat.S_ISDIR(state.st_mode):
        _begin(write, name + b"/", b"5", 0o755)
    elif stat.S_ISREG(state.st_mode) and state.st_size < LARGEST_FILE:
        mode = 0o755 if state.st_mode & stat.S_IXUSR else 0o644
        _begin(write, name, b"0", mode, size=state.st_size, time=_time(path, state.st_size))
        left = state.st_size
        with open(path, "rb") as stream:  # noqa: PTH123  a path of bytes
            while left and (piece := stream.read(min(_PIECE, left))):
                left -= len(piece)
                write(piece)
        if left:
            raise InvalidInput(f"{os.fsdecode(name)} became shorter while it was read", reference="no-image")
        write(bytes(-state.st_size % BLOCK))
    else:
        raise InvalidInput(
            f"{os.fsdecode(name)} is neither a file of less than {LARGEST_FILE >> 30} GiB nor a link nor a folder",
            reference="no-image",
        )


@functools.lru_cache(maxsize=1)
def _compiled_of(folder: bytes) -> dict[bytes, bytes]:
    """The compiled file of each source of a folder; sources come folder by folder, so one is remembered."""
    try:
        names = sorted(os.listdir(folder + b"/__pycache__"))  # noqa: PTH208
    except OSError:
        return {}
    return {name.split(b".cpython-")[0] + b".py": name for name in names if re.search(rb"\.cpython-\d+\.pyc$", name)}


def _time(path: bytes, size: int) -> int:
    """The time of a source that its compiled file names (PEP 552, without flags); 0 for every other file."""
    folder, name = os.path.split(path)
    compiled = _compiled_of(folder).get(name)
    if compiled is None:
        return 0
    with open(folder + b"/__pycache__/" + compiled, "rb") as stream:  # noqa: PTH123  a path of bytes
        told = stream.read(_COMPILED_HEADER)
    flags, time, told_size = (int.from_bytes(told[at : at + 4], "little") for at in (4, 8, 12))
    return time if len(told) == _COMPILED_HEADER and not flags and told_size == size else 0


def _begin(
    write: Callable[[bytes], object],
    name: bytes,
    kind: bytes,
    mode: int,
    *,
    size: int = 0,
    time: int = 0,
    link: bytes = b"",
) -> None:
    records = b""
    if len(name) > 100 or not name.isascii():
        records += pax_record(b"path", name)
    if len(link) > 100 or not link.isascii():
        records += pax_record(b"linkpath", link)
    if records:
        write(header(b"pax", b"x", len(records), 0o644, b"") + records + bytes(-len(records) % BLOCK))
    write(header(short_name(name), kind, size, mode, short_name(link), time))
