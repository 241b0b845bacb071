"""A source's metadata and its build requirements: static where that is promised, else from the backend's hooks.

Hooks run on a copy, in a build environment, shut off like a build, and only for what nothing else tells. What they told
is kept in the engine cache by all that they saw: the source's bytes, what was installed, the Python's series, settings
and variables. So a lock that is made again runs nothing, and neither does a second platform of the same series.

Rules of the file: nothing is solved here; what a hook says of name and version must fit what was asked for.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envbuild.builders.core_metadata import WheelMetadata, metadata_text, parse_metadata
from envbuild.digest import Json, key
from envbuild.errors import BuildError, EnvbuildError, InvalidInput, Where
from envbuild.package import CondaPackage, normalize_pypi_name
from envbuild.recipe import BuildOptions
from envbuild.solvers.build_requirements import BuildRequirements, project_folder
from envbuild.solvers.host_packages import host_packages
from envbuild.solvers.offers import Source
from envbuild.solvers.tools import Tools
from envbuild.solvers.uv_compile import PypiQuestion
from envbuild.value import dataclass, replace

if TYPE_CHECKING:
    from envbuild.derivations import Context

_VERSION = 1
_LONGEST, _DEEPEST = 8000, 60
"""Characters, and brackets, of the longest requirement that is read: parsers of markers recurse."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """What a source says without being run.

    Attributes:
        metadata: METADATA's text where it is static.
        requires: ``[build-system] requires``.
        nothing_more: Whether its backend needs not be asked for more build requirements, once those are known to be
            recent; see ``envbuild.builders.project_metadata.asks_nothing_more``.
    """

    metadata: str | None
    requires: tuple[str, ...]
    nothing_more: tuple[str, ...] | None


class SourceReader:
    """Reads the sources of one solve.

    Args:
        question: The solve.
        tools: Its build requirements.
        context: For effects.
    """

    def __init__(self, question: PypiQuestion, tools: BuildRequirements, context: Context) -> None:
        self._question = question
        self._tools = tools
        self._context = context
        self._options = {item.name: item for item in question.build}
        self._told: dict[str, tuple[tuple[str, str], ...]] = {}

    def options(self, name: str) -> BuildOptions:
        """How a source is built: as the recipe says, and with the version that git's tags say."""
        options = self._options.get(name) or BuildOptions(name=name)
        return replace(options, env=(*options.env, *self._told.get(name, ())))

    def read(self, source: Source) -> Source:
        """The source with its bytes' digest, its version and its metadata.

        Raises:
            InvalidInput: ``wrong-name``, ``wrong-version`` when it is another package than was asked for.
            BuildError: When its backend fails.
            IntegrityError: When its bytes are others than promised, or no archive of harmless members.
            UnreachableError: When it cannot be had.
        """
        try:
            output = self._context.fetch(source.origin, sha256=source.sha256, size=source.size, urls=source.urls)
            source = replace(source, sha256=output.sha256, size=output.size)
            project = self._project(source)
            if project.metadata is not None:
                told, found_on = parse_metadata(project.metadata.encode()), None
            else:
                self._tell_version(source, project)
                told = parse_metadata(self._hooked(source, project, with_metadata=True)["metadata"].encode())
                found_on = f"{self._context.platform} {self._question.target.series}"
        except EnvbuildError as error:
            raise placed(error, source.name, source.title, source.where) from error.__cause__
        return replace(source, metadata=_checked(told, source), version=_normal(told.version), found_on=found_on)

    def tools(self, source: Source) -> Tools:
        """What its build needs, for the target.

        Raises:
            UnsatisfiableError: ``build-requires``. BuildError: when its backend fails.
        """
        host = self.host(source.name)
        try:
            project = self._project(source)
            requires = self._requires(source, project)
            tools = self._tools.locked(source, requires, host)
            if not _tells_all(project, tools):
                more = self._hooked(source, project, with_metadata=source.found_on is not None)["requires"]
                tools = self._tools.locked(source, (*requires, *more), host)
        except EnvbuildError as error:
            raise placed(error, source.name, source.title, source.where) from error.__cause__
        return tools

    def host(self, name: str) -> tuple[CondaPackage, ...]:
        """The conda packages that its build may see.

        Raises:
            InvalidInput: ``unknown-host``.
        """
        return host_packages(self.options(name), self._question.host, self._question.target.platform)

    def _tell_version(self, source: Source, project: Project) -> None:
        """Have a backend told what it would read from git's tags, unless the recipe tells it: there is no history."""
        from envbuild.solvers.source_version import told_version

        declared = self._options.get(source.name) or BuildOptions(name=source.name)
        requires = (*project.requires, *declared.requires)
        self._told[source.name] = told_version(source, requires, declared, self._question, self._context)

    def _requires(self, source: Source, project: Project) -> tuple[str, ...]:
        return (*project.requires, *self.options(source.name).requires)

    def _project(self, source: Source) -> Project:
        identity = {"sha256": source.sha256, "subdirectory": source.subdirectory, "sdist": source.is_sdist}
        file = self._cached("project", identity)
        known = _load(file)
        if known is None:
            known = self._parsed(source)
            _save(file, known)
        more = known["nothing_more"]
        return Project(
            metadata=known["metadata"],
            requires=tuple(known["requires"]),
            nothing_more=None if more is None else tuple(more),
        )

    def _parsed(self, source: Source) -> dict[str, Any]:
        from envbuild.builders.hooks import static_build_requires
        from envbuild.builders.project_metadata import asks_nothing_more, static_metadata
        from envbuild.builders.unpack import unpack_source

        assert source.sha256 is not None
        with self._context.scratch() as folder:
            top = unpack_source(self._context.fetched(source.sha256), source.file, folder, self._context.note)
            project = project_folder(source, top)
            told = static_metadata(project, sdist=source.is_sdist)
            more = asks_nothing_more(project)
            return {
                "metadata": None if told is None else metadata_text(told),
                "requires": list(static_build_requires(project)),
                "nothing_more": None if more is None else list(more),
            }

    def _hooked(self, source: Source, project: Project, *, with_metadata: bool) -> dict[str, Any]:
        """What the hooks say: ``requires``, and ``metadata`` when that is asked for."""
        options = self.options(source.name)
        host = self.host(source.name) if self._tools.is_here else ()
        requires = self._requires(source, project)
        tools = self._tools.locked(source, requires, host, here=True)
        identity: dict[str, Json] = {
            "sha256": source.sha256,
            "subdirectory": source.subdirectory,
            "series": self._question.target.series,
            "platform": self._context.platform,
            "requires": list(tools.digests()),
            "host": [package.sha256 for package in host],
            "settings": list(settings_of(options)),
            "variables": list(variables_of(options)),
            "metadata": with_metadata,
        }
        file = self._cached("hooks", identity)
        if (known := _load(file)) is not None:
            return known
        with self._context.lock(f"hooks-{file.name[:40]}", patient=True):
            known = _load(file)
            if known is None:
                known = self._run(source, requires, tools, host, with_metadata)
                _save(file, known)
            return known

    def _run(
        self,
        source: Source,
        requires: tuple[str, ...],
        tools: Tools,
        host: tuple[CondaPackage, ...],
        with_metadata: bool,
    ) -> dict[str, Any]:
        from envbuild.builders.hooks import build_requires, prepare_metadata

        assert source.sha256 is not None
        options = self.options(source.name)
        settings, variables = settings_of(options), variables_of(options)
        archive = self._context.fetched(source.sha256)
        with self._tools.place(source, archive, tools, host) as (environment, folder):
            more = build_requires(folder, environment, settings, self._context, variables)
            if not with_metadata:
                return {"requires": list(more), "metadata": None}
            full = self._tools.locked(source, (*requires, *more), host, here=True)
            if full.digests() == tools.digests():
                data = prepare_metadata(folder, environment, settings, variables, self._context)
                return {"requires": list(more), "metadata": _text(data)}
        with self._tools.place(source, archive, full, host) as (environment, folder):
            data = prepare_metadata(folder, environment, settings, variables, self._context)
        return {"requires": list(more), "metadata": _text(data)}

    def _cached(self, what: str, identity: Mapping[str, Json]) -> Path:
        name = key(f"source-{what}", _VERSION, dict(identity))
        return self._context.engine_cache("sources") / f"{name}.json"


