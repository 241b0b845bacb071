"""A lock as a value: for each platform every package, pinned. The phase boundary between solving and building.

Text and back is ``envbuild.locks.lockfile``. The environment id is computed here, from the lock alone, so that it is
the same on every machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from envbuild.build_inputs import BuildInputs
from envbuild.digest import Digest, Json, key
from envbuild.package import (
    CondaPackage,
    FolderOrigin,
    GitOrigin,
    IndexOrigin,
    InterpreterArchive,
    LinksOrigin,
    Origin,
    Platform,
    SourcePackage,
    UrlOrigin,
    Wheel,
)
from envbuild.recipe import Index
from envbuild.value import dataclass

LOCK_VERSION = 1
ENVIRONMENT_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedBase:
    """A base as the lock recorded it: its recipe file, its request id, and the environment id of each platform.

    Of an environment that is named, ``path`` is ``name:…`` or ``id:…``, and the ids are what that meant: they stand
    until somebody upgrades the base.
    """

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
        conda: Sorted by name. ``wheels`` and ``sources`` likewise. A package stands in one of them only.
        build: Wheels that only builds see, sorted by file name. Not part of the environment.
        build_sources: Sources whose wheels only builds see, sorted by file name; ``build`` and these are what they are
            built with in turn.
        archive: The interpreter's archive when ``interpreter`` is ``managed``.
        variables: Set on activation and by ``run``.
        bytecode: Whether its modules are compiled ahead. The id's document leaves it out when it is False.
    """

    platform: Platform
    python: str | None
    interpreter: str
    system: tuple[tuple[str, str], ...]
    conda: tuple[CondaPackage, ...] = ()
    wheels: tuple[Wheel, ...] = ()
    sources: tuple[SourcePackage, ...] = ()
    build: tuple[Wheel, ...] = ()
    build_sources: tuple[SourcePackage, ...] = ()
    archive: InterpreterArchive | None = None
    variables: tuple[tuple[str, str], ...] = ()
    bytecode: bool = False
    id: Digest = field(init=False, compare=False)

    def __post_init__(self) -> None:
        inputs = self.build_inputs
        known = inputs.identities()
        document: dict[str, Json] = {
            "platform": self.platform,
            "python": self.python,
            "interpreter": self.interpreter,
            "variables": dict(self.variables),
            "archive": list(self.archive.identity) if self.archive else None,
            "conda": [list(package.identity) for package in self.conda],
            "wheels": [list(wheel.identity) for wheel in self.wheels],
            "sources": [inputs.identity(source, known) for source in self.sources],
        }
        if self.bytecode:
            document["bytecode"] = True
        object.__setattr__(self, "id", key("environment", ENVIRONMENT_VERSION, document))

    def names(self) -> frozenset[str]:
        """The names of all packages, conda and PyPI."""
        names = [package.name for package in self.conda] + [wheel.name for wheel in self.wheels]
        return frozenset(names + [source.name for source in self.sources])

    @property
    def build_inputs(self) -> BuildInputs:
        """What its builds may see."""
        return BuildInputs(wheels=self.build, sources=self.build_sources, conda=self.conda)


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

    def wheel_origin(self, package: Wheel | SourcePackage) -> Origin:
        """Where a wheel's or source's bytes can be got, index names turned into the addresses that the recipe wrote."""
        return origin_of(package, {index.name: index.url for index in self.indices})


def origin_of(package: Wheel | SourcePackage, indices: Mapping[str, str]) -> Origin:
    """Where a locked wheel's or source's bytes can be got.

    Args:
        package: What the lock says.
        indices: Addresses of indices by the recipe's names; any other word of an index is its address.
    """
    if isinstance(package, SourcePackage) and package.git is not None:
        assert package.commit is not None
        return GitOrigin(url=package.git, commit=package.commit, file=package.file)
    if isinstance(package, SourcePackage) and package.path is not None:
        return FolderOrigin(path=package.path, file=package.file)
    if package.url is not None:
        return UrlOrigin(url=package.url, file=package.file)
    if package.find_links is not None:
        return LinksOrigin(location=package.find_links, file=package.file)
    assert package.index is not None
    return IndexOrigin(index=indices.get(package.index, package.index), project=package.name, file=package.file)
