"""One package read, checked and written: the loop between two archives.

::

    .tar.bz2 ─ bz2 ─► members ─► two tars ─ zstd ─► .conda          (info aside until the rest is whole)
    .conda ─ zstd ─► members of info, then of pkg ─► one tar ─ bz2 ─► .tar.bz2

In a ``.conda`` each tar is unpacked by itself, so a hard link may not name a file of the other one. Such a link becomes
a file with the same content: the package is read once more for it, and the copies stand at the end of their tar.

Rules of the file: nothing is extracted; memory does not grow with the package; what is written follows from the members
and the level alone.
"""

from __future__ import annotations

import bz2
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from envbuild import faults
from envbuild.errors import IntegrityError
from envbuild.tar_reader import ArchiveFormatError, Member, TarReader
from envbuild.transmuting.bz2_file import open_bz2
from envbuild.transmuting.conda_file import PARTS, CondaWriter, open_conda
from envbuild.transmuting.members import Members
from envbuild.transmuting.package_tar import PackageTar
from envbuild.transmuting.streams import Buffered, Gathered
from envbuild.value import dataclass

Progress = Callable[[int], None]
"""Told the bytes unpacked so far."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """What is read.

    Attributes:
        path: The verified file.
        file: Its name, which says its format.
    """

    path: Path
    file: str

    @property
    def is_conda(self) -> bool:
        """Whether it is a ``.conda``."""
        return self.file.endswith(".conda")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewritten:
    """What was in the package.

    Attributes:
        members: How many.
        size: Bytes of their content.
        special: Paths that lost a setuid, setgid or sticky bit.
    """

    members: int
    size: int
    special: tuple[str, ...]


def rewrite(package: Package, target: Path, level: int, progress: Progress = lambda _: None) -> Rewritten:
    """Write a package in the other format.

    Args:
        package: What is read.
        target: The file to make, in an empty folder of the caller's; beside it other files may come and go. Its name
            says the format and, in a ``.conda``, what its parts are called after.
        level: How hard to compress.
        progress: Told now and then.

    Raises:
        IntegrityError: ``archive-…`` for a package that is broken or that nobody may have.
        OSError: When the target cannot be written.
    """
    members = Members(package.file, package.path.stat().st_size)
    try:
        if target.name.endswith(".conda"):
            _to_conda(package, target, level, members, _Told(progress))
        else:
            _to_bz2(package, target, level, members, _Told(progress))
    except ArchiveFormatError as error:
        raise IntegrityError(f"{package.file} {error}", reference="archive-format") from error
    return Rewritten(members=members.count, size=members.size, special=tuple(members.special))


class _Told:
    """Pieces of content on their way, each told before it goes on."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._size = 0

    def __call__(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            self._size += len(piece)
            self._progress(self._size)
            yield piece


def _to_conda(package: Package, target: Path, level: int, members: Members, told: _Told) -> None:
    spool = target.with_name("info.tar.zst")
    with target.open("xb+") as stream, spool.open("xb+") as info:
        writer = CondaWriter(stream, target.name.removesuffix(".conda"), level, info)
        tars = {"info": PackageTar(writer.info.write), "pkg": PackageTar(writer.pkg.write)}
        copies: dict[str, list[tuple[Member, str]]] = {}
        for reader, member in _all(package, members):
            path, first = members.take(member)
            part = _part(path)
            if member.kind == "hard link" and _part(first) != part:
                copies.setdefault(first, []).append((member, path))
            elif path:
                tars[part].add(member, path, first, told(reader.pieces()))
            faults.reach("mid-transmute")
        members.finish()
        if copies:
            _add_copies(package, tars, copies)
        for tar in tars.values():
            tar.close()
        writer.finish()
    spool.unlink()


def _part(path: str) -> str:
    return "info" if path == "info" or path.startswith("info/") else "pkg"


def _add_copies(package: Package, tars: dict[str, PackageTar], copies: dict[str, list[tuple[Member, str]]]) -> None:
    """Read the package once more and write what was linked across its parts: a file, and further names for it."""
    members = Members(package.file, package.path.stat().st_size)
    for reader, member in _all(package, members):
        path = members.path(member.name)
        if member.kind == "file" and path in copies:
            (_, copy), *others = copies[path]
            tar = tars[_part(copy)]
            tar.add(member, copy, "", reader.pieces())
            for link, name in others:
                tar.add(link, name, copy, ())


def _to_bz2(package: Package, target: Path, level: int, members: Members, told: _Told) -> None:
    with target.open("xb") as stream:
        compressor = bz2.BZ2Compressor(level)
        gathered = Gathered(lambda piece: stream.write(compressor.compress(piece)))
        tar = PackageTar(gathered.write)
        for reader, member in _all(package, members):
            path, first = members.take(member)
            if path:
                tar.add(member, path, first, told(reader.pieces()))
            faults.reach("mid-transmute")
        members.finish()
        tar.close()
        gathered.flush()
        stream.write(compressor.flush())


def _all(package: Package, members: Members) -> Iterator[tuple[TarReader, Member]]:
    """Every member with the reader that gives its content."""
    with _tars(package, members) as readers:
        for reader in readers:
            for member in reader.members():
                yield reader, member


@contextmanager
def _tars(package: Package, members: Members) -> Iterator[list[TarReader]]:
    if package.is_conda:
        with open_conda(package.path, package.file.removesuffix(".conda")) as parts:
            yield [TarReader(Buffered(members.limited(parts[part])).read) for part in PARTS]
    else:
        with open_bz2(package.path) as read:
            yield [TarReader(Buffered(members.limited(read)).read)]