def settings_of(options: BuildOptions) -> tuple[str, ...]:
    """Config settings as a lock has them."""
    return tuple(sorted(f"{name}={value}" for name, value in options.config_settings))


def variables_of(options: BuildOptions) -> tuple[str, ...]:
    """Declared variables as a lock has them."""
    return tuple(sorted(f"{name}={value}" for name, value in options.env))


def _tells_all(project: Project, tools: Tools) -> bool:
    """Whether the backend is one that never asks for more, in a version of which that is true."""
    from packaging.version import Version

    if project.nothing_more is None:
        return False
    versions = {name: Version(version) for name, version in tools.versions().items()}
    least = [item.partition(">=") for item in project.nothing_more]
    return all(name in versions and versions[name] >= Version(version) for name, _, version in least)


def _checked(told: WheelMetadata, source: Source) -> WheelMetadata:
    from packaging.version import InvalidVersion, Version

    if normalize_pypi_name(told.name) != source.name:
        raise InvalidInput(
            f"the source that {source.name} is to come from is {told.name}",
            reference="wrong-name",
            where=source.where,
            hint=f"write it under the name {normalize_pypi_name(told.name)}",
        )
    try:
        version = Version(told.version)
    except InvalidVersion:
        raise InvalidInput(
            f"{source.name} says that its version is {told.version!r} (PEP 440 knows no such version)",
            reference="wrong-version",
            where=source.where,
        ) from None
    if source.version and version != Version(source.version):
        raise InvalidInput(
            f"{source.file} says that it is {told.name} {told.version}", reference="wrong-version", where=source.where
        )
    return replace(
        told, version=str(version), requires_python=_python(told.requires_python), requires=_needs(told, source)
    )


