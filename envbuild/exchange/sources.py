"""Sources of a foreign lock, with what their builds need.

Theory: foreign locks name sources and say nothing of how they are built. Each is asked for exactly as the lock has it
(a commit, a folder, an archive, one version of an index), and is read as a solve would read it: its metadata, and its
build requirements, which are solved, once. That is the one thing in an import that is solved, and it is said.

Rules of the file: the solvers' room does the work; what it finds must be what the foreign lock says.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import field

from envbuild.addresses import DEFAULT_INDEX
from envbuild.build_inputs import BuildInputs
from envbuild.builders.core_metadata import WheelMetadata
from envbuild.digest import parse_digest
from envbuild.errors import IntegrityError, UnsatisfiableError
from envbuild.exchange.files_found import FoundFile
from envbuild.exchange.work import Work
from envbuild.package import CondaPackage, SourcePackage
from envbuild.projects.config_files import PROJECT_FILE
from envbuild.projects.project import Project
from envbuild.reading.places import check_path
from envbuild.recipe import GitSource, Index, PathSource, PypiRequirement, Source, UrlSource
from envbuild.request import PlatformRequest
from envbuild.solvers.target import Target
from envbuild.solvers.tools import joined, needed_by
from envbuild.value import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedSources:
    """Sources as a lock has them, their metadata by name, and what only their builds see."""

    sources: tuple[SourcePackage, ...] = ()
    metadata: Mapping[str, WheelMetadata] = field(default_factory=dict)
    build: BuildInputs = BuildInputs()


def lock_sources(
    found: Sequence[FoundFile],
    conda: Sequence[CondaPackage],
    target: Target,
    folder: str,
    project: Project,
    work: Work,
) -> LockedSources:
    """The sources of one platform.

    Args:
        found: Every PyPI package of the platform; those that are wheels say which versions there are.
        conda: Its conda packages.
        target: The platform and Python.
        folder: The foreign file's folder, from the project's root.
        project: Folders must lie in it.
        work: Fetches, and runs backends.

    Raises:
        IntegrityError: ``wrong-hash`` when an archive has other bytes than the foreign lock says.
        InvalidInput: ``bad-path`` for a folder outside the project.
    """
    wanted = [item for item in found if not item.is_wheel]
    if not wanted:
        return LockedSources()
    work.need_network(f"what the builds of {_names(wanted)} need")
    places = sorted({(item.index or "", item.find_links or "") for item in wanted})
    sources: list[SourcePackage] = []
    build: list[BuildInputs] = []
    for index, links in places:
        group = [item for item in wanted if (item.index or "", item.find_links or "") == (index, links)]
        answer = _solved(group, found, conda, target, folder, index, links, project, work)
        sources += answer[0]
        build.append(answer[1])
    told = {item.name: item for item in sources}
    metadata = {item.package.name: _metadata(item, told[item.package.name]) for item in wanted}
    tools = joined(build)
    number = len(tools.wheels) + len(tools.sources)
    chosen = f"; {number} packages that only builds see were chosen for that" if number else ""
    work.say(
        f"{_names(wanted)}: built from source; what their builds need was solved, for the file does not say{chosen}"
    )
    return LockedSources(sources=tuple(sources), metadata=metadata, build=tools)


def _names(items: Sequence[FoundFile]) -> str:
    names = sorted(item.package.name for item in items)
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _metadata(item: FoundFile, source: SourcePackage) -> WheelMetadata:
    """What a source needs: as the foreign file says, else as the source does."""
    requires = item.package.requires if item.package.requires is not None else source.requires
    return WheelMetadata(name=source.name, version=source.version, requires=requires, extras=item.package.extras)


def _solved(
    group: Sequence[FoundFile],
    found: Sequence[FoundFile],
    conda: Sequence[CondaPackage],
    target: Target,
    folder: str,
    index: str,
    links: str,
    project: Project,
    work: Work,
) -> tuple[list[SourcePackage], BuildInputs]:
    from envbuild.solvers.pypi import PypiQuestion, solve_pypi

    named = Index(name=index, url=index) if index and index != DEFAULT_INDEX else None
    request = PlatformRequest(
        platform=target.platform,
        python=target.series,
        system=target.system,
        index=named,
        find_links=(links,) if links else (),
        pypi=tuple(_requirement(item, folder, project) for item in group),
        pypi_constraints=tuple(_version(item) for item in found if item.is_wheel and item.version is not None),
    )
    question = PypiQuestion(
        request=request,
        target=target,
        conda=tuple(conda),
        host=tuple(conda),
        interpreter="conda" if conda else "host",
        alone=all(item.package.requires is not None for item in group),
    )
    answer = solve_pypi(question, work.context)
    by_name = {item.name: item for item in answer.sources}
    sources = [_checked(item, by_name.get(item.package.name)) for item in group]
    return sources, needed_by(sources, BuildInputs(wheels=answer.build, sources=answer.build_sources))


def _requirement(item: FoundFile, folder: str, project: Project) -> PypiRequirement:
    package = item.package
    source: Source | None = None
    version = ""
    if package.git is not None:
        source = GitSource(git=package.git, rev=package.commit, subdirectory=package.subdirectory)
    elif package.path is not None and item.file is None:
        path = os.path.normpath(f"{folder}/{package.path}").replace(os.sep, "/")
        outside = project.config.allow_outside_paths
        inside = check_path(
            path if path.startswith("..") else f"./{path}", project.root / PROJECT_FILE, project.root, outside
        )
        source = PathSource(path=inside)
    elif item.url is not None:
        assert item.file is not None
        digest = parse_digest(item.file.sha256) if item.file.sha256 is not None else None
        source = UrlSource(url=item.url, sha256=digest, subdirectory=package.subdirectory)
    else:
        version = f"=={item.version}"
    return PypiRequirement(
        name=package.name, version=version, extras=package.extras, source=source, where=package.where
    )


def _version(item: FoundFile) -> PypiRequirement:
    return PypiRequirement(name=item.package.name, version=f"=={item.version}")


def _checked(item: FoundFile, source: SourcePackage | None) -> SourcePackage:
    """The source that was found, when it is the one that the foreign lock names."""
    package = item.package
    if source is None:
        raise UnsatisfiableError(
            f"{package.name} {item.version or ''} could not be read as a source",
            reference="no-file",
            where=package.where,
        )
    stated = item.file.sha256 if item.file is not None else None
    if stated is not None and source.sha256 != stated:
        raise IntegrityError(
            f"{source.file} has the sha256 {source.sha256}, and the file says {stated}",
            reference="wrong-hash",
            where=package.where,
        )
    if item.version is not None and not _same(item.version, source.version):
        raise IntegrityError(
            f"{package.name} is {source.version}, and the file says {item.version}",
            reference="wrong-version",
            where=package.where,
        )
    return source


def _same(left: str, right: str) -> bool:
    from packaging.version import InvalidVersion, Version

    try:
        return Version(left) == Version(right)
    except InvalidVersion:
        return left == right
