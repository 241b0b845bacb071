"""What changed between two locked environments, package by package.

Rules of the file: pure; order of findings is by platform-independent name, conda before PyPI, so that texts are stable.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from envbuild.lock import LockedEnvironment
from envbuild.package import CondaPackage, Wheel

How = Literal["added", "removed", "upgraded", "downgraded", "rebuilt", "moved"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One package that differs.

    Attributes:
        before: Version (and build, for conda) in the old environment; None when it was not there. ``after`` likewise.
        how: ``rebuilt`` is the same version with other bytes, ``moved`` the same bytes from elsewhere.
    """

    name: str
    kind: Literal["conda", "pypi"]
    how: How
    before: str | None
    after: str | None

    def __str__(self) -> str:
        if self.how in {"added", "removed"}:
            return f"{self.how} {self.name} {self.after or self.before}"
        return f"{self.how} {self.name} {self.before} -> {self.after}"


def changes(before: LockedEnvironment | None, after: LockedEnvironment | None) -> tuple[Change, ...]:
    """The differences between two environments of one platform; either may be missing."""
    found: list[Change] = []
    for kind, old, new in (
        ("conda", _table(before.conda if before else ()), _table(after.conda if after else ())),
        ("pypi", _table(before.wheels if before else ()), _table(after.wheels if after else ())),
    ):
        for name in sorted({*old, *new}):
            how = _how(old.get(name), new.get(name))
            if how is not None:
                found.append(
                    Change(
                        name=name,
                        kind="conda" if kind == "conda" else "pypi",
                        how=how,
                        before=_shown(old.get(name), how),
                        after=_shown(new.get(name), how),
                    )
                )
    return tuple(found)


def _table(packages: tuple[CondaPackage, ...] | tuple[Wheel, ...]) -> dict[str, CondaPackage | Wheel]:
    return {package.name: package for package in packages}


def _how(old: CondaPackage | Wheel | None, new: CondaPackage | Wheel | None) -> How | None:
    if old is None or new is None:
        return "added" if old is None else "removed"
    if old.version != new.version:
        return "upgraded" if _newer(old, new) else "downgraded"
    if old.sha256 != new.sha256:
        return "rebuilt"
    return None if _source(old) == _source(new) else "moved"


def _newer(old: CondaPackage | Wheel, new: CondaPackage | Wheel) -> bool:
    """Whether a version went up. Versions that PEP 440 cannot read are compared number by number, as conda does."""
    from packaging.version import InvalidVersion, Version

    try:
        return Version(old.version) < Version(new.version)
    except InvalidVersion:
        return _parts(old.version) < _parts(new.version)


def _parts(version: str) -> list[tuple[int, int, str]]:
    pieces = version.replace("-", ".").replace("_", ".").split(".")
    return [(1, int(piece), "") if piece.isdigit() else (0, 0, piece) for piece in pieces]


def _source(package: CondaPackage | Wheel) -> tuple[str | None, ...]:
    if isinstance(package, CondaPackage):
        return (package.channel, package.url, package.subdir, package.file)
    return (package.index, package.url, package.find_links, package.file)


def _shown(package: CondaPackage | Wheel | None, how: How) -> str | None:
    if package is None:
        return None
    if how == "moved":
        return next(text for text in _source(package) if text is not None)
    if isinstance(package, CondaPackage):
        return f"{package.version} {package.build}" if how == "rebuilt" else package.version
    return f"{package.version} {package.sha256[:8]}" if how == "rebuilt" else package.version
