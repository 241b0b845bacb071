"""What is in a wheel, against what its RECORD says and where it would go: refused before an installer sees it.

An installer believes a wheel's RECORD when it removes or replaces it, and a wheel's ``.data`` folder reaches the whole
prefix. So RECORD must name every file once, by a path that stays inside, with a strong hash that is right; and no file
may go where only an environment's own maker writes: its interpreter, its activation, its records of packages.

What runs code at each start of Python (``.pth`` files with imports, ``sitecustomize``) is allowed, for well-known
packages need it, and told.
Rules of the file: reads by ``zip_structure``; raises ``BadZipError`` with words that go on from the file's name.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import re
from collections.abc import Iterable, Mapping

from envbuild.linkers.checked_wheel import Unpacked
from envbuild.linkers.zip_structure import BadZipError, Entry, ZipFileView
from envbuild.pattern import pattern
from envbuild.value import dataclass

SMALL = 16 << 20
"""Most bytes of a member that is read as a whole."""
HASHED = 64 << 10
"""Files beyond this are never unpacked to be hashed, which would take as long as installing them: they are hashed where
uv has put them (``wheel_unpacked``), in pieces."""

_SCHEMES = {"purelib", "platlib", "headers", "scripts", "data"}
_NO_NAMES = frozenset({"", ".", ".."})
_STRONG = {"sha256", "sha384", "sha512"}
_WITHOUT_HASH = pattern(r"[^/]+\.dist-info/RECORD(\.jws|\.p7s)?|.*\.pyc")
_RESERVED = pattern(
    r"pyvenv\.cfg|conda-meta(/.*)?|\.envbuild.*|(.*/)?EXTERNALLY-MANAGED"
    r"|bin/(python|pypy)[0-9.]*w?|bin/activate(\..*)?",
    re.IGNORECASE,
)
_STARTUP = pattern(r"(sitecustomize|usercustomize|_virtualenv)(\.py|/__init__\.py)")
"""The last is what every virtual environment of uv imports first."""
_TO_MODULES = pattern(r"\A(purelib/|platlib/|data/(lib(64)?/python[0-9.]+t?|lib)/(site-packages/)?)", re.IGNORECASE)
"""The ways through a ``.data`` folder to where Python looks for modules."""
_IMPORTS = pattern(rb"^import[ \t]", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What a wheel holds, by the places where it goes: from ``site-packages``, or from the prefix after a ``/``.

    Attributes:
        startup: Members that run code at each start of Python.
        files: Place to the hash that RECORD states, those after a ``/`` first; without headers, which have a folder of
            their own for each wheel.
        large: Places whose hash is still to be looked at.
        small: Members whose hash is still to be looked at (``check_small``), each with what RECORD states, and with its
            place when an installer leaves it there as it is.
        packages: Folders of ``site-packages`` that it makes importable by an ``__init__.py``, but for namespaces.
    """

    startup: tuple[str, ...]
    files: Mapping[str, str]
    large: tuple[str, ...]
    small: tuple[tuple[Entry, str, str | None], ...]
    packages: tuple[str, ...]


def check_contents(view: ZipFileView, stem: str) -> Contents:
    """Hold a wheel's files against its RECORD, all but their hashes, and their places against an environment's own.

    Args:
        view: The open wheel.
        stem: The beginning of its ``.dist-info`` folder's name: ``name-version`` as the wheel spells it.

    Raises:
        BadZipError: With what is wrong.
    """
    files = {entry.name: entry for entry in view.entries if not entry.is_folder}
    record = files.get(f"{stem}.dist-info/RECORD")
    if record is None or f"{stem}.dist-info/WHEEL" not in files:
        raise BadZipError(f"lacks {'RECORD' if record is None else 'WHEEL'}")
    rows = _rows(view.read(record, SMALL))
    _check_complete(files, rows, stem)
    startup, large, small, packages = [], [], [], []
    inside: dict[str, str] = {}
    outside: dict[str, str] = {}
    for name, entry in files.items():
        place = installed_place(name, stem)
        if place is None:
            raise BadZipError(f"has a file for an unknown place: {name!r}")
        if _RESERVED.fullmatch(place):
            raise BadZipError(f"has a file in the place of the environment's own {place}")
        stated = rows.get(name, "")
        place = full_place(name, stem)
        if place is not None:
            several = outside if place.startswith("/") else inside
            if several.setdefault(place, stated) != stated:
                raise BadZipError(f"has two files for {place.lstrip('/')!r}")
        if _check_stated(entry, stated):
            if entry.size > HASHED and place is not None:
                large.append(place)
            else:
                own = place is None or place.startswith(("/", f"{stem}.dist-info/"))
                small.append((entry, stated, None if own else place))
        if _runs_at_start(view, entry, name, stem):
            startup.append(name)
        folder, _, file = (place or "").rpartition("/")
        if file == "__init__.py" and "/" not in folder and not is_namespace(view.read(entry, SMALL)):
            packages.append(folder)
    return Contents(
        startup=tuple(sorted(startup)),
        files={**outside, **inside},
        large=tuple(large),
        small=tuple(small),
        packages=tuple(sorted(packages)),
    )


