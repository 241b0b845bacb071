"""What is in an unpacked conda package, against what its own ``info`` says: refused before anything of it is linked.

rattler links what ``info/paths.json`` lists, from its cache into a prefix. So each path must stay inside both, once,
and not in the place of the environment's own records; what it names must be there, of the size and with the hash that
is stated, before a path is written into it; links must not lead out; nothing but files, folders and links is taken.
What is there and not listed is never linked, and so is no matter. A package is looked at once on a machine.

Rules of the file: reads; one error class, ``IntegrityError`` with the reference ``bad-package``.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import orjson  # three times as fast as the standard library with lists of thousands of files

from envbuild.digest import digest_file
from envbuild.errors import IntegrityError
from envbuild.linkers.special_bits import SPECIAL
from envbuild.package import CondaPackage
from envbuild.pattern import pattern

_WHOLE = 1 << 20
"""Bytes of a file that is read at once."""
PATH_BYTES = 4096
COMPONENT_BYTES = 255
LISTED = 1_000_000
LARGEST_LIST = 256 << 20
PLACEHOLDER = 1024
"""Most bytes of a prefix's placeholder; packages have 255."""

_BEFORE = pattern(r"(bin|Scripts)/\.[^/]*-pre-link\.(sh|bat)", re.IGNORECASE)

_OWN = pattern(r"conda-meta(/.*)?|\.envbuild.*|info(/.*)?", re.IGNORECASE)
_PLAIN = pattern(r"(?:[A-Za-z0-9_+-][A-Za-z0-9_+.,=@ -]{0,200}/){0,15}[A-Za-z0-9_+-][A-Za-z0-9_+.,=@ -]{0,200}")
"""Most paths: nothing of what is refused looks like this, but for the environment's own names."""
_KINDS = {"hardlink", "softlink", "directory"}


class Listed(NamedTuple):
    """One line of a package's list of files.

    Attributes:
        path: Where it goes, from the prefix.
        kind: ``hardlink``, ``softlink`` or ``directory``.
        size: Bytes, when stated; ``sha256`` likewise.
    """

    path: str
    kind: str
    size: int | None = None
    sha256: str | None = None


class Listing(NamedTuple):
    """A list of files that was read: the bytes of ``info/paths.json``, and what they say."""

    data: bytes
    files: tuple[Listed, ...]


def check_unpacked(folder: Path, package: CondaPackage, known: Listing | None = None) -> tuple[str, ...]:
    """Hold an unpacked package against its list of files, and clear bits that no file of a package needs.

    Args:
        folder: With ``info/`` in it; as an engine unpacked it.
        package: What the lock says.
        known: What was read from the package's file before.

    Returns:
        The files whose setuid, setgid, sticky or world-write bits were cleared.

    Raises:
        IntegrityError: ``bad-package``, ``pre-link-script``.
    """
    listing = folder / "info" / "paths.json"
    if listing.is_file():
        if listing.stat().st_size > LARGEST_LIST:
            raise bad(package, "has a list of files without end")
        data = listing.read_bytes()
        listed = known.files if known is not None and known.data == data else read_listing(data, package)
    else:
        listed = _old_listing(folder / "info" / "files", package)
    return tuple(item.path for item in listed if _check_file(folder, item, package))


def read_listing(data: bytes, package: CondaPackage) -> tuple[Listed, ...]:
    """An ``info/paths.json``, each path checked.

    Raises:
        IntegrityError: ``bad-package``.
    """
    try:
        document = orjson.loads(data)
        entries = document["paths"]
        if document["paths_version"] != 1 or not isinstance(entries, list) or len(entries) > LISTED:
            raise ValueError("no list")
        listed = tuple(_listed(entry, package) for entry in entries)
    except (ValueError, KeyError, TypeError, RecursionError):
        raise bad(package, "has an info/paths.json that cannot be read") from None
    check_paths((item.path for item in listed), package)
    return listed


def _listed(entry: Mapping[str, Any], package: CondaPackage) -> Listed:
    path, kind, size, sha256 = entry["_path"], entry.get("path_type"), entry.get("size_in_bytes"), entry.get("sha256")
    placeholder = entry.get("prefix_placeholder")
    if not isinstance(path, str) or kind not in _KINDS or entry.get("file_mode") not in {None, "text", "binary"}:
        raise bad(package, "has an info/paths.json with a bad line")
    if (size is not None and (not isinstance(size, int) or size < 0)) or not isinstance(sha256, str | None):
        raise bad(package, f"has an info/paths.json with a bad line about {path[:60]!r}")
    if placeholder is not None and not (isinstance(placeholder, str) and 0 < len(placeholder.encode()) <= PLACEHOLDER):
        raise bad(package, f"has a placeholder of {len(str(placeholder))} letters in {path[:60]!r}")
    return Listed(path, kind, size, sha256)


