"""Advisories of known vulnerabilities, in the format of OSV (schema 1.6): which versions they touch, and what mends it.

Rules of the file: pure. Versions are PEP 440's, for PyPI is the ecosystem that packages of locks belong to.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from packaging.version import InvalidVersion, Version

from envbuild.errors import InvalidInput, Where
from envbuild.package import normalize_pypi_name
from envbuild.value import dataclass

ECOSYSTEM = "PyPI"


@dataclass(frozen=True, slots=True, kw_only=True)
class Affected:
    """What an advisory says of one project.

    Attributes:
        project: Normalized (PEP 503).
        versions: Listed one by one.
        ranges: Each a list of events, ``(introduced | fixed | last_affected, version)``; ``0`` is before every version.
    """

    project: str
    versions: frozenset[str]
    ranges: tuple[tuple[tuple[str, str], ...], ...]

    def touches(self, version: str) -> bool:
        """Whether a version is affected, as OSV's specification evaluates it."""
        own = _version(version)
        if version in self.versions or (own is not None and any(_version(item) == own for item in self.versions)):
            return True
        return own is not None and any(_inside(events, own) for events in self.ranges)

    def fixed(self, version: str) -> str | None:
        """The lowest version above one that a range calls fixed."""
        own = _version(version)
        told = [_version(item) for events in self.ranges for what, item in events if what == "fixed"]
        above = [item for item in told if item is not None and own is not None and item > own]
        return str(min(above)) if above else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Advisory:
    """One advisory.

    Attributes:
        id: ``GHSA-…``, ``PYSEC-…``.
        aliases: What others call it, such as ``CVE-…``, sorted.
        summary: One line, or the first of its details; empty when it says nothing.
        severity: A word (``HIGH``) or a CVSS vector; None when it says neither.
    """

    id: str
    aliases: tuple[str, ...]
    summary: str
    severity: str | None
    affected: tuple[Affected, ...]

    def about(self, project: str) -> Iterator[Affected]:
        """What it says of a project."""
        return (item for item in self.affected if item.project == project)

    @property
    def names(self) -> frozenset[str]:
        """Its id and its aliases."""
        return frozenset((self.id, *self.aliases))


def read_advisory(document: Any, place: str) -> Advisory | None:
    """An advisory of its document; None when it was withdrawn, or is about no project of PyPI.

    Args:
        document: As JSON has it.
        place: Where it is from, for messages.

    Raises:
        InvalidInput: ``bad-advisory``.
    """
    try:
        if document.get("withdrawn"):
            return None
        affected = tuple(
            _affected(item)
            for item in document.get("affected", ())
            if item.get("package", {}).get("ecosystem") == ECOSYSTEM
        )
        summary = str(document.get("summary") or document.get("details") or "").strip().partition("\n")[0]
        found = Advisory(
            id=_text(document["id"]),
            aliases=tuple(sorted(_text(item) for item in document.get("aliases") or ())),
            summary=summary,
            severity=_severity(document),
            affected=affected,
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InvalidInput(
            f"this is no advisory in the format of OSV ({type(error).__name__})",
            reference="bad-advisory",
            where=Where(file=place),
        ) from error
    return found if affected else None


def _affected(item: Mapping[str, Any]) -> Affected:
    ranges = []
    for one in item.get("ranges") or ():
        if one.get("type") in {"ECOSYSTEM", "SEMVER"}:
            events = [(_text(what), _text(version)) for event in one["events"] for what, version in event.items()]
            ranges.append(tuple(events))
    return Affected(
        project=normalize_pypi_name(_text(item["package"]["name"])),
        versions=frozenset(_text(version) for version in item.get("versions") or ()),
        ranges=tuple(ranges),
    )


def _severity(document: Mapping[str, Any]) -> str | None:
    word = (document.get("database_specific") or {}).get("severity")
    if isinstance(word, str):
        return word
    scores = [item.get("score") for item in document.get("severity") or ()]
    return next((score for score in scores if isinstance(score, str)), None)


def _inside(events: Iterable[tuple[str, str]], own: Version) -> bool:
    known = [(version, what) for what, text in events if (version := _bound(text)) is not None]
    inside = False
    for version, what in sorted(known, key=lambda pair: (pair[0], pair[1] != "introduced")):
        if what == "introduced" and own >= version:
            inside = True
        elif (what == "fixed" and own >= version) or (what == "last_affected" and own > version):
            inside = False
    return inside


def _bound(text: str) -> Version | None:
    return Version("0.dev0") if text == "0" else _version(text)


def _version(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:
        return None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value
