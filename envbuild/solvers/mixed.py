"""What conda already provides, told to uv: tiny wheels without content, as exact constraints.

A package exists once in an environment, and conda wins: each Python package of the conda solve becomes a wheel that
holds nothing but METADATA; uv takes exactly that one, or says what contradicts it. The stubs never show in a result.
Extras of such a package need its real requirements: they are read from the wheel of the same version, when asked for.

The PyPI names of conda packages are, in this order: the record's ``purls``; the table here; the same name, for packages
that need Python.
Rules of the file: writes only into the folder that it is given.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from envbuild.package import CondaPackage, normalize_pypi_name
from envbuild.solvers.wheel_metadata import WheelMetadata

PYPI_NAMES: Mapping[str, str] = {
    "blas": "",
    "dask-core": "dask",
    "lightgbm": "lightgbm",
    "matplotlib-base": "matplotlib",
    "msgpack-python": "msgpack",
    "numpy-base": "numpy",
    "opencv": "opencv-python",
    "py-opencv": "opencv-python",
    "py-xgboost": "xgboost",
    "pyarrow-core": "pyarrow",
    "pyqt": "pyqt5",
    "pytables": "tables",
    "python": "",
    "python-graphviz": "graphviz",
    "python_abi": "",
    "python-gil": "",
    "python-freethreading": "",
    "pytorch": "torch",
    "pytorch-cpu": "torch",
    "pytorch-gpu": "torch",
    "seaborn-base": "seaborn",
    "tensorflow-base": "tensorflow",
    "uvicorn-standard": "uvicorn",
}
"""conda's name to PyPI's where they differ; empty for what is no PyPI project. A record's own purls win."""

_NAME_END = re.compile(r"[\s<>=!~\[]")
_PURL = re.compile(r"pkg:pypi/([^@?#]+)(?:@([^?#]+))?")

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


def pypi_projects(package: CondaPackage) -> dict[str, str]:
    """The PyPI projects that a conda package provides, normalized, with their versions in PEP 440's words."""
    found = {}
    for purl in package.purls:
        if match := _PURL.fullmatch(purl):
            found[normalize_pypi_name(match[1])] = match[2] or package.version
    if not found:
        name = PYPI_NAMES.get(package.name)
        if name is None:
            needs_python = any(_NAME_END.split(item)[0] in {"python", "python_abi"} for item in package.depends)
            name = package.name if needs_python or package.noarch == "python" else ""
        if name:
            found[normalize_pypi_name(name)] = package.version
    return {name: version for name, text in found.items() if (version := pep440(text)) is not None}


def pep440(version: str) -> str | None:
    """A conda version as PEP 440 has it, or None when no part of it is one."""
    from packaging.version import InvalidVersion, Version

    release = re.match(r"\d+(\.\d+)*", version)
    for text in (version, version.replace("_", "."), release[0] if release else ""):
        try:
            return str(Version(text))
        except InvalidVersion:
            continue
    return None


def make_stubs(
    packages: tuple[CondaPackage, ...],
    folder: Path,
    extras: Mapping[str, WheelMetadata],
    pinned: Mapping[str, WheelMetadata] | None = None,
) -> Stubs:
    """Write the stub wheels of a conda solve.

    Args:
        packages: The conda solve's result.
        folder: An empty or missing folder; stubs of the same names are replaced.
        extras: Real metadata of packages whose extras are asked for.
        pinned: Metadata of wheels that bases pin: uv need not ask an index about those, which may have forgotten them.
    """
    provided: dict[str, CondaPackage] = {}
    versions: dict[str, str] = {}
    for package in packages:
        for name, version in pypi_projects(package).items():
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
        wheels[name] = _write_stub(folder, name, told)
    for name, metadata in own.items():
        wheels[name] = _write_stub(folder, name, metadata)
    return Stubs(packages=provided, versions=versions, wheels=wheels, extras=extras, pinned=own)


def extra_requirements(metadata: WheelMetadata | None) -> tuple[str, ...]:
    """The requirements that stand behind an extra; conda has its own word for the others."""
    if metadata is None:
        return ()
    return tuple(item for item in metadata.requires if re.search(r";.*\bextra\b", item))


def _write_stub(folder: Path, name: str, metadata: WheelMetadata) -> Path:
    escaped, version = name.replace("-", "_"), metadata.version
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    lines += [f"Provides-Extra: {extra}" for extra in metadata.extras]
    lines += [f"Requires-Dist: {item}" for item in metadata.requires]
    if metadata.requires_python:
        lines.append(f"Requires-Python: {metadata.requires_python}")
    path = folder / f"{escaped}-{version}-py3-none-any.whl"
    info = f"{escaped}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{info}/METADATA", "\n".join(lines) + "\n")
        archive.writestr(f"{info}/WHEEL", _WHEEL)
        archive.writestr(f"{info}/RECORD", "")
    return path
