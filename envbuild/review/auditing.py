"""Packages of locks, and what advisories say of them.

A conda package is looked up as the PyPI project that it counts as; one that counts as none cannot be looked up, nor can
a package of a folder or a repository, whose version is its own. That is said, for no finding is no proof.

Rules of the file: pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from envbuild.conda_names import counted_as
from envbuild.lock import LockedEnvironment
from envbuild.package import CondaPackage, SourcePackage, Wheel
from envbuild.review.advisories import Advisory
from envbuild.value import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One package of one environment: what it is looked up as, and where it stands."""

    name: str
    version: str
    kind: str
    project: str
    known_as: str
    environment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Vulnerable:
    """One package that an advisory is about.

    Attributes:
        name: As the lock calls it; ``kind``: ``conda`` or ``pypi``.
        id: The advisory's; ``aliases``: what else it is called, by whoever wrote of it.
        fixed: The lowest version above that is; None when no advisory knows one.
        environments: ``name (platform)``, sorted.
    """

    name: str
    version: str
    kind: str
    id: str
    aliases: tuple[str, ...]
    summary: str
    severity: str | None
    fixed: str | None
    environments: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Audited:
    """What came of it.

    Attributes:
        packages: How many different ones were looked up.
        found: Sorted by name.
        ignored: Findings that the caller did not want to hear of.
        unknown: Names of packages that could not be looked up, sorted.
    """

    packages: int
    found: tuple[Vulnerable, ...]
    ignored: int
    unknown: tuple[str, ...]


def places(said: str, environment: LockedEnvironment) -> tuple[list[Place], list[str]]:
    """What of an environment can be looked up, and the names of what cannot.

    Args:
        said: What people call the environment.
        environment: One platform of it.
    """
    found, unknown = [], []
    packages: tuple[CondaPackage | Wheel | SourcePackage, ...]
    packages = (*environment.conda, *environment.wheels, *environment.sources)
    for package in packages:
        known = _known_as(package)
        if not known:
            unknown.append(package.name)
        found += [
            Place(
                name=package.name,
                version=package.version,
                kind="conda" if isinstance(package, CondaPackage) else "pypi",
                project=project,
                known_as=version,
                environment=f"{said} ({environment.platform})",
            )
            for project, version in known
        ]
    return found, unknown


def _known_as(package: CondaPackage | Wheel | SourcePackage) -> list[tuple[str, str]]:
    if isinstance(package, CondaPackage):
        return [(item.project, str(item.version)) for item in counted_as(package)]
    if isinstance(package, SourcePackage) and (package.git is not None or package.path is not None):
        return []
    return [(package.name, package.version)]


def judged(
    looked: Sequence[Place], unknown: Iterable[str], advisories: Iterable[Advisory], ignore: Iterable[str]
) -> Audited:
    """What advisories say of packages. Advisories that name each other are one finding."""
    by_project: dict[str, list[Advisory]] = {}
    for advisory in advisories:
        for project in {item.project for item in advisory.affected}:
            by_project.setdefault(project, []).append(advisory)
    groups: dict[tuple[str, str, str, str, str], list[str]] = {}
    for place in looked:
        key = (place.name, place.version, place.kind, place.project, place.known_as)
        groups.setdefault(key, []).append(place.environment)
    unwanted, found, ignored = frozenset(ignore), [], 0
    for (name, version, kind, project, known_as), environments in sorted(groups.items()):
        touching = [
            item for item in by_project.get(project, ()) if any(one.touches(known_as) for one in item.about(project))
        ]
        for group in _same(touching):
            names = frozenset().union(*(item.names for item in group))
            if names & unwanted:
                ignored += 1
                continue
            found.append(_vulnerable((name, version, kind), (project, known_as), group, names, environments))
    return Audited(packages=len(groups), found=tuple(found), ignored=ignored, unknown=tuple(sorted(set(unknown))))


def _vulnerable(
    package: tuple[str, str, str],
    known: tuple[str, str],
    group: Sequence[Advisory],
    names: frozenset[str],
    environments: Iterable[str],
) -> Vulnerable:
    first = group[0]
    fixes = [fix for item in group for one in item.about(known[0]) if (fix := one.fixed(known[1])) is not None]
    return Vulnerable(
        name=package[0],
        version=package[1],
        kind=package[2],
        id=first.id,
        aliases=tuple(sorted(names - {first.id})),
        summary=next((item.summary for item in group if item.summary), ""),
        severity=next((item.severity for item in group if item.severity), None),
        fixed=fixes[0] if fixes else None,
        environments=tuple(sorted(set(environments))),
    )


def _same(advisories: Iterable[Advisory]) -> list[list[Advisory]]:
    """Advisories in groups of those that share a name, each sorted by id."""
    groups: list[list[Advisory]] = []
    for advisory in sorted(advisories, key=lambda item: item.id):
        related = [group for group in groups if any(item.names & advisory.names for item in group)]
        merged = [item for group in related for item in group]
        groups = [group for group in groups if group not in related]
        groups.append([*merged, advisory])
    return [sorted(group, key=lambda item: item.id) for group in groups]


def as_tree(audited: Audited) -> Mapping[str, object]:
    """The result as JSON has it."""
    return {
        "packages": audited.packages,
        "ignored": audited.ignored,
        "unknown": list(audited.unknown),
        "vulnerabilities": [
            {
                "name": item.name,
                "version": item.version,
                "kind": item.kind,
                "id": item.id,
                "aliases": list(item.aliases),
                "summary": item.summary,
                "severity": item.severity,
                "fixed": item.fixed,
                "environments": list(item.environments),
            }
            for item in audited.found
        ],
    }
