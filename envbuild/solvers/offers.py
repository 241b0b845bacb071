"""Sources as uv sees them: wheels without content, offered beside what its indices have.

uv builds nothing for us. A source that the recipe names becomes a requirement for one such wheel; a package that an
index has as sdists only becomes a folder of them, one for each version. What is not known yet of a version stands in
its wheel as "needs nothing": so uv's answer can only be too good, and is asked for again once more is known
(``envbuild.solvers.source_solve``).

Rules of the file: values; writes only into the folder that it is given.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from pathlib import Path

from envbuild.builders.core_metadata import WheelMetadata
from envbuild.digest import Digest
from envbuild.errors import Where
from envbuild.package import Origin, SourcePackage
from envbuild.solvers.mixed import write_stub
from envbuild.value import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One source that a solve may take, as far as it is known.

    Attributes:
        name: Normalized.
        version: As its file name says, or its metadata; empty until then.
        file: The archive's file name; of a tree, a name for errors.
        origin: Where its bytes are.
        place: What a lock says of that: ``index``, ``find-links``, ``url``, ``git`` or ``path``, and the recipe's word.
        sha256: Of its archive or canonical tar, when it is known.
        urls: Addresses to try first.
        requires_python: What the index says; its metadata decides once it is there.
        metadata: None until it was read.
        found_on: As in ``SourcePackage``.
        direct: Whether a recipe, or a source that it names, asks for exactly this one.
        where: The recipe's line that it goes back to.
        parent: The source whose metadata names it, or None.
    """

    name: str
    file: str
    origin: Origin
    place: tuple[str, str]
    version: str = ""
    sha256: Digest | None = None
    size: int | None = None
    upload_time: str | None = None
    urls: tuple[str, ...] = ()
    subdirectory: str | None = None
    commit: str | None = None
    rev: str | None = None
    requires_python: str | None = None
    metadata: WheelMetadata | None = None
    found_on: str | None = None
    direct: bool = False
    where: Where | None = None
    parent: str | None = None

    @property
    def is_tree(self) -> bool:
        """Whether its archive is a canonical tar that we made ourselves."""
        return self.place[0] in {"git", "path"}

    @property
    def is_sdist(self) -> bool:
        """Whether it is an archive that may hold a PKG-INFO to believe (PEP 643)."""
        return not self.is_tree and self.subdirectory is None

    @property
    def title(self) -> str:
        """What people see."""
        return f"{self.name} {self.version}".strip()

    def known(self) -> WheelMetadata:
        """Its metadata, or the hopeful one of a source that was not read yet."""
        if self.metadata is not None:
            return self.metadata
        return WheelMetadata(name=self.name, version=self.version, requires_python=self.requires_python)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offers:
    """What one run of uv is told of sources.

    Attributes:
        lines: By name: what stands after the name (and extras) in its requirement instead of its source.
        constraints: Further lines, for sources that other sources name.
        links: A folder of stubs that uv may choose from, or None.
        bound: By name: such a folder for a package that the recipe binds to one index.
        keep: Names and versions to prefer.
    """

    lines: Mapping[str, str] = field(default_factory=dict)
    constraints: tuple[str, ...] = ()
    links: Path | None = None
    bound: Mapping[str, Path] = field(default_factory=dict)
    keep: tuple[tuple[str, str], ...] = ()


NO_OFFERS = Offers()


def pinned_metadata(source: SourcePackage, projects: Mapping[str, str]) -> WheelMetadata:
    """What the lock of a base tells of its source: enough, for all that it needs is pinned by that base too.

    Args:
        source: The base's record.
        projects: PyPI's name of what conda provides, by conda's name.
    """
    return WheelMetadata(
        name=source.name,
        version=source.version,
        requires=tuple(projects.get(name, name) for name in source.requires),
        extras=source.extras,
        license=source.license,
    )


def write_offers(
    required: Iterable[Source],
    offered: Iterable[Source],
    *,
    pins: Iterable[SourcePackage],
    keep: tuple[tuple[str, str], ...],
    bound: frozenset[str],
    folder: Path,
) -> tuple[Offers, dict[str, Source]]:
    """Write the stubs of all sources.

    Args:
        required: Those that are asked for directly.
        offered: Those of indices.
        pins: Bases' sources: their stubs are among the constraints already.
        keep: Names and versions to prefer.
        bound: Names that the recipe binds to one index.
        folder: A missing folder.

    Returns:
        The offers; and each source by its stub's path.
    """
    folder.mkdir(parents=True)
    lines = {item.name: "" for item in pins}
    constraints, stubs, own = [], {}, {}
    for source in required:
        stub = write_stub(folder, source.name, source.known())
        stubs[str(stub)] = source
        if source.parent is None:
            lines[source.name] = f" @ {stub.as_uri()}"
        else:
            constraints.append(f"{source.name} @ {stub.as_uri()}")
    links = folder / "links"
    for source in offered:
        place = folder / f"index-{source.name}" if source.name in bound else links
        place.mkdir(exist_ok=True)
        if source.name in bound:
            own[source.name] = place
        stubs[str(write_stub(place, source.name, source.known()))] = source
    offers = Offers(
        lines=lines,
        constraints=tuple(constraints),
        links=links if links.is_dir() else None,
        bound=own,
        keep=keep,
    )
    return offers, stubs
