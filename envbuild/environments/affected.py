"""Which recipes and names hold a package, or stand on a base: found in locks and closures without reading them whole.

A lock of our own writing has one package on each line, so the lines of one name are found by a search in its bytes, and
a thousand locks are looked through in less than a second. A lock that another tool wrote anew is read as any other.

Rules of the file: reads; nothing is solved, fetched or written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from envbuild.errors import EnvbuildError, UsageError
from envbuild.lock import Lock
from envbuild.locks.lock_writing import HEADER
from envbuild.locks.lockfile import parse_lock
from envbuild.package import CondaPackage, SourcePackage, Wheel, normalize_pypi_name
from envbuild.pattern import pattern
from envbuild.value import dataclass

_SPEC = pattern(r"\s*([A-Za-z0-9_][A-Za-z0-9._-]*)\s*(.*?)\s*")
_SECTIONS = {"conda": "conda", "wheels": "pypi", "sources": "pypi", "build": "build", "build-sources": "build"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """One package that is looked for, where it is.

    Attributes:
        kind: ``conda``, ``pypi``, or ``build`` for what only builds see.
    """

    platform: str
    kind: str
    name: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Affected:
    """A recipe or a name that is affected.

    Attributes:
        recipe: The recipe's file; None for a name.
        name: The name; None for a recipe.
        held: The packages that were looked for.
        behind: Of a base: whether the lock holds another environment than the base means now; None when unknown.
    """

    recipe: Path | None = None
    name: str | None = None
    held: tuple[Held, ...] = ()
    behind: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A package that is looked for, with its versions."""

    text: str
    conda: str
    pypi: str
    versions: Mapping[str, Callable[[str], bool]]

    def holds(self, kind: str, name: str, version: str) -> bool:
        """Whether a package is meant."""
        own = "conda" if kind == "conda" else "pypi"
        return (
            name == (self.conda if own == "conda" else self.pypi)
            and own in self.versions
            and self.versions[own](version)
        )


def asked_package(text: str) -> Asked:
    """``NAME`` or ``NAME`` with versions, as conda or PyPI write them.

    Raises:
        UsageError: ``bad-package`` when it is neither.
    """
    match = _SPEC.fullmatch(text)
    versions: dict[str, Callable[[str], bool]] = {}
    if match is not None:
        for kind, make in (("conda", _conda_versions), ("pypi", _pypi_versions)):
            try:
                versions[kind] = make(match[2])
            except EnvbuildError:
                continue
    if match is None or not versions:
        raise UsageError(
            f"{text[:80]!r} is no package with versions", reference="bad-package", hint="--package 'openssl<3.3'"
        )
    return Asked(text=text.strip(), conda=match[1].lower(), pypi=normalize_pypi_name(match[1]), versions=versions)


def _conda_versions(text: str) -> Callable[[str], bool]:
    from envbuild.solvers.conda_spec import normalize_conda
    from envbuild.solvers.conda_versions import matcher

    return matcher(normalize_conda(text)[0])


def _pypi_versions(text: str) -> Callable[[str], bool]:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet
    from packaging.version import InvalidVersion

    try:
        allowed = SpecifierSet(text, prereleases=True)
    except InvalidSpecifier:
        raise UsageError(f"{text!r} is no version of PyPI", reference="bad-package") from None

    def fits(version: str) -> bool:
        try:
            return allowed.contains(version)
        except InvalidVersion:
            return False

    return fits


def in_lock(data: bytes, file: str, asked: Asked) -> tuple[Held, ...]:
    """Where a lock holds a package.

    Raises:
        InvalidInput, IntegrityError: When it is not of our own writing and cannot be read.
    """
    names = {asked.conda, asked.pypi}
    if not any(name.encode() in data for name in names):
        return ()
    if not data.startswith(HEADER.encode()):
        return _in_value(parse_lock(data, file), asked)
    found: list[Held] = []
    platform = section = ""
    for line in _lines(data, names):
        if line["platform"] is not None:
            platform = line["platform"].decode()
        elif line["section"] is not None:
            section = line["section"].decode()
        else:
            found += _held(platform, section, json.loads(line["entry"]), asked)
    return tuple(found)


