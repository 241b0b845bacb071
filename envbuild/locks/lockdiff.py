"""What changed between two locked environments, package by package.

Rules of the file: pure; order of findings is by platform-independent name, conda before PyPI, so that texts are stable.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from envbuild.lock import LockedEnvironment
from envbuild.package import CondaPackage, SourcePackage, Wheel
from envbuild.value import dataclass

How = Literal["added", "removed", "upgraded", "downgraded", "rebuilt", "moved"]


Package = CondaPackage | Wheel | SourcePackage


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One package that differs.

    Attributes:
        before: Version (and build, for conda) in the old environment; None when it was not there. ``after`` likewise.
        how: ``rebuilt`` is the same version with other bytes, or a source built with other things; ``moved`` the same
            bytes from elsewhere.
        form: What the new package is made of, when it is built from source: ``git 1a2b3c4d``, ``folder libs/foo``.
    """

    name: str
    kind: Literal["conda", "pypi"]
    how: How
    before: str | None
    after: str | None
    form: str | None = None

    def __str__(self) -> str:
        form = f" ({self.form})" if self.form else ""
        if self.how in {"added", "removed"}:
            return f"{self.how} {self.name} {self.after or self.before}{form}"
        return f"{self.how} {self.name} {self.before} -> {self.after}{form}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One package of two environments that is not the same value in both.

    Attributes:
        how: As in ``Change``; None when only what is told of it differs (its licence, what it requires, who asks).
        inputs: What else differs in the build of a source.
    """

    kind: Literal["conda", "pypi"]
    name: str
    before: Package | None
    after: Package | None
    how: How | None
    inputs: tuple[str, ...] = ()


def pairs(before: LockedEnvironment | None, after: LockedEnvironment | None) -> Iterator[Pair]:
    """The packages that differ between two environments; either may be missing."""
    kinds: tuple[Literal["conda", "pypi"], ...] = ("conda", "pypi")
    for kind in kinds:
        old, new = _table(before, kind), _table(after, kind)
        for name in sorted({*old, *new}):
            was, now = old.get(name), new.get(name)
            inputs = _other_inputs(before, was, after, now)
            if was != now or inputs:
                yield Pair(kind=kind, name=name, before=was, after=now, how=_how(was, now, inputs), inputs=inputs)


def changes(before: LockedEnvironment | None, after: LockedEnvironment | None) -> tuple[Change, ...]:
    """The differences between two environments of one platform; either may be missing."""
    return tuple(
        Change(
            name=pair.name,
            kind=pair.kind,
            how=pair.how,
            before=_shown(pair.before, pair.how, pair.after),
            after=_with(_shown(pair.after, pair.how, pair.before), pair.inputs if pair.how == "rebuilt" else ()),
            form=pair.after.form if isinstance(pair.after, SourcePackage) else None,
        )
        for pair in pairs(before, after)
        if pair.how is not None
    )


def _table(environment: LockedEnvironment | None, kind: Literal["conda", "pypi"]) -> dict[str, Package]:
    if environment is None:
        return {}
    several: tuple[Package, ...] = environment.conda
    if kind == "pypi":
        several = (*environment.wheels, *environment.sources)
    return {package.name: package for package in several}


def _how(old: Package | None, new: Package | None, inputs: tuple[str, ...]) -> How | None:
    if old is None or new is None:
        return "added" if old is None else "removed"
    if old.version != new.version:
        return "upgraded" if newer(old, new) else "downgraded"
    if old.sha256 != new.sha256 or inputs:
        return "rebuilt"
    return None if source_words(old) == source_words(new) else "moved"


def _other_inputs(
    before: LockedEnvironment | None, old: Package | None, after: LockedEnvironment | None, new: Package | None
) -> tuple[str, ...]:
    """What else differs in the build of a source that stays itself: names of packages, and what a recipe declares."""
    if not isinstance(old, SourcePackage) or not isinstance(new, SourcePackage):
        return ()
    assert before is not None
    assert after is not None
    found = sorted({name for name, _ in _seen(before, old) ^ _seen(after, new)})
    declared = {
        "config settings": (old.settings, new.settings),
        "variables": (old.variables, new.variables),
        "toolchain": (old.toolchain, new.toolchain),
        "subdirectory": (old.subdirectory, new.subdirectory),
    }
    if before.python != after.python:
        found.append("Python")
    return (*found, *(word for word, (was, now) in declared.items() if was != now))


def _seen(environment: LockedEnvironment, source: SourcePackage) -> set[tuple[str, str]]:
    """Names and digests of the packages that a build sees."""
    inputs = environment.build_inputs
    known = inputs.identities()
    tools = {(wheel.name, wheel.sha256) for wheel in inputs.wheels_of(source)}
    tools |= {(item.name, known[item.file]) for item in inputs.sources_of(source)}
    return tools | {(package.name, package.sha256) for package in inputs.host_of(source)}


def newer(old: Package, new: Package) -> bool:
    """Whether a version went up. Versions that PEP 440 cannot read are compared number by number, as conda does."""
    from packaging.version import InvalidVersion, Version

    try:
        return Version(old.version) < Version(new.version)
    except InvalidVersion:
        return _parts(old.version) < _parts(new.version)


def _parts(version: str) -> list[tuple[int, int, str]]:
    pieces = version.replace("-", ".").replace("_", ".").split(".")
    return [(1, int(piece), "") if piece.isdigit() else (0, 0, piece) for piece in pieces]


def source_words(package: Package) -> tuple[str | None, ...]:
    """Where a package comes from, part by part."""
    if isinstance(package, CondaPackage):
        return (package.channel, package.url, package.subdir, package.file)
    if isinstance(package, SourcePackage):
        return (package.git, package.commit, package.path, package.index, package.url, package.find_links, package.file)
    return (package.index, package.url, package.find_links, package.file)


def _shown(package: Package | None, how: How, other: Package | None) -> str | None:
    if package is None:
        return None
    if how == "moved":
        place = next(text for text in source_words(package) if text is not None)
        return f"{place} {package.form[4:]}" if isinstance(package, SourcePackage) and package.git else place
    if how != "rebuilt":
        return package.version
    if isinstance(package, CondaPackage):
        return f"{package.version} {package.build}"
    same = other is not None and package.sha256 == other.sha256
    return package.version if same else f"{package.version} {package.sha256[:8]}"


def _with(text: str | None, inputs: tuple[str, ...]) -> str | None:
    """What a build has now, with the other things that it is built with."""
    return f"{text} for a changed {', '.join(inputs)}" if text and inputs else text
