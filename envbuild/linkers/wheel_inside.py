"""What is in a wheel, by its own words: which package it is, what it needs, what it calls, where its files go.

Rules of the file: loaded only for a wheel that nobody has looked into on this machine.
"""

from __future__ import annotations

import re
from pathlib import Path

from envbuild.errors import IntegrityError
from envbuild.linkers.checked_wheel import CheckedWheel, Rest, Unpacked, top_of
from envbuild.linkers.wheel_contents import check_contents, check_small
from envbuild.linkers.zip_structure import BadZipError, ZipFileView
from envbuild.package import Wheel, normalize_pypi_name
from envbuild.pattern import pattern

_ENTRY_NAME = pattern(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")
_ENTRY_OBJECT = pattern(r"[\w.]+(\s*:\s*[\w.]+)?\s*(\[[\w\s,.-]*\])?")
_RESERVED = pattern(r"(python|pypy)[0-9.]*w?|activate(\..*)?", re.IGNORECASE)
_SCRIPT = pattern(r"[^/\n]+\.data/scripts/([^/\n]+)")
_LIMIT = 16 << 20


def look_into(path: Path, wheel: Wheel) -> tuple[CheckedWheel, Rest]:
    """What is in a wheel; and what holds its small files against RECORD.

    Raises:
        IntegrityError: ``wrong-package``, ``bad-wheel`` or ``bad-entry-point``.
    """
    try:
        with ZipFileView(path) as view:
            stem = _stem(view, wheel)
            requires = _check_identity(stem, _member(view, f"{stem}.dist-info/METADATA"), wheel)
            programs = check_entry_points(_member(view, f"{stem}.dist-info/entry_points.txt"), wheel)
            contents = check_contents(view, stem)
            entries = view.entries
            scripts = [found[1] for entry in entries if (found := _SCRIPT.fullmatch(entry.name))]
    except BadZipError as error:
        raise bad_wheel(wheel, error) from error

    def hashes(unpacked: Unpacked) -> None:
        try:
            with ZipFileView(path, entries) as view:
                differs = check_small(view, contents, unpacked)
        except BadZipError as error:
            raise bad_wheel(wheel, error) from error
        if differs is not None:
            raise damaged_cache(wheel, differs)

    files = {f"/bin/{name}": f"={''.join(called.split())}" for name, called in programs.items()}
    files.update(contents.files)
    tops = {top_of(place) for place in files} - {f"{stem}.dist-info"}
    folders = {place.partition("/")[0] for place in files if not place.startswith("/") and "/" in place}
    checked = CheckedWheel(
        programs=tuple(sorted({*scripts, *programs})),
        startup=contents.startup,
        large=tuple(f"{files[place]} {place}" for place in contents.large),
        packages=contents.packages,
        folders=tuple(sorted(folders - {f"{stem}.dist-info"})),
        tops=tuple(sorted(tops)),
        files={place: stated or "-" for place, stated in files.items()},
        requires=requires,
    )
    return checked, hashes


def bad_wheel(wheel: Wheel, what: object) -> IntegrityError:
    """The error for a wheel that is not as it must be, in words that go on from its file's name."""
    return IntegrityError(
        f"{wheel.file} {what}",
        reference="bad-wheel",
        hint="ask for another version of it, and tell whoever published this file",
    )


def damaged_cache(wheel: Wheel, place: str) -> IntegrityError:
    """The error for a good wheel of which uv's cache holds other bytes."""
    return IntegrityError(
        f"uv's cache holds {place} of {wheel.name} {wheel.version} with other bytes than the wheel",
        reference="damaged-cache",
        hint="remove the folder cache/uv of envbuild's home; it is filled again",
    )


def _stem(view: ZipFileView, wheel: Wheel) -> str:
    """The ``name-version`` of the one ``.dist-info`` folder."""
    tops = {entry.name.split("/", 1)[0] for entry in view.entries}
    folders = {name for name in tops if name.lower().endswith(".dist-info")}
    if len(folders) != 1:
        raise _wrong(wheel, f"has {len(folders)} .dist-info folders, not one")
    return folders.pop()[: -len(".dist-info")]


def _check_identity(stem: str, metadata: str, wheel: Wheel) -> tuple[str, ...]:
    """METADATA and folder must be of the lock's package; what it needs, as written."""
    from email.parser import HeaderParser  # 20 ms, and a warm link opens no wheel

    headers = HeaderParser().parsestr(metadata)
    name, version = headers.get("Name", ""), headers.get("Version", "")
    if normalize_pypi_name(name) != wheel.name or not _same_version(version, wheel.version):
        raise _wrong(wheel, f"says that it is {name} {version}, the lock says {wheel.name} {wheel.version}")
    name, _, version = stem.rpartition("-")
    if normalize_pypi_name(name) != wheel.name or not _same_version(version.replace("_", "-"), wheel.version):
        raise _wrong(wheel, f"holds {stem}.dist-info, the lock says {wheel.name} {wheel.version}")
    return tuple(headers.get_all("Requires-Dist", ()))


def check_entry_points(text: str, wheel: Wheel) -> dict[str, str]:
    """Names of console and GUI scripts must be plain and may not replace the interpreter; what they call is a name too.

    Returns:
        What each name calls.

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
    programs = {}
    for section in ("console_scripts", "gui_scripts"):
        for name, called in parser.items(section) if parser.has_section(section) else ():
            if not _ENTRY_NAME.fullmatch(name) or _RESERVED.fullmatch(name):
                raise IntegrityError(
                    f"{wheel.file} wants to install a script called {name!r}", reference="bad-entry-point"
                )
            if not _ENTRY_OBJECT.fullmatch(called):
                raise IntegrityError(
                    f"{wheel.file} wants its script {name} to call {called[:60]!r}", reference="bad-entry-point"
                )
            programs[name] = called
    return programs


def _member(view: ZipFileView, name: str) -> str:
    """A small member as text; empty when it is not there."""
    entry = next((entry for entry in view.entries if entry.name == name), None)
    try:
        return "" if entry is None else view.read(entry, _LIMIT).decode()
    except UnicodeDecodeError:
        raise BadZipError(f"has a {name} that is not UTF-8") from None


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