def _lines(data: bytes, names: Iterable[str]) -> Iterator[re.Match[bytes]]:
    """The headings of platforms and sections, and the lines of some packages."""
    words = "|".join(sorted(map(re.escape, names)))
    heads = r"^(?:  (?P<platform>[a-z0-9-]+):|    (?P<section>[a-z-]+):|"
    return re.finditer((heads + r'      - (?P<entry>\{"name": "(?:' + words + r')",.*\}))$').encode(), data, re.M)


def in_closure(data: bytes, asked: Asked) -> tuple[Held, ...]:
    """Where a closure of our own writing holds a package; nothing when it cannot be read."""
    if not any(f'"{name}"'.encode() in data for name in (asked.conda, asked.pypi)):
        return ()
    found: list[Held] = []
    try:
        for platform, tree in json.loads(data)["platforms"].items():
            for section in _SECTIONS:
                for entry in tree.get(section, ()):
                    found += _held(platform, section, entry, asked)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return ()
    return tuple(found)


def _held(platform: str, section: str, entry: Mapping[str, Any], asked: Asked) -> Iterator[Held]:
    kind = _SECTIONS.get(section)
    if kind is not None and asked.holds(kind, entry["name"], entry["version"]):
        yield Held(platform=platform, kind=kind, name=entry["name"], version=entry["version"])


def _in_value(lock: Lock, asked: Asked) -> tuple[Held, ...]:
    found = []
    for environment in lock.platforms:
        every: tuple[tuple[str, tuple[CondaPackage | Wheel | SourcePackage, ...]], ...] = (
            ("conda", environment.conda),
            ("pypi", (*environment.wheels, *environment.sources)),
            ("build", (*environment.build, *environment.build_sources)),
        )
        for kind, packages in every:
            found += [
                Held(platform=environment.platform, kind=kind, name=item.name, version=item.version)
                for item in packages
                if asked.holds(kind, item.name, item.version)
            ]
    return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What stands in a lock before its packages.

    Attributes:
        bases: By label: the environment ids that were recorded, by platform.
    """

    request: str
    bases: Mapping[str, Mapping[str, str]]


def head_of(data: bytes, file: str) -> Head:
    """The head of a lock.

    Raises:
        InvalidInput, IntegrityError: When it is not of our own writing and cannot be read.
    """
    head, found, _ = data.partition(b"\nplatforms:\n")
    if found and data.startswith(HEADER.encode()):
        request = re.search(rb'^request: "([0-9a-f]{64})"$', head, re.M)
        entries = re.search(rb"^bases:\n((?:  - \{.*\}\n?)*)", head, re.M)
        if request is not None:
            trees = [json.loads(line[4:]) for line in (entries[1].splitlines() if entries else ())]
            labels = {_label(tree): tree["environments"] for tree in trees}
            return Head(request=request[1].decode(), bases=labels)
    lock = parse_lock(data, file)
    return Head(
        request=lock.request,
        bases={base.path: {str(key): value for key, value in base.environments} for base in lock.bases},
    )


def _label(tree: Mapping[str, Any]) -> str:
    if "path" in tree:
        return str(tree["path"])
    return next(f"{kind}:{tree[kind]}" for kind in ("name", "id", "pathspec") if kind in tree)


def standing_on(heads: Mapping[str, Head], label: str, means: Mapping[str, str] | None) -> dict[str, bool | None]:
    """The recipes that stand on a base, straight or through others, and whether they are behind it.

    Args:
        heads: The head of each recipe's lock, by the recipe's label.
        label: The base: a recipe's label, ``name:…``, ``id:…`` or ``pathspec:…``.
        means: The environments that it means now, by platform; None when that is not known.
    """
    found: dict[str, bool | None] = {}
    for recipe, head in heads.items():
        for base, recorded in head.bases.items():
            same = means is not None and bool(recorded) and recorded.items() <= means.items()
            if base == label or (same and base.startswith(("id:", "pathspec:"))):
                found[recipe] = None if means is None else not same
    grown = True
    while grown:
        grown = False
        for recipe, head in heads.items():
            on = [found[base] for base in head.bases if base in found]
            if on and recipe not in found:
                found[recipe] = None if None in on else any(on)
                grown = True
    return found
