"""File names in foreign locks: what a conda package's or wheel's address says of it.

Rules of the file: pure; a name that is no safe file name, or that contradicts itself, is an error here and nowhere
later.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from envbuild import urls
from envbuild.errors import InvalidInput
from envbuild.formats.checked import Checked, bare_address
from envbuild.formats.foreign_lock import ForeignFile
from envbuild.package import PLATFORMS, Platform, check_file_name
from envbuild.pattern import pattern

_ARCHIVE = pattern(r"\.(?:tar\.gz|tgz|tar\.bz2|tar\.xz|tar\.zst|tar|zip)$")
_CONDA_FILE = pattern(r"(?P<name>[A-Za-z0-9_.-]+)-(?P<version>[^-]+)-(?P<build>[^-]+)(?:\.conda|\.tar\.bz2)")
_COMMIT = pattern(r"[0-9a-f]{40}")
_SUBDIR = pattern(r"[a-z0-9]+(?:-[a-z0-9_]+)?")


def split_address(address: str, here: Checked) -> SplitResult:
    """The parts of an address, which may be of any scheme.

    Raises:
        InvalidInput: ``bad-url`` for what has no parts, such as a host in brackets that is no IPv6 address.
    """
    try:
        return urlsplit(address)
    except ValueError:
        place = f"{here.path}: " if here.path else ""
        raise InvalidInput(f"{place}the address is none", reference="bad-url", where=here.where) from None


def file_name(address: str, here: Checked) -> str:
    """The last part of an address's path, decoded once, as a safe file name.

    Raises:
        InvalidInput: ``bad-name``.
    """
    name = urls.file_name(address)
    try:
        return check_file_name(name)
    except InvalidInput:
        raise InvalidInput(
            f"{here.path or 'the file'}: {name[:80]!r} is not a package file name",
            reference="bad-name",
            where=here.where,
        ) from None


def split_conda(address: str, here: Checked) -> tuple[str, str, str, str, str, str]:
    """A conda package's address as channel, subdir, file, name, version and build.

    Raises:
        InvalidInput: ``bad-url`` when it is no address of one.
    """
    file = file_name(address, here)
    found = _CONDA_FILE.fullmatch(file)
    channel, _, rest = address.rpartition("/")[0].rpartition("/")
    if found is None or not _SUBDIR.fullmatch(rest) or "://" not in channel:
        raise InvalidInput(
            f"{here.path or 'the file'}: {file[:80]!r} is no conda package of a channel's folder",
            reference="bad-url",
            where=here.where,
            hint="an address ends in <platform>/<name>-<version>-<build>.conda",
        )
    return channel, rest, file, found["name"].lower(), found["version"], found["build"]


def is_archive(name: str) -> bool:
    """Whether a file's name is that of a source archive."""
    return bool(_ARCHIVE.search(name))


def foreign_file(
    here: Checked,
    *,
    url: str = "url",
    name: str | None = None,
    sha256: str | None = None,
    size: int | None = None,
    upload_time: str | None = None,
) -> ForeignFile:
    """A wheel or archive whose address stands under a key.

    Args:
        here: The entry.
        url: The key.
        name: The file's name where the entry says it; else the address does.
        sha256: Its digest, when known.
        size: Bytes, when known.
        upload_time: RFC 3339, when known.
    """
    address = bare_address(here.text(url), here.at(url))
    file = file_name(address, here) if name is None else _safe(name, here)
    return ForeignFile(file=file, url=address, sha256=sha256, size=size, upload_time=upload_time)


def _safe(name: str, here: Checked) -> str:
    try:
        return check_file_name(name)
    except InvalidInput as error:
        raise InvalidInput(f"{here.path}: {error.message[:120]}", reference=error.reference, where=here.where) from None


def safe_file(name: str, here: Checked) -> str:
    """A file's name that stands by itself.

    Raises:
        InvalidInput: ``bad-name``.
    """
    return _safe(name, here)


def inner_path(text: str, here: Checked) -> str:
    """A folder that a foreign file names, relative to itself, as it stands; where it leads is checked by who reads it.

    Raises:
        InvalidInput: ``bad-path`` for an absolute path, and for what no path holds.
    """
    path = text.replace("\\", "/")
    if not path or path.startswith(("/", "~")) or re.match(r"[A-Za-z]:", path) or re.search(r"[\x00-\x1f]", path):
        raise InvalidInput(
            f"{here.path or 'the file'}: {text[:80]!r} is no path from the file's own folder",
            reference="bad-path",
            where=here.where,
        )
    return path


def git_address(text: str, here: Checked) -> str:
    """A repository's address without credentials; over ssh the user's name is none.

    Raises:
        InvalidInput: ``bad-url``.
    """
    from envbuild.reading.places import check_git_url

    bare = text.removeprefix("git+")
    if "://" in bare and not bare.startswith("ssh://"):
        scheme, _, rest = bare.partition("://")
        host, slash, path = rest.partition("/")
        bare = f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"
    try:
        return check_git_url(bare)
    except InvalidInput as error:
        place = f"{here.path}: " if here.path else ""
        raise InvalidInput(place + error.message, reference="bad-url", where=here.where, hint=error.hint) from None


def git_source(text: str, here: Checked) -> dict[str, Any]:
    """A repository at a commit, as ``git``, ``commit`` and ``subdirectory``.

    Two spellings are used: ``https://host/repo?subdirectory=…&rev=…#<commit>`` (uv, pixi) and
    ``https://host/repo@<commit>#subdirectory=…`` (pip); ``git+`` may stand before either.

    Raises:
        InvalidInput: When no whole name of a commit stands there, or the address is none.
    """
    address = text.removeprefix("git+")
    bare, _, fragment = address.partition("#")
    commit, told = fragment, parse_qs(split_address(bare, here).query)
    if not _COMMIT.fullmatch(fragment):
        bare, _, commit = bare.rpartition("@")
        told = parse_qs(fragment)
    if not _COMMIT.fullmatch(commit):
        raise here.wrong("a repository with the whole name of a commit is expected")
    inside = told.get("subdirectory", [None])[0]
    return {
        "git": git_address(bare.partition("?")[0], here),
        "commit": commit,
        "subdirectory": inner_path(unquote(inside), here) if inside else None,
    }


def known_platform(name: str) -> Platform | None:
    """A platform that envbuild can lock, or None."""
    return next((item for item in PLATFORMS if item == name), None)


def usual_build_number(build: str) -> int:
    """The number at the end of a build string: what pixi leaves out when it is the build number."""
    found = re.search(r"[0-9]{1,9}$", build)
    return int(found[0]) if found else 0


def usual_noarch(subdir: str, build: str) -> str | None:
    """The kind of ``noarch`` that pixi leaves out: builds of Python packages have ``py`` in them."""
    if subdir != "noarch":
        return None
    return "python" if "py" in build else "generic"


def to_seconds(text: str) -> str | None:
    """A moment in UTC as RFC 3339 to the second, as a solve keeps it; None for what is none."""
    head = text.replace(" ", "T").split(".")[0].removesuffix("Z").removesuffix("+00:00")
    return f"{head}Z" if re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", head) else None
