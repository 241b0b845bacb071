"""What a conda package file says about itself, read from the file.

Only asked when rattler refused a package, to tell a wrong package from a broken one in the user's words; else rattler's
own unpacked copy is read, which costs nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from envbuild.errors import IntegrityError
from envbuild.linkers.zip_structure import BadZipError
from envbuild.package import CondaPackage
from envbuild.tar_reader import ArchiveFormatError, Member, TarReader

if TYPE_CHECKING:
    from envbuild.linkers.conda_contents import Listing

_MOST_MEMBERS = 10_000
_LARGEST_INDEX = 16 << 20
_WINDOW = 128 << 20
_RATIO = 200
"""Bytes out for each byte in, once more than ``_RATIO_FROM`` are out."""
_RATIO_FROM = 1 << 30
BROKEN = (ArchiveFormatError, BadZipError, EOFError, OSError)
"""How zip, tar, zstd and bz2 are broken, each in its own way."""


def check_archive(path: Path, package: CondaPackage) -> None:
    """The file's ``info/index.json`` must be the lock's package.

    Raises:
        IntegrityError: ``wrong-package`` when it is another one, ``bad-archive`` when it cannot be read.
    """
    check_said(package_index(path, package.file), package)


def package_index(path: Path, file: str) -> object:
    """A package's ``info/index.json``; None when it has none.

    Args:
        path: The package.
        file: Its file name, which tells the format.

    Raises:
        IntegrityError: ``bad-archive`` when it cannot be read.
    """
    data = _info_member(path, file, "info/index.json", _LARGEST_INDEX)
    try:
        return None if data is None else json.loads(data)
    except (ValueError, RecursionError) as error:
        raise IntegrityError(f"{file} cannot be read: {error}", reference="bad-archive") from error


def _info_member(path: Path, file: str, name: str, limit: int) -> bytes | None:
    """One file of a package's ``info``; None when it has none of that name, or one that is too long."""
    try:
        with members_of(path, "info") as found:
            for count, (member, pieces) in enumerate(found):
                if member.name.removeprefix("./") == name:
                    return b"".join(pieces) if member.kind == "file" and member.size <= limit else None
                if count > _MOST_MEMBERS:
                    break
    except BROKEN as error:
        raise IntegrityError(f"{file} cannot be read: {error}", reference="bad-archive") from error
    return None


Members = Iterator[tuple[Member, Iterator[bytes]]]


@contextmanager
def members_of(path: Path, part: str) -> Iterator[Members]:
    """The members of one part of a package, in order; the older format has but one part, and all of it is given.

    Raises:
        ArchiveFormatError: For a broken package, or one that unpacks to too much; BadZipError, OSError or EOFError
            likewise.
    """
    most = max(_RATIO_FROM, _RATIO * path.stat().st_size)
    if format_of(path) != ".conda":
        import bz2

        with bz2.open(path) as stream:
            yield _read(TarReader(_Limited(stream.read, most).read))
        return
    import zstandard

    from envbuild.linkers.zip_structure import ZipFileView

    with ZipFileView(path) as view:
        for entry in view.entries:
            if entry.name.startswith(f"{part}-") and entry.name.endswith(".tar.zst"):
                packed = cast(BinaryIO, _Pieces(view.pieces(entry)))
                plain = zstandard.ZstdDecompressor(max_window_size=_WINDOW).stream_reader(packed)
                try:
                    yield _read(TarReader(_Limited(plain.read, most).read))
                except zstandard.ZstdError as error:
                    raise ArchiveFormatError(f"it cannot be unpacked: {error}") from error
                return
        raise ArchiveFormatError(f"it has no {part}-….tar.zst")


def _read(tar: TarReader) -> Members:
    for member in tar.members():
        yield member, tar.pieces()


class _Limited:
    """A stream that gives no more than a package may hold."""

    def __init__(self, read: Callable[[int], bytes], most: int) -> None:
        self._read = read
        self._left = most

    def read(self, count: int) -> bytes:
        piece = self._read(count)
        self._left -= len(piece)
        if self._left < 0:
            raise ArchiveFormatError("it unpacks to more than a package may hold")
        return piece


class _Pieces:
    """Pieces of bytes as a stream."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._ahead = b""

    def read(self, count: int) -> bytes:
        self._ahead = self._ahead or next(self._pieces, b"")
        piece, self._ahead = self._ahead[:count], self._ahead[count:]
        return piece


def format_of(path: Path) -> str:
    """The suffix that a package file's first bytes call for: one that was transmuted is named otherwise in the lock."""
    with path.open("rb") as stream:
        return ".conda" if stream.read(2) == b"PK" else ".tar.bz2"


