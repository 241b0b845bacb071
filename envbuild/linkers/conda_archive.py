"""What a conda package file says about itself, read from the file.

Only asked when rattler refused a package, to tell a wrong package from a broken one in the user's words; else rattler's
own unpacked copy is read, which costs nothing.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

from envbuild.errors import IntegrityError
from envbuild.package import CondaPackage

_MOST_MEMBERS = 10_000
_LARGEST_INDEX = 16 << 20


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
    """One file of a package's ``info``; None when it has none of that name."""
    from conda_package_streaming.package_streaming import stream_conda_component

    try:
        with path.open("rb") as stream:
            named = _own_name(path, file)
            for count, (tar, member) in enumerate(stream_conda_component(named, stream, component="info")):
                if member.name == name:
                    found = tar.extractfile(member)
                    return found.read(limit) if found else None
                if count > _MOST_MEMBERS:
                    break
    except Exception as error:  # zip, tar, zstd and bz2 each have their own way to be broken
        raise IntegrityError(f"{file} cannot be read: {error}", reference="bad-archive") from error
    return None


def _own_name(path: Path, file: str) -> str:
    """The name by which a ``.conda`` file calls its parts; the parts of another package have another."""
    if format_of(path) != ".conda":
        return "package.tar.bz2"
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if name.startswith("info-") and name.endswith(".tar.zst"):
                return name.removeprefix("info-").removesuffix(".tar.zst") + ".conda"
    return file


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
    from envbuild.linkers.zip_structure import BadZipError, ZipFileView

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
    from conda_package_streaming.package_streaming import stream_conda_component

    from envbuild.linkers.conda_contents import bad, check_link, check_paths, read_listing

    check_archive(path, package)
    check_listing(path, package)
    held: set[str] = set()
    links: set[str] = set()
    try:
        with path.open("rb") as stream:
            for _, member in stream_conda_component(_own_name(path, package.file), stream, component="pkg"):
                name = member.name.removeprefix("./").rstrip("/")
                check_paths([name], package)
                if member.islnk() and member.linkname not in held:
                    raise bad(package, f"holds a hard link to what is not there: {name[:60]!r}")
                if member.issym():
                    check_link(member.linkname, name, package)
                    links.add(name)
                if any(name.startswith(f"{link}/") for link in links):
                    raise bad(package, f"holds a file behind a link: {name[:60]!r}")
                if not (member.isreg() or member.isdir() or member.issym() or member.islnk()):
                    raise bad(package, f"holds {name[:60]!r}, which is neither file nor link")
                held.add(name)
    except IntegrityError:
        raise
    except Exception as error:  # zip, tar, zstd and bz2 each have their own way to be broken
        raise IntegrityError(f"{package.file} cannot be read: {error}", reference="bad-archive") from error
    data = _info_member(path, package.file, "info/paths.json", _LARGEST_INDEX)
    for item in read_listing(data, package) if data is not None else ():
        if item.kind != "directory" and item.path not in held:
            raise bad(package, f"lists {item.path[:60]!r}, which it does not hold")


def check_listing(path: Path, package: CondaPackage) -> None:
    """The paths that a package lists, read from the file, where nobody knows where it was unpacked to.

    Raises:
        IntegrityError: ``bad-package``, ``bad-archive``.
    """
    from envbuild.linkers.conda_contents import LARGEST_LIST, read_listing

    data = _info_member(path, package.file, "info/paths.json", LARGEST_LIST)
    if data is not None:
        read_listing(data, package)
