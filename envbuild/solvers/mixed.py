"""What conda already provides, told to uv: tiny wheels without content, as exact constraints.

A package exists once in an environment, and conda wins: each Python package of the conda solve becomes a wheel that
holds nothing but METADATA; uv takes exactly that one, or says what contradicts it. The stubs never show in a result.
Extras of such a package need its real requirements: they are read from the wheel of the same version, when asked for.

Which PyPI project a conda package is, ``envbuild.conda_names`` knows.
Rules of the file: writes only into the folder that it is given.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path

from envbuild.builders.core_metadata import WheelMetadata, metadata_text
from envbuild.conda_names import Provides, counted_as
from envbuild.package import CondaPackage, normalize_pypi_name
from envbuild.value import dataclass, replace

_WHEEL = "Wheel-Version: 1.0\nGenerator: envbuild\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stubs:
    """The stubs of one solve.

    Attributes:
        packages: conda package by PyPI name. ``versions``: its version as PEP 440 has it. ``wheels``: its stub.
        extras: What is known of the extras of a package.
        pinned: Metadata of the bases' wheels that have stubs too.
    """

    packages: Mapping[str, CondaPackage] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    wheels: Mapping[str, Path] = field(default_factory=dict)
    extras: Mapping[str, WheelMetadata] = field(default_factory=dict)
    pinned: Mapping[str, WheelMetadata] = field(default_factory=dict)

    def __contains__(self, package: Mapping[str, object]) -> bool:
        return normalize_pypi_name(str(package["name"])) in self.wheels

    def constraints(self) -> list[str]:
        """Constraint lines for uv."""
        return [f"{name} @ {path.as_uri()}" for name, path in self.wheels.items()]

    def metadata(self) -> dict[str, WheelMetadata]:
        """For the edges of the lock: what conda's packages need is conda's business, but not what their extras need."""
        provided = {
            name: WheelMetadata(name=name, version=version, requires=extra_requirements(self.extras.get(name)))
            for name, version in self.versions.items()
        }
        return {**provided, **self.pinned}


def pypi_projects(package: CondaPackage, provides: Provides = ()) -> dict[str, str]:
    """The PyPI projects that a conda package provides, normalized, with their versions in PEP 440's words."""
    return {item.project: item.version for item in counted_as(package, provides)}


def make_stubs(
    packages: tuple[CondaPackage, ...],
    folder: Path,
    extras: Mapping[str, WheelMetadata],
    pinned: Mapping[str, WheelMetadata] | None = None,
    provides: Provides = (),
) -> Stubs:
    """Write the stub wheels of a conda solve.

    Args:
        packages: The conda solve's result.
        folder: An empty or missing folder; stubs of the same names are replaced.
        extras: Real metadata of packages whose extras are asked for.
        pinned: Metadata of wheels that bases pin: uv need not ask an index about those, which may have forgotten them.
        provides: What the recipe says that conda packages count as.
    """
    provided: dict[str, CondaPackage] = {}
    versions: dict[str, str] = {}
    for package in packages:
        for name, version in pypi_projects(package, provides).items():
            if name not in provided:
                provided[name], versions[name] = package, version
    wheels = {}
    own = {name: metadata for name, metadata in (pinned or {}).items() if name not in provided}
    if versions or own:
        folder.mkdir(exist_ok=True)
    for name, version in versions.items():
        known = extras.get(name)
        told = WheelMetadata(
            name=name, version=version, requires=extra_requirements(known), extras=known.extras if known else ()
        )
        wheels[name] = write_stub(folder, name, told)
    for name, metadata in own.items():
        wheels[name] = write_stub(folder, name, metadata)
    return Stubs(packages=provided, versions=versions, wheels=wheels, extras=extras, pinned=own)


def extra_requirements(metadata: WheelMetadata | None) -> tuple[str, ...]:
    """The requirements that stand behind an extra; conda has its own word for the others."""
    if metadata is None:
        return ()
    return tuple(item for item in metadata.requires if re.search(r";.*\bextra\b", item))


def write_stub(folder: Path, name: str, metadata: WheelMetadata) -> Path:
    """Write a wheel that holds nothing but METADATA; its file."""
    escaped, version = name.replace("-", "_"), metadata.version
    path = folder / f"{escaped}-{version}-py3-none-any.whl"
    info = f"{escaped}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{info}/METADATA", metadata_text(replace(metadata, name=name)))
        archive.writestr(f"{info}/WHEEL", _WHEEL)
        archive.writestr(f"{info}/RECORD", "")
    return path
