"""``[build-system]`` of a source (PEP 517, PEP 518): which backend builds it, and with what; nothing is run.

A source without it is setuptools', as it always was. Build requirements are names with ranges, never addresses: what a
build may import is locked, by digest, before it runs. A backend that comes with the source stays in the source.

Rules of the file: reads one file of the source.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from envbuild.builders.project_metadata import read_project
from envbuild.errors import BuildError
from envbuild.value import dataclass

LEGACY = ("setuptools>=40.8.0",)
"""What a source without ``[build-system]`` is built with; pip asks for the same."""

_LEGACY_BACKEND = "setuptools.build_meta:__legacy__"


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildSystem:
    """``[build-system]`` of a source, defaults filled in (PEP 517, PEP 518)."""

    requires: tuple[str, ...]
    backend: str
    backend_path: tuple[str, ...] = ()


def build_system(source: Path) -> BuildSystem:
    """What a source says about how it is built; nothing is run.

    Args:
        source: The project's folder.

    Raises:
        InvalidInput: ``bad-project`` when ``pyproject.toml`` cannot be read.
        BuildError: ``bad-build-system``; ``backend-path`` for a backend outside of the source (PEP 517);
            ``unpinned-build-requirement`` for one by address; ``no-project`` when there is nothing to build.
    """
    section = read_project(source).get("build-system")
    if section is None:
        if not any((source / name).is_file() for name in ("pyproject.toml", "setup.py", "setup.cfg")):
            raise BuildError(
                "the source has neither pyproject.toml nor setup.py",
                reference="no-project",
                hint="name the project's folder in it: {git: …, subdirectory: python}",
            )
        return BuildSystem(requires=LEGACY, backend=_LEGACY_BACKEND)
    if not isinstance(section, dict) or not is_texts(section.get("requires")):
        raise BuildError(
            "[build-system] of the source's pyproject.toml has no list `requires` (PEP 518)",
            reference="bad-build-system",
        )
    backend = section.get("build-backend", _LEGACY_BACKEND)
    folders = section.get("backend-path", [])
    if not isinstance(backend, str) or not is_texts(folders):
        raise BuildError(
            "`build-backend` is a text and `backend-path` a list of texts (PEP 517)", reference="bad-build-system"
        )
    for folder in folders:
        _check_backend_path(source, folder)
    return BuildSystem(
        requires=checked_requires(section["requires"], "[build-system]"), backend=backend, backend_path=tuple(folders)
    )


def static_build_requires(source: Path) -> tuple[str, ...]:
    """The requirements of ``[build-system]``, as written; nothing is run.

    Raises:
        InvalidInput: As ``build_system``; so is ``BuildError``.
    """
    return build_system(source).requires


def _check_backend_path(source: Path, folder: str) -> None:
    inside = Path(os.path.normpath(source / folder))
    real = Path(os.path.realpath(inside))
    outside = not inside.is_relative_to(source) or not real.is_relative_to(os.path.realpath(source))
    if Path(folder).is_absolute() or outside:
        raise BuildError(
            f"`backend-path` of the source's pyproject.toml leads out of it: {folder!r} (PEP 517)",
            reference="backend-path",
        )


def checked_requires(requires: Sequence[str], who: str) -> tuple[str, ...]:
    """Build requirements that a lock can pin.

    Args:
        requires: As somebody wrote them.
        who: Wrote them.

    Raises:
        BuildError: ``bad-build-system`` for no requirement; ``unpinned-build-requirement`` for one by address.
    """
    from packaging.requirements import InvalidRequirement, Requirement

    for text in requires:
        try:
            requirement = Requirement(text)
        except InvalidRequirement as error:
            raise BuildError(f"{who} asks for {text[:200]!r}: {error}", reference="bad-build-system") from error
        if requirement.url:
            raise BuildError(
                f"{who} asks for {requirement.name} by an address, which no lock can pin",
                reference="unpinned-build-requirement",
                hint=f"put a wheel of {requirement.name} on an index or in find-links",
            )
    return tuple(requires)


def is_texts(found: object) -> bool:
    """Whether a value from outside is a list of texts."""
    return isinstance(found, list) and all(isinstance(item, str) for item in found)
