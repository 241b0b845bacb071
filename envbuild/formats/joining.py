"""Two requirements of one package that hold together: one requirement, or why there is none.

Theory: in a recipe one name stands once, so a second line is an error. Foreign files say a name as often as they like,
and mean all of it: versions intersect, extras add up. What cannot be said as one requirement, or cannot be at all, is a
contradiction, and both places are named. Requirements whose markers differ stay beside each other.

Rules of the file: pure; says *contradiction* only when it is sure.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from typing import TypeVar

from envbuild.errors import Issue, Where
from envbuild.reading.version_range import both, contradict
from envbuild.recipe import CondaRequirement, GitSource, PypiRequirement, UrlSource
from envbuild.value import replace

Requirement = TypeVar("Requirement", CondaRequirement, PypiRequirement)

MOST_ALTERNATIVES = 64
"""Alternatives (``|``) that two conda constraints may have together."""


def requirement_key(item: CondaRequirement | PypiRequirement) -> tuple[str, str]:
    """What requirements share that must hold together: the name, and the markers under which they are asked for."""
    return item.name, getattr(item, "markers", None) or ""


def joined(items: Iterable[Requirement], issues: list[Issue]) -> tuple[Requirement, ...]:
    """Requirements sorted by name, those that must hold together as one; contradictions are added to ``issues``."""
    found: dict[tuple[str, str], Requirement] = {}
    for item in items:
        name = requirement_key(item)
        found[name] = _pair(found[name], item, issues) if name in found else item
    return tuple(found[name] for name in sorted(found))


def _pair(one: Requirement, other: Requirement, issues: list[Issue]) -> Requirement:
    result: CondaRequirement | PypiRequirement | None
    if isinstance(one, PypiRequirement):
        assert isinstance(other, PypiRequirement)
        result = _pypi(one, other)
    else:
        assert isinstance(other, CondaRequirement)
        result = _conda(one, other)
    if result is None:
        issues.append(
            Issue(
                message=f"{one.name} is asked for twice, and both cannot hold: "
                f"{place(one.where)} says {_said(one)}, {place(other.where)} says {_said(other)}",
                reference="requirements-disagree",
                where=other.where,
                hint="keep the one that is meant",
            )
        )
        return one
    return result


def place(where: Where | None) -> str:
    """A place as a message names it."""
    return "one line" if where is None else str(where)


def _pypi(one: PypiRequirement, other: PypiRequirement) -> PypiRequirement | None:
    source, index = agreed(one.source, other.source), agreed(one.index, other.index)
    version = None if contradict(one.version, other.version) else both(one.version, other.version)
    hashes = (
        tuple(sorted({*one.hashes} & {*other.hashes})) if one.hashes and other.hashes else one.hashes or other.hashes
    )
    apart = bool(one.hashes and other.hashes and not hashes)
    if source is DISAGREE or index is DISAGREE or version is None or apart or (source is not None and version):
        return None
    extras = tuple(sorted({*one.extras, *other.extras}))
    return replace(
        one,
        version=version,
        extras=extras,
        hashes=hashes,
        source=one.source or other.source,
        index=one.index or other.index,
        where=_place_of(version, one, other),
    )


def _conda(one: CondaRequirement, other: CondaRequirement) -> CondaRequirement | None:
    if one.url or other.url:
        return one if replace(one, where=None) == replace(other, where=None) else None
    version = None if contradict(one.version, other.version) else both(one.version, other.version)
    if version is None and not contradict(one.version, other.version):
        version = _alternatives(one.version, other.version)
    build, channel = agreed(one.build, other.build), agreed(one.channel, other.channel)
    if version is None or build is DISAGREE or channel is DISAGREE:
        return None
    return replace(
        one,
        version=version,
        build=one.build or other.build,
        channel=one.channel or other.channel,
        where=_place_of(version, one, other),
    )


def _place_of(version: str, one: Requirement, other: Requirement) -> Where | None:
    """The place that a message names for what two requirements ask for together: where the version is said."""
    return other.where if version == other.version != one.version else one.where


def _alternatives(one: str, other: str) -> str | None:
    """What holds when one of each side's alternatives does."""
    left, right = one.split("|"), other.split("|")
    if len(left) * len(right) > MOST_ALTERNATIVES:
        return None
    pairs = [both(a, b) for a, b in product(left, right) if not contradict(a, b)]
    return "|".join(dict.fromkeys(pair for pair in pairs if pair)) or None


DISAGREE = object()
"""Neither of two values."""


def agreed(one: object, other: object) -> object:
    """The value that two sides agree on: the one that is said, or ``DISAGREE``."""
    if one is None or other is None or one == other:
        return one if other is None else other
    return DISAGREE


def _said(item: CondaRequirement | PypiRequirement) -> str:
    """What a requirement asks for, without its name."""
    if isinstance(item, CondaRequirement):
        words = [f"{item.channel}::" if item.channel else "", item.version, item.build or "", item.url or ""]
        return repr(" ".join(word for word in words if word) or "any version")
    if item.source is not None:
        source = item.source
        if isinstance(source, GitSource):
            return repr(f"{source.git}@{source.rev}" if source.rev else source.git)
        return repr(source.url if isinstance(source, UrlSource) else source.path)
    index = f" from {item.index}" if item.index else ""
    return repr((item.version or "any version") + index) + (" with other hashes" if item.hashes else "")
