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
    from conda_package_streaming.package_streaming import stream_conda_component

    said: object = None
    try:
        with path.open("rb") as stream:
            named = _own_name(path, file)
            for count, (tar, member) in enumerate(stream_conda_component(named, stream, component="info")):
                if member.name == "info/index.json":
                    found = tar.extractfile(member)
                    said = json.loads(found.read(_LARGEST_INDEX)) if found else None
                    break
                if count > _MOST_MEMBERS:
                    break
    except Exception as error:  # zip, tar, zstd and bz2 each have their own way to be broken
        raise IntegrityError(f"{file} cannot be read: {error}", reference="bad-archive") from error
    return said


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
    said = (index.get("name"), index.get("version"), index.get("build"))
    if said != (package.name, package.version, package.build):
        raise IntegrityError(
            f"{package.file} says that it is {' '.join(map(str, said))}, the lock says "
            f"{package.name} {package.version} {package.build}",
            reference="wrong-package",
            hint="envbuild lock",
        )
