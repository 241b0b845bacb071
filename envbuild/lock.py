"""A lock as a value: for each platform every package, pinned. The phase boundary between solving and building.

Text and back is ``envbuild.locks.lockfile``. The environment id is computed here, from the lock alone, so that it is
the same on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from envbuild.digest import Digest, Json, key
from envbuild.package import (
    CondaPackage,
    IndexOrigin,
    InterpreterArchive,
    LinksOrigin,
    Origin,
    Platform,
    UrlOrigin,
    Wheel,
)
from envbuild.recipe import Index

LOCK_VERSION = 1
ENVIRONMENT_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedBase:
    """A base as the lock recorded it: its recipe file, its request id, and the environment id of each platform."""

    path: str
    request: Digest
    environments: tuple[tuple[Platform, Digest], ...]
    pin: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedEnvironment:
    """One platform of a lock.

    Attributes:
        python: The series, ``X.Y``; None when the environment holds no Python.
        interpreter: ``conda``, ``host`` or ``managed``.
        system: Virtual packages that the solve assumed; checked against this machine only when it is realized.
        conda: Sorted by name. ``wheels`` likewise. A package stands in one of them only.
        archive: The interpreter's archive when ``interpreter`` is ``managed``.
        variables: Set on activation and by ``run``.
    """

    platform: Platform
    python: str | None
    interpreter: str
    system: tuple[tuple[str, str], ...]
    conda: tuple[CondaPackage, ...] = ()
    wheels: tuple[Wheel, ...] = ()
    archive: InterpreterArchive | None = None
    variables: tuple[tuple[str, str], ...] = ()
    id: Digest = field(init=False, compare=False)

    def __post_init__(self) -> None:
        document: Json = {
            "platform": self.platform,
            "python": self.python,
            "interpreter": self.interpreter,
            "variables": dict(self.variables),
            "archive": list(self.archive.identity) if self.archive else None,
            "conda": [list(package.identity) for package in self.conda],
            "wheels": [list(wheel.identity) for wheel in self.wheels],
        }
        object.__setattr__(self, "id", key("environment", ENVIRONMENT_VERSION, document))

    def names(self) -> frozenset[str]:
        """The names of all packages, conda and PyPI."""
        return frozenset([package.name for package in self.conda] + [wheel.name for wheel in self.wheels])


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """A whole lock.

    Attributes:
        request: The request id that it answers; every platform answers the same one.
        exclude_newer: The cut-off as RFC 3339 UTC, resolved from an age when the recipe gave one; None without one.
        indices: Addresses of the indices that the recipe names, so that a lock can be fetched without its recipe.
    """

    request: Digest
    platforms: tuple[LockedEnvironment, ...]
    exclude_newer: str | None = None
    bases: tuple[LockedBase, ...] = ()
    indices: tuple[Index, ...] = ()

    def environment(self, platform: Platform) -> LockedEnvironment | None:
        """The environment of one platform, or None when the lock has none for it."""
        return next((item for item in self.platforms if item.platform == platform), None)

    def wheel_origin(self, wheel: Wheel) -> Origin:
        """Where a wheel's bytes can be got, index names turned into the addresses that the recipe wrote."""
        if wheel.url is not None:
            return UrlOrigin(url=wheel.url, file=wheel.file)
        if wheel.find_links is not None:
            return LinksOrigin(location=wheel.find_links, file=wheel.file)
        assert wheel.index is not None
        address = next((index.url for index in self.indices if index.name == wheel.index), wheel.index)
        return IndexOrigin(index=address, project=wheel.name, file=wheel.file)