def _python(text: str | None) -> str | None:
    """A range of Pythons, or None where it is none that PEP 440 knows: old sdists have such."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        return None if text is None else str(SpecifierSet(text))
    except InvalidSpecifier:
        return None


def _needs(told: WheelMetadata, source: Source) -> tuple[str, ...]:
    """The requirements, each of which uv and packaging can read.

    Raises:
        InvalidInput: ``bad-metadata``.
    """
    from packaging.requirements import InvalidRequirement, Requirement

    for text in told.requires:
        try:
            if len(text) > _LONGEST or text.count("(") > _DEEPEST:
                raise InvalidRequirement(f"{len(text)} characters, {text.count('(')} brackets")
            Requirement(text)
        except (InvalidRequirement, RecursionError) as error:
            raise InvalidInput(
                f"{source.title} says that it needs {text[:100]!r}: {' '.join(str(error).split())[:200]}",
                reference="bad-metadata",
                where=source.where,
            ) from None
    return told.requires


def _normal(version: str) -> str:
    from packaging.version import Version

    return str(Version(version))


def placed(error: EnvbuildError, name: str, title: str, where: Where | None) -> EnvbuildError:
    """The error with a source's name in it, at the recipe's line."""
    message = error.message if name in error.message else f"{title}: {error.message}"
    if isinstance(error, BuildError):
        message = f"{title} cannot be locked: {error.message}"
    return type(error)(
        message,
        reference=error.reference,
        where=error.where or where,
        hint=error.hint,
        retryable=error.retryable,
        issues=error.issues,
    )


def _text(data: bytes) -> str:
    """METADATA as a backend wrote it, cut down to what is used.

    Raises:
        InvalidInput: ``bad-metadata``.
    """
    return metadata_text(parse_metadata(data))


def _load(file: Path) -> dict[str, Any] | None:
    try:
        tree = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return None  # a cache may be empty or broken at any time
    return tree if isinstance(tree, dict) and {"metadata", "requires"} <= tree.keys() else None


def _save(file: Path, tree: Mapping[str, Any]) -> None:
    part = file.with_name(f"{file.name}.{os.getpid()}.{id(tree)}.part")
    try:
        part.write_text(json.dumps(tree), encoding="utf-8")
        part.replace(file)
    except OSError:
        with suppress(OSError):
            part.unlink(missing_ok=True)  # a cache that cannot be written only costs time
