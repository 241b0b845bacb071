"""Whether a wheel file is the package that the lock says, and safe to hand to an installer.

Read from the zip's directory and two small members: exactly one ``.dist-info``; its METADATA must give the lock's name
and version; names of entry points must be plain file names, for an installer makes files of them. A wheel that passed
is remembered by its digest in a cache folder, so that a warm link opens no zip.
"""

from __future__ import annotations

import os
import re
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from envbuild.errors import IntegrityError
from envbuild.package import Wheel, normalize_pypi_name

if TYPE_CHECKING:
    from zipfile import ZipFile

_ENTRY_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")
_RESERVED = re.compile(r"(python|pypy)[0-9.]*w?|activate(\..*)?", re.IGNORECASE)
_SCRIPT = re.compile(r"[^/\n]+\.data/scripts/([^/\n]+)")
_LIMIT = 16 << 20


def check_wheel(path: Path, wheel: Wheel, memory: Path) -> tuple[str, ...]:
    """Check a wheel once.

    Args:
        path: The verified file.
        wheel: What the lock says.
        memory: A cache folder for what passed; may be emptied at any time.

    Returns:
        The names of the programs that it puts into ``bin``.

    Raises:
        IntegrityError: ``wrong-package`` or ``bad-entry-point``.
    """
    mark = memory / wheel.sha256
    passed = f"{wheel.name}=={wheel.version}"
    try:
        told, *known = mark.read_text(encoding="utf-8").split("\n")
        if told == passed:
            return tuple(known)
    except OSError:
        pass
    programs = inspect_wheel(path, wheel)
    memory.mkdir(parents=True, exist_ok=True)
    fresh = memory / f".{os.getpid()}-{threading.get_ident()}-{mark.name}"
    fresh.write_text("\n".join([passed, *programs]), encoding="utf-8")
    fresh.replace(mark)
    return programs


def inspect_wheel(path: Path, wheel: Wheel) -> tuple[str, ...]:
    """Read a wheel's own words and compare.

    Returns:
        The names of the programs that it puts into ``bin``.

    Raises:
        IntegrityError: ``wrong-package`` or ``bad-entry-point``.
    """
    import zipfile  # zipfile and email take 20 ms, and a warm link opens no wheel
    from email.parser import HeaderParser

    try:
        with zipfile.ZipFile(path) as archive:
            folders = {
                name.split("/", 1)[0] for name in archive.namelist() if ".dist-info/" in name.split("/", 1)[0] + "/"
            }
            if len(folders) != 1:
                raise _wrong(wheel, f"has {len(folders)} .dist-info folders, not one")
            folder = folders.pop()
            metadata = _member(archive, f"{folder}/METADATA") or ""
            entry_points = _member(archive, f"{folder}/entry_points.txt") or ""
            scripts = [found[1] for name in archive.namelist() if (found := _SCRIPT.fullmatch(name))]
    except (zipfile.BadZipFile, UnicodeDecodeError, NotImplementedError, RuntimeError, OSError) as error:
        raise _wrong(wheel, f"cannot be read as a wheel: {error}") from error
    headers = HeaderParser().parsestr(metadata)
    name, version = headers.get("Name", ""), headers.get("Version", "")
    if normalize_pypi_name(name) != wheel.name or not _same_version(version, wheel.version):
        raise _wrong(wheel, f"says that it is {name} {version}, the lock says {wheel.name} {wheel.version}")
    return tuple(sorted({*scripts, *check_entry_points(entry_points, wheel)}))


def check_entry_points(text: str, wheel: Wheel) -> tuple[str, ...]:
    """Names of console and GUI scripts must be plain and may not replace the interpreter.

    Returns:
        The names.

    Raises:
        IntegrityError: ``bad-entry-point``.
    """
    import configparser

    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    try:
        parser.read_string(text)
    except configparser.Error as error:
        raise IntegrityError(
            f"{wheel.file} has entry points that cannot be read", reference="bad-entry-point"
        ) from error
    names = []
    for section in ("console_scripts", "gui_scripts"):
        for name in parser[section] if parser.has_section(section) else ():
            if not _ENTRY_NAME.fullmatch(name) or _RESERVED.fullmatch(name):
                raise IntegrityError(
                    f"{wheel.file} wants to install a script called {name!r}", reference="bad-entry-point"
                )
            names.append(name)
    return tuple(names)


def _member(archive: ZipFile, name: str) -> str | None:
    try:
        with archive.open(name) as stream:
            data = stream.read(_LIMIT + 1)
    except KeyError:
        return None
    if len(data) > _LIMIT:
        raise OSError(f"{name} is larger than {_LIMIT} bytes")
    return data.decode()


def _same_version(said: str, locked: str) -> bool:
    if said == locked:
        return True
    from packaging.version import InvalidVersion, Version  # 75 ms: only for another spelling of the same version

    try:
        return Version(said) == Version(locked)
    except InvalidVersion:
        return False


def _wrong(wheel: Wheel, what: str) -> IntegrityError:
    return IntegrityError(f"{wheel.file} {what}", reference="wrong-package", hint="envbuild lock")
