"""What builds need, locked: for the target, chosen by uv like all others, and places in which hooks run.

Build requirements are solved for the target, with its cut-off, and the versions of the lock before are preferred. What
an index has as sdists only is built first, with requirements of its own, and so on down, unless ``no-build`` forbids
it; what would be needed to build itself is refused, with the chain. What the build may see of conda is conda's, as in
the environment itself. Equal sets are solved once.

While locking for a platform that this machine is not, hooks run here: with requirements solved for here, which no lock
keeps.

Rules of the file: effects through ``context``; texts of requirements were checked by ``envbuild.builders.hooks``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from envbuild.build_inputs import BuildInputs
from envbuild.builders.environment import BuildEnvironment, make_build_environment
from envbuild.builders.unpack import unpack_source
from envbuild.errors import InvalidInput, UnsatisfiableError
from envbuild.machine.virtual import default_system
from envbuild.package import (
    CondaPackage,
    IndexOrigin,
    LinksOrigin,
    Origin,
    SourcePackage,
    UrlOrigin,
    Wheel,
    normalize_pypi_name,
)
from envbuild.recipe import PypiRequirement
from envbuild.solvers.host_packages import conda_files, locking_python
from envbuild.solvers.offers import Source
from envbuild.solvers.sources import Places
from envbuild.solvers.target import Target
from envbuild.solvers.tools import Tools, needed_by
from envbuild.solvers.uv_compile import NeedsBuildError, PypiQuestion
from envbuild.value import replace

if TYPE_CHECKING:
    from envbuild.derivations import Context

Memo = dict[object, Tools]
"""Sets of build requirements that were solved, shared by a solve and by those for what its builds need."""

SolveTools = Callable[[PypiQuestion, Memo], Tools]
"""Solves a request for a build."""

DEEPEST = 20
"""Builds that one build may lead to, one below the other."""


class BuildRequirements:
    """The build requirements of one solve.

    Args:
        question: The solve.
        places: Where packages are looked for.
        solve: Solves for what builds need.
        context: For effects.
        memo: What was solved already.
    """

    def __init__(self, question: PypiQuestion, places: Places, solve: SolveTools, context: Context, memo: Memo) -> None:
        self._question = question
        self._places = places
        self._solve = solve
        self._context = context
        self._memo = memo

    @property
    def is_here(self) -> bool:
        """Whether the target is this machine's platform."""
        return self._question.target.platform == self._context.platform

    def locked(
        self, source: Source, requires: Sequence[str], host: Sequence[CondaPackage], *, here: bool = False
    ) -> Tools:
        """What a build needs.

        Args:
            source: What is built, for errors and for what the lock before has.
            requires: Requirements, as backends write them.
            host: What the build may see of conda; a wheel of the same project is not taken.
            here: For this machine instead of the target.

        Raises:
            UnsatisfiableError: ``build-requires`` when they cannot be had; ``no-build``, ``build-circle``.
            InvalidInput: ``bad-requirement``.
        """
        building = self._chain(source)
        if not requires:
            return Tools()
        question = self._for_builds(here)
        keep, keep_sources = self._kept(source)
        memo = (tuple(sorted(set(requires))), tuple(host), question.target, keep, keep_sources)
        if memo not in self._memo:
            packages = tuple(_requirement(text, source) for text in sorted(set(requires)))
            request = replace(question.request, pypi=packages, pypi_constraints=(), pypi_overrides=())
            alone = replace(
                question, request=request, keep=keep, keep_sources=keep_sources, conda=tuple(host), building=building
            )
            self._memo[memo] = self._solved(alone, source)
        return self._memo[memo]

    def _chain(self, source: Source) -> tuple[str, ...]:
        """What is being built, from the environment's package down to this one.

        Raises:
            UnsatisfiableError: ``build-circle``; ``build-requires`` when it goes too deep.
        """
        before = self._question.building
        chain = (*before, source.title)
        if source.title in before:
            raise UnsatisfiableError(
                f"{source.title} is needed to build itself: {' -> '.join(chain)}",
                reference="build-circle",
                where=source.where,
                hint=f"put a wheel of {source.name} into find-links",
            )
        if len(chain) > DEEPEST:
            raise UnsatisfiableError(
                f"builds need builds, more than {DEEPEST} deep: {' -> '.join(chain)}",
                reference="build-requires",
                where=source.where,
                hint=f"put a wheel of {source.name} into find-links",
            )
        return chain

    def _for_builds(self, here: bool) -> PypiQuestion:
        """The solve without what only the environment is asked for; for this machine, when hooks are to run."""
        question, platform = self._question, self._context.platform
        common = replace(question, pins=(), pins_sources=(), pins_build=(), pins_build_sources=(), alone=False)
        if not here or question.target.platform == platform:
            return common
        target = Target(platform=platform, python=question.target.python, system=default_system(platform))
        return replace(
            common,
            request=replace(question.request, platform=platform, system=target.system),
            target=target,
            build=tuple(replace(options, host=()) for options in question.build),
            host=(),
            interpreter="host",
            archive=None,
        )

    def _kept(self, source: Source) -> tuple[tuple[Wheel, ...], tuple[SourcePackage, ...]]:
        """What the lock before built it with; else what it built others with."""
        question = self._question
        if (pin := next((item for item in question.pins_sources if item.name == source.name), None)) is not None:
            pinned = needed_by((pin,), BuildInputs(wheels=question.pins_build, sources=question.pins_build_sources))
            return pinned.wheels_of(pin), pinned.sources_of(pin)
        before = (*question.keep_sources, *question.keep_build_sources)
        own = next((item.build_requires for item in before if item.name == source.name), None)
        wheels = {item.name: item for item in question.keep_build if own is None or item.file in own}
        sources = {item.name: item for item in question.keep_build_sources if own is None or item.file in own}
        return tuple(wheels.values()), tuple(sources.values())

    def _solved(self, question: PypiQuestion, source: Source) -> Tools:
        try:
            return self._solve(question, self._memo)
        except UnsatisfiableError as error:
            if error.reference == "build-circle":
                raise
            told = error.message.split("\nwhat the recipe asks:\n", 1)[0]
            hint = error.hint
            if isinstance(error, NeedsBuildError):
                hint = f"put a wheel of one of {', '.join(error.names)} into find-links: no source of it fits either"
            raise UnsatisfiableError(
                f"what the build of {source.title} needs cannot be had: {told}",
                reference="no-build" if error.reference == "no-build" else "build-requires",
                where=source.where,
                hint=hint,
            ) from None

    @contextmanager
    def place(
        self, source: Source, archive: Path, tools: Tools, host: Sequence[CondaPackage]
    ) -> Iterator[tuple[BuildEnvironment, Path]]:
        """A build environment on this machine, and a copy of the source in it.

        Args:
            source: What is unpacked; its subdirectory is the project.
            archive: Its verified file.
            tools: From ``locked``, for here; what is a source among them is built.
            host: Left out for a platform that this machine is not.
        """
        files = [(self._file(wheel), wheel) for wheel in tools.wheels]
        if tools.sources:
            from envbuild.solvers.built_tools import BuiltTools

            files = BuiltTools(self._for_builds(here=True), self._file, self._room, self._context).files(tools)
        with self._room(source, archive, files, host if self.is_here else ()) as found:
            yield found

    @contextmanager
    def _room(
        self,
        source: Source | SourcePackage,
        archive: Path,
        files: Sequence[tuple[Path, Wheel]],
        host: Sequence[CondaPackage],
    ) -> Iterator[tuple[BuildEnvironment, Path]]:
        context = self._context
        python = locking_python(source, self._question, context)
        conda = conda_files(host, context)
        with context.scratch() as folder:
            environment = make_build_environment(folder, python=python, wheels=files, conda=conda, context=context)
            inside = folder / "source"
            inside.mkdir()
            yield environment, project_folder(source, unpack_source(archive, source.file, inside, context.note))

    def _file(self, package: Wheel | SourcePackage) -> Path:
        output = self._context.fetch(self._origin(package), sha256=package.sha256, size=package.size)
        return self._context.fetched(output.sha256)

    def _origin(self, package: Wheel | SourcePackage) -> Origin:
        if package.url is not None:
            return UrlOrigin(url=package.url, file=package.file)
        if package.find_links is not None:
            return LinksOrigin(location=package.find_links, file=package.file)
        assert package.index is not None
        return IndexOrigin(index=self._places.index_address(package.index), project=package.name, file=package.file)


