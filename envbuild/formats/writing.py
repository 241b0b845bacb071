"""Writing other tools' files: what a writer is given, and the registry of formats that can be written.

Theory: a writer turns locked environments into text, and says what its format cannot hold. Everything that a lock does
not say, such as the address of a file, is looked up before and given to it, so that a writer is a pure function and the
same lock gives the same bytes.

Rules of the file: pure values; a writer is found by name and imported when it is needed.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from typing import cast

from envbuild.conda_names import counted_as
from envbuild.digest import Digest
from envbuild.lock import LockedEnvironment
from envbuild.package import Platform, SourcePackage, Wheel
from envbuild.value import dataclass

WRITERS: Mapping[str, str] = {
    "requirements": "envbuild.formats.write_requirements",
    "environment-yml": "envbuild.formats.write_environment_yml",
    "explicit": "envbuild.formats.write_explicit",
    "conda-lock": "envbuild.formats.write_conda_lock",
    "pixi": "envbuild.formats.write_pixi",
    "pylock": "envbuild.formats.write_pylock",
    "sbom": "envbuild.formats.write_sbom",
}
"""Every format that can be written, and its module."""

ONE_PLATFORM = frozenset({"environment-yml", "explicit", "sbom"})
"""Formats of which one file is one platform's."""
WITHOUT_ADDRESSES = frozenset({"requirements", "environment-yml", "sbom"})
"""Formats that name no file's address: an index or a channel is enough."""
WITHOUT_WHEELS = frozenset({"explicit"})
"""Formats that hold conda packages alone. ``WITHOUT_CONDA``: PyPI packages alone."""
WITHOUT_CONDA = frozenset({"requirements", "pylock"})

MARKERS: Mapping[str, str] = {
    "linux-64": "sys_platform == 'linux' and platform_machine == 'x86_64'",
    "linux-aarch64": "sys_platform == 'linux' and platform_machine == 'aarch64'",
    "osx-64": "sys_platform == 'darwin' and platform_machine == 'x86_64'",
    "osx-arm64": "sys_platform == 'darwin' and platform_machine == 'arm64'",
    "win-64": "sys_platform == 'win32' and platform_machine == 'AMD64'",
}
"""What PEP 508 calls each platform."""

Packaged = Wheel | SourcePackage


@dataclass(frozen=True, slots=True, kw_only=True)
class Exporting:
    """What is written.

    Attributes:
        name: What people call the environment.
        environments: One for each platform, sorted by platform.
        channels: Address of each channel by the lock's word for it, in order of priority.
        indices: Address of each index by the lock's word for it.
        default_index: The address that other tools ask when nothing is configured.
        addresses: Of files, by sha256; those that the format needs.
        pixi_version: 6 or 7.
    """

    name: str
    environments: tuple[LockedEnvironment, ...]
    channels: Mapping[str, str]
    indices: Mapping[str, str]
    default_index: str
    addresses: Mapping[Digest, str]
    pixi_version: int = 6

    @property
    def platforms(self) -> tuple[Platform, ...]:
        """The platforms, in order."""
        return tuple(item.platform for item in self.environments)


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A file's text, and what the format could not hold, one sentence each."""

    text: str
    losses: tuple[str, ...] = ()


def write(format_name: str, exporting: Exporting) -> Written:
    """The text of a file.

    Raises:
        KeyError: For a format that is not registered.
    """
    module = importlib.import_module(WRITERS[format_name])
    return cast(Callable[[Exporting], Written], module.write)(exporting)


def files_of(environment: LockedEnvironment) -> list[Packaged]:
    """The PyPI packages of an environment, sorted by name."""
    files: list[Packaged] = [*environment.wheels, *environment.sources]
    return sorted(files, key=lambda item: item.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """One version of a PyPI package on some platforms.

    Attributes:
        packages: What each of these platforms has, by platform.
        marker: When the package holds; None for all platforms that are written.
    """

    packages: Mapping[Platform, Packaged]
    marker: str | None

    @property
    def first(self) -> Packaged:
        """One of them: name, version and place are those of all."""
        return next(iter(self.packages.values()))

    def files(self) -> list[Packaged]:
        """The different files, in the order of the platforms."""
        return list({item.sha256: item for item in self.packages.values()}.values())


def merged(exporting: Exporting) -> list[Merged]:
    """The PyPI packages of all platforms: equal versions together, with markers where platforms differ."""
    groups: dict[tuple[str, ...], dict[Platform, Packaged]] = {}
    for environment in exporting.environments:
        for item in files_of(environment):
            groups.setdefault(_place(item), {})[environment.platform] = item
    found = []
    for packages in groups.values():
        everywhere = len(packages) == len(exporting.environments)
        found.append(Merged(packages=packages, marker=None if everywhere else marker_of(packages)))
    return sorted(found, key=lambda item: (item.first.name, item.first.version, item.marker or ""))


def marker_of(platforms: Iterable[Platform]) -> str:
    """A marker that holds on some platforms and on no other."""
    parts = [MARKERS[item] for item in platforms]
    return parts[0] if len(parts) == 1 else " or ".join(f"({part})" for part in parts)


def _place(item: Packaged) -> tuple[str, ...]:
    """What makes two entries different packages to a reader: everything but the file of an index."""
    kind = "source" if isinstance(item, SourcePackage) else "wheel"
    direct = item.sha256 if item.url is not None else ""
    git = f"{item.git}@{item.commit}" if isinstance(item, SourcePackage) and item.git else ""
    path = item.path or "" if isinstance(item, SourcePackage) else ""
    inside = item.subdirectory or "" if isinstance(item, SourcePackage) else ""
    place = item.index or item.find_links or ""
    extras = ",".join(item.extras)
    return (item.name, item.version, kind, direct, git, path, inside, place, extras)


def needed_projects(item: Packaged, environment: LockedEnvironment) -> tuple[str, ...]:
    """What a package needs, in PyPI's names; what conda provides by the project's name that it counts as."""
    own = {one.name for one in files_of(environment)}
    conda = {package.name: package for package in environment.conda}
    found = set()
    for name in item.requires:
        if name in own:
            found.add(name)
        elif name in conda:
            found.update(counted.project for counted in counted_as(conda[name]))
    return tuple(sorted(found))


def few(names: Iterable[str]) -> str:
    """Some names in words."""
    several = sorted(set(names))
    return ", ".join(several[:3]) + (f" and {len(several) - 3} more" if len(several) > 3 else "")


def common_losses(exporting: Exporting, *, conda: bool, wheels: bool, variables: bool) -> list[str]:
    """What several formats cannot hold.

    Args:
        exporting: What is written.
        conda: Whether conda packages can be written.
        wheels: Whether PyPI packages can be.
        variables: Whether environment variables can be.
    """
    losses = []
    if not conda and (names := {item.name for one in exporting.environments for item in one.conda}):
        losses.append(f"the {len(names)} conda packages: {few(names)}")
    if not wheels and (names := {item.name for one in exporting.environments for item in files_of(one)}):
        losses.append(f"the {len(names)} PyPI packages: {few(names)}")
    if not variables and (names := {name for one in exporting.environments for name, _ in one.variables}):
        losses.append(f"the variables that are set on activation: {few(names)}")
    built = {item.name for one in exporting.environments for item in one.sources if item.build_requires or item.host}
    if wheels and built:
        losses.append(f"the locked build requirements of {few(built)}: whoever builds it chooses them anew")
    return losses
