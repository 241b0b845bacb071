"""Sources of a foreign lock, with what their builds need.

Theory: foreign locks name sources and say nothing of how they are built. Their metadata is read as a solve reads it,
and their build requirements are solved, once: that is the one thing in an import that is solved, and it is said.

Rules of the file: the solvers' room does the work.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from envbuild.builders.core_metadata import WheelMetadata
from envbuild.errors import UnsatisfiableError
from envbuild.exchange.files_found import FoundFile
from envbuild.exchange.work import Work
from envbuild.package import CondaPackage, SourcePackage, Wheel
from envbuild.projects.project import Project
from envbuild.solvers.target import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedSources:
    """Sources as a lock has them, their metadata by name, and the wheels that only their builds see."""

    sources: tuple[SourcePackage, ...] = ()
    metadata: Mapping[str, WheelMetadata] = field(default_factory=dict)
    build: tuple[Wheel, ...] = ()


def lock_sources(
    found: Sequence[FoundFile],
    conda: Sequence[CondaPackage],
    target: Target,
    folder: str,
    project: Project,
    work: Work,
) -> LockedSources:
    """The sources of one platform.

    Raises:
        UnsatisfiableError: ``needs-build``.
    """
    if not found:
        return LockedSources()
    names = ", ".join(sorted(item.package.name for item in found)[:5])
    raise UnsatisfiableError(
        f"{names} would have to be built from source", reference="needs-build", where=found[0].package.where
    )