def project_folder(source: Source | SourcePackage, top: Path) -> Path:
    """The project in an unpacked source.

    Raises:
        InvalidInput: ``no-subdirectory``.
    """
    if source.subdirectory is None:
        return top
    project = top / source.subdirectory
    if not project.is_dir() or not project.resolve().is_relative_to(top.resolve()):
        raise InvalidInput(
            f"{source.name} has no folder {source.subdirectory}",
            reference="no-subdirectory",
            where=source.where if isinstance(source, Source) else None,
            hint="check `subdirectory:`; it is written from the top of the repository or archive",
        )
    return project


def _requirement(text: str, source: Source) -> PypiRequirement:
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        parsed = Requirement(text)
    except (InvalidRequirement, RecursionError):
        parsed = None
    if parsed is None or parsed.url is not None:
        raise InvalidInput(
            f"build: {source.name}: {text[:100]!r} is not a name with versions",
            reference="bad-requirement",
            where=source.where,
            hint="write for example requires: ['cython>=3']",
        )
    return PypiRequirement(
        name=normalize_pypi_name(parsed.name),
        version=",".join(sorted(str(item) for item in parsed.specifier)),
        extras=tuple(sorted(normalize_pypi_name(extra) for extra in parsed.extras)),
        markers=str(parsed.marker) if parsed.marker is not None else None,
        where=source.where,
    )
