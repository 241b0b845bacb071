"""What a source says of itself without running anything: name, version, requirements, build requirements.

Two standards promise that a backend will say the same: ``PKG-INFO`` of an sdist from metadata version 2.2 on, for every
field that is not marked ``Dynamic`` (PEP 643), and ``[project]`` of ``pyproject.toml``, for every field that is not
listed in ``dynamic`` (PEP 621). Where neither covers name, version, requirements, extras and Python, the answer is
None, and only the backend's hook can tell. PKG-INFO counts in sdists alone: in a working tree it is a leftover.

Poetry reads its own table for what ``[project]`` leaves out, against PEP 621: such a project counts as dynamic.

Rules of the file: reads two files of the folder that it is given; ``tomllib``, ``email`` and ``packaging`` come late.
"""

from __future__ import annotations

import stat
import sys
from pathlib import Path
from typing import Any

from envbuild.builders.core_metadata import WheelMetadata, metadata_of
from envbuild.errors import InvalidInput
from envbuild.package import normalize_pypi_name

FILE_LIMIT = 4 << 20
"""Bytes of the largest ``pyproject.toml`` or ``PKG-INFO`` that is read."""

_DECIDING = {"version", "dependencies", "optional-dependencies", "requires-python"}
"""Fields of ``[project]`` that a solve depends on; so do the fields below of core metadata."""
_DECIDING_HEADERS = {"name", "version", "requires-dist", "requires-python", "provides-extra"}

_NEVER_ASK = {"flit_core.buildapi", "poetry.core.masonry.api"}
"""Backends whose ``get_requires_for_build_wheel`` always says nothing, so that nothing has to be run to know it."""

_SETUPTOOLS_WITHOUT_WHEEL = "70.1"
"""From here on setuptools makes wheels itself; before, it asked for the project ``wheel``."""


def static_metadata(source: Path, *, sdist: bool = False) -> WheelMetadata | None:
    """What the source promises to be, or None when only its backend can tell.

    Args:
        source: The project's folder.
        sdist: Whether it was unpacked from an sdist, whose PKG-INFO may be believed.

    Raises:
        InvalidInput: ``bad-project`` when ``pyproject.toml`` is no TOML, or far too large.
    """
    if sdist and (told := _package_information(source)) is not None:
        return told
    project = _table(read_project(source), "project")
    return None if project is None else _declared(project, source)


def asks_nothing_more(source: Path) -> tuple[str, ...] | None:
    """Whether the backend is known to ask for no further build requirements than ``[build-system]`` lists.

    Returns:
        None when it must be asked; else what must hold for that: backends and the versions from which it is so.
    """
    tree = read_project(source)
    build_system = _table(tree, "build-system") or {}
    backend = build_system.get("build-backend")
    if "backend-path" in build_system or not isinstance(backend, str):
        return None
    if backend in _NEVER_ASK:
        return ()
    if backend == "hatchling.build" and not _has_hatch_hooks(tree) and not (source / "hatch.toml").exists():
        return ()
    if backend == "setuptools.build_meta" and not any((source / name).exists() for name in ("setup.py", "setup.cfg")):
        return (f"setuptools>={_SETUPTOOLS_WITHOUT_WHEEL}",)
    return None


def _has_hatch_hooks(tree: dict[str, Any]) -> bool:
    """Whether hatchling's configuration names plug-ins, or requirements of a build target."""
    build = _table(_table(_table(tree, "tool") or {}, "hatch") or {}, "build") or {}
    targets = _table(build, "targets") or {}
    tables = [build, *(table for table in targets.values() if isinstance(table, dict))]
    return any(
        word in table
        for table in tables
        for word in ("hooks", "dependencies", "require-runtime-dependencies", "require-runtime-features")
    )


def read_project(source: Path) -> dict[str, Any]:
    """``pyproject.toml`` as a tree; empty when there is none.

    Raises:
        InvalidInput: ``bad-project``.
    """
    data = _read(source / "pyproject.toml")
    if data is None:
        return {}
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        return tomllib.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"its pyproject.toml cannot be read: {error}", reference="bad-project") from None


def _read(path: Path) -> bytes | None:
    """A regular file's bytes; None when there is none. A symbolic link inside the source is followed."""
    try:
        status = path.stat()
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    if status.st_size > FILE_LIMIT:
        raise InvalidInput(f"its {path.name} has {status.st_size:,} bytes", reference="bad-project")
    return path.read_bytes()


def _table(tree: dict[str, Any], name: str) -> dict[str, Any] | None:
    found = tree.get(name)
    return found if isinstance(found, dict) else None


def _package_information(source: Path) -> WheelMetadata | None:
    """PKG-INFO, when it is new enough to be believed and marks nothing that decides as dynamic."""
    from email.parser import BytesHeaderParser

    data = _read(source / "PKG-INFO")
    if data is None:
        return None
    message = BytesHeaderParser().parsebytes(data)
    try:
        major, minor = (int(part) for part in str(message["Metadata-Version"]).strip().split("."))
    except ValueError:
        return None
    dynamic = {str(item).strip().lower() for item in message.get_all("Dynamic", ())}
    if (major, minor) < (2, 2) or dynamic & _DECIDING_HEADERS:
        return None
    try:
        told = metadata_of(message)
    except InvalidInput:
        return None
    return told if _are_requirements(told.requires) else None


def _are_requirements(texts: tuple[str, ...]) -> bool:
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        for text in texts:
            Requirement(text)
    except (InvalidRequirement, RecursionError):
        return False
    return True


def _declared(project: dict[str, Any], source: Path) -> WheelMetadata | None:
    """``[project]`` as metadata, when it tells all that decides."""
    from packaging.requirements import InvalidRequirement
    from packaging.version import InvalidVersion, Version

    dynamic = project.get("dynamic", [])
    name, version = project.get("name"), project.get("version")
    if not isinstance(name, str) or not isinstance(version, str) or not isinstance(dynamic, list):
        return None
    if any(item in _DECIDING for item in dynamic) or (_is_poetry(source) and "dependencies" not in project):
        return None
    needs, optional = project.get("dependencies", []), project.get("optional-dependencies", {})
    python, licence = project.get("requires-python"), project.get("license")
    try:
        requires = [_with_extra(text, None) for text in needs]
        requires += [_with_extra(text, extra) for extra, several in optional.items() for text in several]
        return WheelMetadata(
            name=name,
            version=str(Version(version)),
            requires=tuple(requires),
            extras=tuple(normalize_pypi_name(extra) for extra in optional),
            requires_python=python if isinstance(python, str) else None,
            license=licence if isinstance(licence, str) and len(licence) <= 100 and "\n" not in licence else None,
        )
    except (InvalidRequirement, InvalidVersion, TypeError, AttributeError, RecursionError):
        return None  # the backend may know better, or say what is wrong


def _with_extra(text: str, extra: str | None) -> str:
    """A requirement as ``Requires-Dist`` has it, behind an extra or not."""
    from packaging.requirements import Requirement

    requirement = Requirement(text)
    if extra is None:
        return str(requirement)
    marker = f'extra == "{normalize_pypi_name(extra)}"'
    if requirement.marker is not None:
        marker = f"({requirement.marker}) and {marker}"
        requirement.marker = None
    return f"{requirement} ; {marker}"


def _is_poetry(source: Path) -> bool:
    tool = _table(read_project(source), "tool") or {}
    return isinstance(tool.get("poetry"), dict) and "dependencies" in tool["poetry"]
