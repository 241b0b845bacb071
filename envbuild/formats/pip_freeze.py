"""What ``pip freeze`` (or ``uv pip freeze``) prints: exact versions, and nothing else.

Theory: it is a lock without digests, made on one machine for that machine. The versions are taken as they stand; files
and digests are looked up on the index by who imports, for the platform that is wanted, and that is said. What was
installed from a folder of that machine (``-e``, ``file:``) cannot be had again anywhere else: it is refused when it is
no path of the project, and named.

Rules of the file: text to value.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qs, unquote

from envbuild.errors import InvalidInput, Issue
from envbuild.formats import Document
from envbuild.formats.checked import MOST_PACKAGES, Checked, bare_address, without_credentials
from envbuild.formats.files import file_name, git_source, inner_path, split_address
from envbuild.formats.foreign_lock import (
    ForeignEnvironment,
    ForeignFile,
    ForeignLock,
    ForeignPypi,
    Wanted,
    check_choices,
)
from envbuild.formats.targets import check_twins, choose_python
from envbuild.package import normalize_pypi_name
from envbuild.pattern import pattern

_EXACT = pattern(r"([A-Za-z0-9][A-Za-z0-9._-]*)\s*===?\s*([A-Za-z0-9][A-Za-z0-9._+!-]*)\s*(?:;.*)?")
_DIRECT = pattern(r"([A-Za-z0-9][A-Za-z0-9._-]*)\s*@\s*(\S+)\s*(?:;.*)?")


def read_lock(document: Document, wanted: Wanted) -> ForeignLock:
    """The packages that were frozen, for each wanted platform; without any said, for this machine's.

    Raises:
        InvalidInput: With every line that is no exact version.
        UsageError: When nothing says for which Python.
    """
    check_choices(wanted, document, environments=False, extras=False, groups=False)
    try:
        lines = document.data.decode("utf-8").splitlines()
    except UnicodeDecodeError:
        raise InvalidInput("the file is not UTF-8", reference="bad-encoding", where=document.where()) from None
    issues: list[Issue] = []
    packages: list[ForeignPypi] = []
    notes: list[str] = []
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith("#"):
            if "ditable" in text:
                notes.append(f"left out: {without_credentials(text).lstrip('# ')[:100]}")
            continue
        try:
            package = _package(text, document, number, notes)
        except InvalidInput as error:
            issues.append(Issue(message=error.message, reference=error.reference, where=error.where, hint=error.hint))
            if len(issues) >= 100:
                break
            continue
        if package is not None:
            packages.append(package)
    if len(packages) > MOST_PACKAGES:
        issues = [Issue(message="the file has too many packages", reference="too-large", where=document.where())]
    if issues:
        raise InvalidInput.of(tuple(issues))
    python = choose_python(None, wanted, document.where())
    packages.sort(key=lambda item: item.name)
    return ForeignLock(
        format="pip-freeze",
        environments=tuple(
            check_twins(ForeignEnvironment(platform=item, python=python, pypi=tuple(packages)), document.where())
            for item in wanted.platforms or (wanted.here,)
        ),
        notes=tuple(dict.fromkeys(notes)),
    )


def _package(text: str, document: Document, number: int, notes: list[str]) -> ForeignPypi | None:
    where = document.where(number)
    if text.startswith(("-e ", "--editable ")):
        return _editable(text.split(None, 1)[1], document, number, notes)
    if exact := _EXACT.fullmatch(text):
        return ForeignPypi(name=normalize_pypi_name(exact[1]), version=exact[2], where=where)
    if direct := _DIRECT.fullmatch(text):
        return _direct(normalize_pypi_name(direct[1]), direct[2], document, number)
    raise InvalidInput(
        f"{without_credentials(text)[:80]!r} is no exact version",
        reference="not-frozen",
        where=where,
        hint="a file of requirements is imported with --format requirements, and then locked",
    )


def _editable(text: str, document: Document, number: int, notes: list[str]) -> ForeignPypi | None:
    """``-e git+https://host/repository@commit#egg=name``; a folder is named and left out."""
    name = parse_qs(split_address(text, Checked(text, f"line {number}", document)).fragment).get("egg", [""])[0]
    if not text.startswith("git+") or not name:
        notes.append(
            f"left out: {without_credentials(text)[:100]}, which was installed editable from a folder of that machine"
        )
        return None
    notes.append(f"{name}: it was installed editable; here it is built from its commit")
    return _direct(normalize_pypi_name(name), text, document, number)


def _direct(name: str, address: str, document: Document, number: int) -> ForeignPypi:
    where = document.where(number)
    here = Checked(address, f"line {number}", document)
    parts = split_address(address, here)
    fragment = parse_qs(parts.fragment)
    inside = fragment.get("subdirectory", [None])[0]
    subdirectory = inner_path(unquote(inside), here) if inside else None
    if address.startswith("git+"):
        return ForeignPypi(name=name, **git_source(address, here), where=where)
    if address.startswith(("hg+", "svn+", "bzr+")):
        raise InvalidInput(
            f"{name} comes from {address.partition('+')[0]}; only git is supported",
            reference="bad-vcs",
            where=where,
            hint="hg, bzr and svn have no digest of a whole tree that can be locked",
        )
    if parts.scheme == "file":
        raise InvalidInput(
            f"{name} was installed from {parts.path[:80]}, a path on one machine",
            reference="bad-path",
            where=where,
            hint="take the line out, and add it under `pypi: packages:` in the recipe as {path: …}",
        )
    url = bare_address(address, here)
    stated = re.search(r"sha256[=:]([0-9a-f]{64})", parts.fragment)
    archive = ForeignFile(file=file_name(url, here), url=url, sha256=stated[1] if stated else None)
    return ForeignPypi(name=name, archive=archive, direct=True, subdirectory=subdirectory, where=where)