def check_small(view: ZipFileView, contents: Contents, unpacked: Unpacked) -> str | None:
    """Hold the small files of a wheel against RECORD: what an installer has unpacked, and the rest in the zip.

    Args:
        view: The wheel.
        contents: What is in it.
        unpacked: Gives what an installer has unpacked.

    Returns:
        A place where other bytes lie than in the wheel, which is good; None when there is none.

    Raises:
        BadZipError: With what is wrong in the wheel.
    """
    differs = None
    for entry, stated, place in contents.small:
        data = None if place is None else unpacked(place)
        if data is None or not is_stated((data,), stated):
            check_member(view, entry, stated)
            differs = differs if data is None else place
    return differs


def is_namespace(source: bytes) -> bool:
    """Whether an ``__init__.py`` says that others may have files in its folder, as was done before PEP 420."""
    return b"extend_path" in source or b"declare_namespace" in source


def installed_place(name: str, stem: str) -> str | None:
    """Where a member goes, from the prefix for programs and data, from ``site-packages`` for the rest.

    Args:
        name: The member.
        stem: As in ``check_contents``.

    Returns:
        The path; None for a ``.data`` folder of another wheel, or a scheme that nobody knows.
    """
    first, _, rest = name.partition("/")
    if not first.endswith(".data") or not rest:
        return name if not first.endswith(".dist-info") or first == f"{stem}.dist-info" else None
    scheme, _, inner = rest.partition("/")
    if first != f"{stem}.data" or scheme not in _SCHEMES or not inner:
        return None
    if _TO_MODULES.sub("", rest).partition("/")[0].endswith(".dist-info"):
        return None
    return f"bin/{inner}" if scheme == "scripts" else f"include/{inner}" if scheme == "headers" else inner


def full_place(name: str, stem: str) -> str | None:
    """Where a member goes, from ``site-packages``, or from the prefix after a ``/``; None for headers."""
    if not name.startswith(f"{stem}.data/"):
        return name
    _, scheme, inner = name.split("/", 2)
    if scheme in {"purelib", "platlib"}:
        return inner
    return None if scheme == "headers" else f"/bin/{inner}" if scheme == "scripts" else f"/{inner}"


def _rows(data: bytes) -> dict[str, str]:
    """RECORD's paths with their hashes."""
    try:
        lines = list(csv.reader(io.StringIO(data.decode("utf-8"), newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadZipError(f"has a RECORD that cannot be read: {error}") from None
    rows: dict[str, str] = {}
    for line in lines:
        if not line:
            continue
        path = line[0]
        parts = path.split("/")
        if len(line) != 3 or not _NO_NAMES.isdisjoint(parts) or "\\" in path or not "".join(line).isprintable():
            raise BadZipError(f"has a RECORD with a bad line: {','.join(line)[:80]!r}")
        if path in rows:
            raise BadZipError(f"has a RECORD that names {path!r} twice")
        rows[path] = line[1]
    return rows


def _check_complete(files: Mapping[str, Entry], rows: Mapping[str, str], stem: str) -> None:
    signatures = {f"{stem}.dist-info/RECORD{end}" for end in ("", ".jws", ".p7s")}
    if missing := sorted(set(rows) - set(files) - signatures):
        raise BadZipError(f"has a RECORD that names {missing[0]!r}, which is not there")
    if extra := sorted(set(files) - set(rows) - signatures):
        raise BadZipError(f"has {extra[0]!r}, which its RECORD does not name")
    if rows.get(f"{stem}.dist-info/RECORD"):
        raise BadZipError("has a RECORD with a hash of itself")


def _check_stated(entry: Entry, stated: str) -> bool:
    """Whether RECORD states a hash; it must, and a strong one, but for itself and the like."""
    if not stated:
        if not _WITHOUT_HASH.fullmatch(entry.name):
            raise BadZipError(f"has a RECORD without a hash of {entry.name!r}")
        return False
    algorithm = stated.partition("=")[0]
    if algorithm not in _STRONG:
        raise BadZipError(f"has a RECORD with a weak hash of {entry.name!r}: {algorithm[:20]!r}")
    return True


def check_member(view: ZipFileView, entry: Entry, stated: str) -> None:
    """Unpack a member and hold it against a hash of RECORD.

    Raises:
        BadZipError: When it is another.
    """
    if not is_stated(view.pieces(entry), stated):
        raise BadZipError(f"has a file that is not what its RECORD says: {entry.name!r}")


def is_stated(pieces: Iterable[bytes | memoryview], stated: str) -> bool:
    """Whether bytes have a hash as a RECORD states it: the algorithm, ``=``, the digest in base64 without padding."""
    algorithm, _, value = stated.partition("=")
    digest = hashlib.new(algorithm)
    for piece in pieces:
        digest.update(piece)
    return base64.urlsafe_b64encode(digest.digest()).rstrip(b"=") == value.rstrip("=").encode()


def _runs_at_start(view: ZipFileView, entry: Entry, name: str, stem: str) -> bool:
    if name.startswith(f"{stem}.data/"):
        name = _TO_MODULES.sub("", name.removeprefix(f"{stem}.data/"))
    if _STARTUP.fullmatch(name):
        return True
    return "/" not in name and name.endswith(".pth") and bool(_IMPORTS.search(view.read(entry, SMALL)))
