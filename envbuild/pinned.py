"""Pinned packages as JSON objects and back: one line of a lock, one entry of a solve's result.

Keys are the fields' names with dashes, in the fields' order; what says nothing (a default) is left out. Reading checks
that keys are known, digests whole, file names true to name and version, and that no address carries credentials;
writing refuses credentials too, so that no lock can hold any.
"""

from __future__ import annotations

import re
from dataclasses import MISSING
from typing import Any, TypeVar

from envbuild.digest import parse_digest
from envbuild.errors import IntegrityError, InvalidInput, Where
from envbuild.package import (
    CondaPackage,
    InterpreterArchive,
    SourcePackage,
    Wheel,
    check_file_name,
    normalize_pypi_name,
)
from envbuild.pattern import pattern
from envbuild.value import fields

Pinned = TypeVar("Pinned", CondaPackage, Wheel, SourcePackage, InterpreterArchive)
AnyPinned = CondaPackage | Wheel | SourcePackage | InterpreterArchive

_SUBDIR = pattern(r"[a-z0-9]+(-[a-z0-9_]+)?")
_SECRET_URL = pattern(r"://[^/?#]*@|[?&](X-Amz-|sig=|token=|access_token=|password=|se=)", re.IGNORECASE)
_SSH_USER = pattern(r"^ssh://[A-Za-z0-9_][A-Za-z0-9._-]*@")
# A whole check follows where git is run; here only what no address has.
_REPOSITORY = pattern(r"(https?|ssh|git|file)://[^\s\x00-\x1f-][^\s\x00-\x1f]*")
_NAME = pattern(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")
_VERSION = pattern(r"[0-9A-Za-z][0-9A-Za-z._!+-]*")
_COMMIT = pattern(r"[0-9a-f]{40}|[0-9a-f]{64}")
_SPECS: dict[type, dict[str, tuple[str, str, Any]]] = {}


def _spec(kind: type) -> dict[str, tuple[str, str, Any]]:
    """Text name -> (attribute, type as text, default) of a pinned package's fields."""
    if kind not in _SPECS:
        _SPECS[kind] = {item.name.replace("_", "-"): (item.name, str(item.type), item.default) for item in fields(kind)}
    return _SPECS[kind]


def package_tree(package: AnyPinned) -> dict[str, Any]:
    """A pinned package as a JSON object in the fixed order of its fields, without those that say nothing.

    Raises:
        InvalidInput: ``secret-in-lock`` when an address carries credentials: they can never be written.
    """
    tree: dict[str, Any] = {}
    for name, (attribute, _, default) in _spec(type(package)).items():
        value = getattr(package, attribute)
        if value != default or default is MISSING:
            tree[name] = list(value) if isinstance(value, tuple) else value
    refuse_secret(tree, None)
    return tree


def engine_record(package: CondaPackage, url: str, channel: str) -> dict[str, Any]:
    """A conda package as rattler's child processes are told of it, in solving and in linking alike.

    Args:
        package: What the lock says.
        url: Where the engine finds the file.
        channel: The address of the channel that the engine is to think of.
    """
    return {
        "name": package.name,
        "version": package.version,
        "build": package.build,
        "build_number": package.build_number,
        "subdir": package.subdir,
        "noarch": package.noarch,
        "depends": list(package.depends),
        "constrains": list(package.constrains),
        "sha256": package.sha256,
        "size": package.size,
        "timestamp": package.timestamp,
        "python_site_packages_path": package.python_site_packages_path,
        "file": package.file,
        "url": url,
        "channel": channel,
    }


def package_from_tree(kind: type[Pinned], tree: dict[str, Any], where: Where | None = None) -> Pinned:
    """A pinned package from its JSON object.

    Raises:
        InvalidInput: For an unknown or missing key, a wrong type, a bad digest or file name, or credentials.
        IntegrityError: ``identity``, when the file's name contradicts the package's name, version or build.
    """
    spec = _spec(kind)
    values: dict[str, Any] = {}
    for name, value in tree.items():
        if name not in spec:
            raise InvalidInput(f"unknown key {name!r} in a package", reference="unknown-key", where=where)
        attribute, annotation, _ = spec[name]
        values[attribute] = _typed(name, value, annotation, where)
    for attribute, _, default in spec.values():
        if default is MISSING and attribute not in values:
            raise InvalidInput(
                f"{tree.get('name', 'a package')} has no {attribute!r}", reference="missing-key", where=where
            )
    refuse_secret(tree, where)
    package = kind(**values)
    _check_identity(package, where)
    if isinstance(package, SourcePackage):
        _check_source(package, where)
    return package


def _typed(name: str, value: Any, annotation: str, where: Where | None) -> Any:
    if annotation.startswith("Digest"):
        try:
            return parse_digest(value if isinstance(value, str) else str(value))
        except InvalidInput as error:
            raise InvalidInput(error.message, reference="bad-hash", where=where) from None
    if annotation.startswith("tuple"):
        right = isinstance(value, list) and all(isinstance(item, str) for item in value)
        value = tuple(value) if right else value
    elif annotation.startswith("int"):
        right = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    elif annotation.startswith("bool"):
        right = isinstance(value, bool)
    else:
        right = isinstance(value, str)
    if not right:
        raise InvalidInput(f"{name}: {value!r} is not what stands there", reference="bad-type", where=where)
    return value


def refuse_secret(tree: dict[str, Any], where: Where | None) -> None:
    """Refuse an entry whose address carries credentials.

    Raises:
        InvalidInput: ``secret-in-lock``.
    """
    for name in ("url", "index", "channel", "find-links", "git"):
        address = tree.get(name)
        if name == "git" and isinstance(address, str):
            address = _SSH_USER.sub("ssh://", address)  # whom ssh signs in is no secret
        if isinstance(address, str) and _SECRET_URL.search(address):
            raise InvalidInput(
                f"the {name} of {tree.get('name', 'a package')} carries credentials",
                reference="secret-in-lock",
                where=where,
                hint="keep them in netrc, a keyring or the machine's configuration",
            )


def _check_identity(package: AnyPinned, where: Where | None) -> None:
    try:
        check_file_name(package.file)
    except InvalidInput as error:
        raise InvalidInput(error.message, reference=error.reference, where=where) from None
    if isinstance(package, CondaPackage):
        if not _SUBDIR.fullmatch(package.subdir):
            raise InvalidInput(f"{package.subdir[:60]!r} is not a platform", reference="bad-name", where=where)
        stem = package.file.removesuffix(".conda").removesuffix(".tar.bz2")
        right = stem == f"{package.name}-{package.version}-{package.build}" and stem != package.file
    elif isinstance(package, Wheel):
        parts = package.file.removesuffix(".whl").split("-")
        right = (
            package.file.endswith(".whl")
            and len(parts) in {5, 6}
            and normalize_pypi_name(parts[0]) == package.name
            and _same_version(parts[1], package.version)
        )
    else:
        right = True
    if not right:
        raise IntegrityError(
            f"the file {package.file!r} is another package than the lock says: {_title(package)}",
            reference="identity",
            where=where,
            hint="restore it from Git, or remove it and lock again",
        )


def _check_source(package: SourcePackage, where: Where | None) -> None:
    """A source stands in one place, and the place is one that a recipe could name."""
    places = (package.index, package.url, package.find_links, package.git, package.path)
    try:
        if not _NAME.fullmatch(package.name):
            raise InvalidInput(f"{package.name[:80]!r} is not a name", reference="bad-name")
        if not _VERSION.fullmatch(package.version):
            raise InvalidInput(f"{package.version[:80]!r} is not a version", reference="bad-version")
        if sum(place is not None for place in places) != 1 or (package.git is None) != (package.commit is None):
            raise InvalidInput(f"{package.name} does not stand in one place", reference="bad-source")
        if package.commit is not None and not _COMMIT.fullmatch(package.commit):
            raise InvalidInput(f"{package.commit[:80]!r} is not the name of a commit", reference="bad-source")
        if package.git is not None and not _REPOSITORY.fullmatch(package.git):
            raise InvalidInput(f"{package.git[:80]!r} is not the address of a repository", reference="bad-url")
        for path in (package.path, package.subdirectory):
            if path is not None and (not path or path.startswith(("/", "~")) or re.search(r"[\x00-\x1f\\]", path)):
                raise InvalidInput(f"{path[:80]!r} is not a path from the project's root", reference="bad-path")
        if package.subdirectory is not None and {"", ".", ".."} & set(package.subdirectory.split("/")):
            raise InvalidInput(f"{package.subdirectory[:80]!r} is not a path inside a source", reference="bad-path")
    except InvalidInput as error:
        raise InvalidInput(error.message, reference=error.reference, where=where, hint=error.hint) from None


def _title(package: AnyPinned) -> str:
    name = package.implementation if isinstance(package, InterpreterArchive) else package.name
    return f"{name} {package.version}"


def _same_version(in_file: str, locked: str) -> bool:
    """PEP 440 equality; packaging is imported only for the few spelled differently."""
    if in_file.replace("_", "+").lower() == locked.lower():
        return True
    from packaging.version import InvalidVersion, Version

    try:
        return Version(in_file.replace("_", "+")) == Version(locked)
    except InvalidVersion:
        return False