def _old_listing(file: Path, package: CondaPackage) -> tuple[Listed, ...]:
    """``info/files`` of packages from before there was a ``paths.json``; none at all lists nothing."""
    try:
        lines = file.read_text("utf-8").splitlines()
    except FileNotFoundError:
        return ()
    except UnicodeDecodeError:
        raise bad(package, "has an info/files that is not UTF-8") from None
    paths = [line for line in lines if line]
    check_paths(paths, package)
    return tuple(Listed(path, "softlink" if (file.parent.parent / path).is_symlink() else "hardlink") for path in paths)


def check_paths(paths: Iterable[str], package: CondaPackage) -> None:
    """Paths below a prefix: each inside it, none in the place of the environment's own, none twice.

    A script that must run before its package is linked is refused: what it would do, the package counts on.

    Raises:
        IntegrityError: ``bad-package``, ``pre-link-script``.
    """
    seen: set[str] = set()
    for path in paths:
        if _PLAIN.fullmatch(path) and path[0] not in "CcIi" and path not in seen:
            seen.add(path)
            continue
        parts = path.split("/")
        length = len(path.encode("utf-8", "surrogateescape"))
        odd = "\\" in path or not path.isprintable() or length > PATH_BYTES
        if odd or any(part in {"", ".", ".."} for part in parts):
            raise bad(package, f"lists a path that leaves its place: {path[:60]!r}")
        if length > COMPONENT_BYTES and max(len(part.encode()) for part in parts) > COMPONENT_BYTES:
            raise bad(package, f"lists a name of more than {COMPONENT_BYTES} bytes: {path[:60]!r}")
        if _OWN.fullmatch(path):
            raise bad(package, f"lists a file in the place of the environment's own: {path[:60]!r}")
        if _BEFORE.fullmatch(path):
            raise IntegrityError(
                f"{package.file} has a script that must run before it is linked, and envbuild runs none: {path}",
                reference="pre-link-script",
                hint="ask for another version or build of it",
            )
        if path in seen:
            raise bad(package, f"lists {path[:60]!r} twice")
        seen.add(path)


def _check_file(folder: Path, item: Listed, package: CondaPackage) -> bool:
    """Check one line; whether bits of the file's mode were cleared."""
    place = f"{folder}/{item.path}"
    try:
        state = os.lstat(place)
    except OSError:
        raise bad(package, f"lists {item.path[:60]!r}, which it does not hold") from None
    if stat.S_ISLNK(state.st_mode):
        check_link(os.readlink(place), item.path, package)  # noqa: PTH115  some thousands
        return False
    if stat.S_ISDIR(state.st_mode) and item.kind == "directory":
        return False
    if not stat.S_ISREG(state.st_mode) or item.kind == "directory":
        raise bad(package, f"holds {item.path[:60]!r}, which is neither file nor link")
    cleared = bool(state.st_mode & SPECIAL)
    if cleared:
        os.chmod(place, state.st_mode & 0o775)  # noqa: PTH101
    if item.kind == "softlink":
        return cleared
    if item.size is not None and state.st_size != item.size:
        raise bad(package, f"holds {item.path[:60]!r} with another size than it says")
    if item.sha256 and _sha256(place, state.st_size) != item.sha256.lower():
        raise bad(package, f"holds {item.path[:60]!r} with another sha256 than it says")
    return cleared


def _sha256(place: str, size: int) -> str:
    if size > _WHOLE:
        return digest_file(Path(place))
    descriptor = os.open(place, os.O_RDONLY | os.O_CLOEXEC)  # half the system calls of a stream, some thousand times
    try:
        data = os.read(descriptor, size + 1)
    finally:
        os.close(descriptor)
    return hashlib.sha256(data).hexdigest() if len(data) == size else digest_file(Path(place))


def check_link(target: str, path: str, package: CondaPackage) -> None:
    """A symbolic link must end below the prefix.

    Raises:
        IntegrityError: ``bad-package``.
    """
    inside = os.path.normpath(os.path.join(os.path.dirname(path), target))  # noqa: PTH118, PTH120
    if target.startswith("/") or inside == ".." or inside.startswith("../"):
        raise bad(package, f"holds a link that leads out of it: {path[:60]!r} -> {target[:60]!r}")


def bad(package: CondaPackage, what: str) -> IntegrityError:
    """The error for a package that is not as it must be."""
    return IntegrityError(
        f"{package.file} {what}",
        reference="bad-package",
        hint="ask for another version or build of it, and tell the channel",
    )
