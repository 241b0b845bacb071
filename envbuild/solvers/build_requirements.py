"""What builds need, locked: wheels for the target, chosen by uv like all others, and places in which hooks run.

Build requirements are wheels: one that exists as an sdist only would have to be built first, with requirements of its
own, and so on down to a compiler; that is refused with the way out. They are solved for the target, with its cut-off,
and the versions of the lock before are preferred. What the build may see of conda is conda's, as in the environment
itself. Equal sets are solved once.

While locking for a platform that this machine is not, hooks run here: with requirements solved for here, which no lock
keeps.

Rules of the file: effects through ``context``; texts of requirements were checked by ``envbuild.builders.hooks``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from envbuild.builders.environment import BuildEnvironment, make_build_environment
from envbuild.builders.unpack import unpack_source
from envbuild.errors import InvalidInput, UnsatisfiableError
from envbuild.machine.virtual import default_system
from envbuild.package import CondaPackage, IndexOrigin, LinksOrigin, Origin, UrlOrigin, Wheel, normalize_pypi_name
from envbuild.recipe import PypiRequirement
from envbuild.solvers.host_packages import conda_files, locking_python
from envbuild.solvers.offers import Source
from envbuild.solvers.sources import Places
from envbuild.solvers.target import Target
from envbuild.solvers.uv_compile import NeedsBuildError, PypiQuestion
from envbuild.value import replace

if TYPE_CHECKING:
    from envbuild.derivations import Context

SolveWheels = Callable[[PypiQuestion], tuple[Wheel, ...]]
"""Solves a request that may take wheels alone."""


class BuildRequirements:
    """The build requirements of one solve.

    Args:
        question: The solve.
        places: Where wheels are looked for.
        solve: Solves for wheels.
        context: For effects.
    """

    def __init__(self, question: PypiQuestion, places: Places, solve: SolveWheels, context: Context) -> None:
        self._question = question
        self._places = places
        self._solve = solve
        self._context = context
        self._memo: dict[object, tuple[Wheel, ...]] = {}

    @property
    def is_here(self) -> bool:
        """Whether the target is this machine's platform."""
        return self._question.target.platform == self._context.platform

    def locked(
        self, source: Source, requires: Sequence[str], host: Sequence[CondaPackage], *, here: bool = False
    ) -> tuple[Wheel, ...]:
        """The wheels that a build needs, sorted by file name.

        Args:
            source: What is built, for errors and for what the lock before has.
            requires: Requirements, as backends write them.
            host: What the build may see of conda; a wheel of the same project is not taken.
            here: For this machine instead of the target.

        Raises:
            UnsatisfiableError: ``build-requires`` when they cannot be had as wheels.
            InvalidInput: ``bad-requirement``.
        """
        if not requires:
            return ()
        target = self._target(here)
        keep = self._kept(source)
        memo = (tuple(sorted(set(requires))), tuple(host), target, keep)
        if memo not in self._memo:
            packages = tuple(_requirement(text, source) for text in sorted(set(requires)))
            request = replace(
                self._question.request,
                platform=target.platform,
                system=target.system,
                pypi=packages,
                pypi_constraints=(),
                pypi_overrides=(),
            )
            alone = PypiQuestion(
                request=request, target=target, cut_off=self._question.cut_off, keep=keep, conda=tuple(host)
            )
            self._memo[memo] = self._solved(alone, source)
        return self._memo[memo]

    def _target(self, here: bool) -> Target:
        target, platform = self._question.target, self._context.platform
        if not here or target.platform == platform:
            return target
        return Target(platform=platform, python=target.python, system=default_system(platform))

    def _kept(self, source: Source) -> tuple[Wheel, ...]:
        """What the lock before built it with; else what it built others with."""
        own = next((item.build_requires for item in self._question.keep_sources if item.name == source.name), None)
        several = [item for item in self._question.keep_build if own is None or item.file in own]
        return tuple({item.name: item for item in several}.values())

    def _solved(self, question: PypiQuestion, source: Source) -> tuple[Wheel, ...]:
        try:
            wheels = self._solve(question)
        except UnsatisfiableError as error:
            told = error.message.split("\nwhat the recipe asks:\n", 1)[0]
            hint = error.hint
            if isinstance(error, NeedsBuildError):
                hint = f"what builds need must be wheels: put one of {', '.join(error.names)} into find-links"
            raise UnsatisfiableError(
                f"what the build of {source.title} needs cannot be had: {told}",
                reference="build-requires",
                where=source.where,
                hint=hint,
            ) from None
        return tuple(sorted((replace(wheel, asked=False) for wheel in wheels), key=lambda wheel: wheel.file))

    @contextmanager
    def place(
        self, source: Source, archive: Path, wheels: Sequence[Wheel], host: Sequence[CondaPackage]
    ) -> Iterator[tuple[BuildEnvironment, Path]]:
        """A build environment on this machine, and a copy of the source in it.

        Args:
            source: What is unpacked; its subdirectory is the project.
            archive: Its verified file.
            wheels: From ``locked``, for here.
            host: Left out for a platform that this machine is not.
        """
        context = self._context
        python = locking_python(source, self._question, context)
        files = [(self._file(wheel), wheel) for wheel in wheels]
        conda = conda_files(host, context) if self.is_here else ()
        with context.scratch() as folder:
            environment = make_build_environment(folder, python=python, wheels=files, conda=conda, context=context)
            inside = folder / "source"
            inside.mkdir()
            yield environment, project_folder(source, unpack_source(archive, source.file, inside))

    def _file(self, wheel: Wheel) -> Path:
        output = self._context.fetch(self._origin(wheel), sha256=wheel.sha256, size=wheel.size)
        return self._context.fetched(output.sha256)

    def _origin(self, wheel: Wheel) -> Origin:
        if wheel.url is not None:
            return UrlOrigin(url=wheel.url, file=wheel.file)
        if wheel.find_links is not None:
            return LinksOrigin(location=wheel.find_links, file=wheel.file)
        assert wheel.index is not None
        return IndexOrigin(index=self._places.index_address(wheel.index), project=wheel.name, file=wheel.file)


def project_folder(source: Source, top: Path) -> Path:
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
            where=source.where,
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