def check_said(index: object, package: CondaPackage) -> None:
    """An ``info/index.json`` against the lock.

    Raises:
        IntegrityError: ``wrong-package``.
    """
    if not isinstance(index, dict):
        raise IntegrityError(f"{package.file} does not say which package it is", reference="wrong-package")
    subdir = index.get("subdir") or package.subdir
    if subdir != package.subdir:
        raise IntegrityError(
            f"{package.file} says that it is for {subdir}, the lock says {package.subdir}", reference="wrong-package"
        )
    said = (index.get("name"), index.get("version"), index.get("build"))
    if said != (package.name, package.version, package.build):
        raise IntegrityError(
            f"{package.file} says that it is {' '.join(map(str, said))}, the lock says "
            f"{package.name} {package.version} {package.build}",
            reference="wrong-package",
            hint="envbuild lock",
        )


def check_structure(path: Path, package: CondaPackage) -> None:
    """A ``.conda`` file must be one zip to every reader, with the three members of the format, named as the file is.

    Raises:
        IntegrityError: ``bad-archive``, ``bad-package``; ``wrong-package`` when it is another one.
    """
    if format_of(path) != ".conda":
        return
    from envbuild.linkers.conda_contents import bad
    from envbuild.linkers.zip_structure import ZipFileView

    stem = package.file.removesuffix(".conda").removesuffix(".tar.bz2")
    wanted = {"metadata.json", f"info-{stem}.tar.zst", f"pkg-{stem}.tar.zst"}
    try:
        with ZipFileView(path) as view:
            names = [entry.name for entry in view.entries]
            if set(names) != wanted:
                check_archive(path, package)  # another package's file is told as that
                odd = sorted(set(names) ^ wanted)[0]
                raise bad(package, f"{'has' if odd in names else 'lacks'} the member {odd[:80]!r}")
            metadata = next(entry for entry in view.entries if entry.name == "metadata.json")
            version = json.loads(view.read(metadata, _LARGEST_INDEX))["conda_pkg_format_version"]
            if version != 2 or any(entry.size != entry.packed for entry in view.entries):
                raise bad(package, f"is of a format that is not known: {version!r}")
    except BadZipError as error:
        raise IntegrityError(f"{package.file} cannot be read: it {error}", reference="bad-archive") from error
    except (ValueError, KeyError, TypeError, RecursionError):
        raise bad(package, "has a metadata.json that cannot be read") from None


def explain(path: Path, package: CondaPackage) -> None:
    """Find out what an engine meant that refused a package: look at each member of it.

    Raises:
        IntegrityError: ``wrong-package``, ``bad-archive`` or ``bad-package``; nothing is raised for a good package.
    """
    from envbuild.linkers.conda_contents import bad, check_link, check_paths, read_listing

    check_archive(path, package)
    check_listing(path, package)
    parted = format_of(path) == ".conda"
    held: set[str] = set()
    links: set[str] = set()
    try:
        with members_of(path, "pkg") as members:
            for member, _ in members:
                name = member.name.removeprefix("./").rstrip("/")
                if not parted and name.split("/")[0] == "info":
                    continue  # the older format holds what is said and what is linked in one tar
                check_paths([name], package)
                if member.kind == "hard link" and member.target not in held:
                    raise bad(package, f"holds a hard link to what is not there: {name[:60]!r}")
                if member.kind == "link":
                    check_link(member.target, name, package)
                    links.add(name)
                if any(name.startswith(f"{link}/") for link in links):
                    raise bad(package, f"holds a file behind a link: {name[:60]!r}")
                if member.kind == "other":
                    raise bad(package, f"holds {name[:60]!r}, which is neither file nor link")
                held.add(name)
    except BROKEN as error:
        raise IntegrityError(f"{package.file} cannot be read: {error}", reference="bad-archive") from error
    data = _info_member(path, package.file, "info/paths.json", _LARGEST_INDEX)
    for item in read_listing(data, package) if data is not None else ():
        if item.kind != "directory" and item.path not in held:
            raise bad(package, f"lists {item.path[:60]!r}, which it does not hold")


def check_listing(path: Path, package: CondaPackage) -> Listing | None:
    """The paths that a package lists, read from the file, where nobody knows where it was unpacked to.

    Returns:
        What was read; None for a package without a list.

    Raises:
        IntegrityError: ``bad-package``, ``bad-archive``.
    """
    from envbuild.linkers.conda_contents import LARGEST_LIST, Listing, read_listing

    data = _info_member(path, package.file, "info/paths.json", LARGEST_LIST)
    return None if data is None else Listing(data, read_listing(data, package))
