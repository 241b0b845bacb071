"""The conda packages of the environment that a build may see, and the Python that runs a backend while locking.

``build: {NAME: {host: [libxml2]}}`` names packages; what they need comes along, for a library cannot be linked without
those that it is linked to. Not the Python: any of a series and ABI builds the same wheel, so its patches are none of a
build's business.

Rules of the file: what has to be fetched is fetched through ``context``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from envbuild.builders.environment import BuildPython
from envbuild.errors import InvalidInput, UnsatisfiableError
from envbuild.locks.dependencies import conda_closure
from envbuild.package import CondaPackage, SourcePackage
from envbuild.recipe import BuildOptions
from envbuild.solvers.offers import Source
from envbuild.solvers.uv_compile import PypiQuestion

if TYPE_CHECKING:
    from envbuild.derivations import Context

_PYTHON = frozenset({"python", "python_abi", "python-gil", "python-freethreading"})


def host_packages(options: BuildOptions, packages: Sequence[CondaPackage], platform: str) -> tuple[CondaPackage, ...]:
    """The conda packages that a build may see, sorted by name.

    Args:
        options: Of one source.
        packages: The environment's.
        platform: For errors.

    Raises:
        InvalidInput: ``unknown-host`` for a name that the environment does not hold.
    """
    known = {package.name for package in packages}
    unknown = sorted({name.lower() for name in options.host} - known)
    if unknown:
        there = "it has no conda packages" if not known else f"it is not among the conda packages of {platform}"
        raise InvalidInput(
            f"build: {options.name}: host names {unknown[0]}, and {there}",
            reference="unknown-host",
            where=options.where,
            hint=f"add {unknown[0]} under `conda: packages:`, or take it out of `host`",
        )
    without = [package for package in packages if package.name not in _PYTHON]
    names = conda_closure(without, [name.lower() for name in options.host])
    return tuple(sorted((item for item in without if item.name in names), key=lambda item: item.name))


def conda_files(packages: Sequence[CondaPackage], context: Context) -> tuple[tuple[Path, CondaPackage], ...]:
    """The verified files of conda packages, fetched where they are not here yet."""
    found = []
    for package in packages:
        output = context.fetch(package.origin, sha256=package.sha256, size=package.size)
        found.append((context.fetched(output.sha256), package))
    return tuple(found)


def locking_python(source: Source | SourcePackage, question: PypiQuestion, context: Context) -> BuildPython:
    """The Python that runs a source's backend while it is locked: the one that was just locked.

    For a platform that this machine is not it is a Python of this machine, of the same series.

    Raises:
        UnsatisfiableError: ``no-python`` when this machine has none of that series.
    """
    series = question.target.series
    here = question.target.platform == context.platform
    if here and question.interpreter == "conda":
        names = conda_closure(question.host, ("python",))
        needed = [package for package in question.host if package.name in names]
        return BuildPython(series=series, conda=conda_files(needed, context))
    if here and question.archive is not None:
        output = context.fetch(question.archive.origin, sha256=question.archive.sha256, size=question.archive.size)
        return BuildPython(series=series, archive=(context.fetched(output.sha256), question.archive))
    try:
        return BuildPython(series=series, host=context.host_python(series).path)
    except UnsatisfiableError as error:
        title = f"{source.name} {source.version}".strip()
        there = "" if here else f" for {question.target.platform}, which this machine is not,"
        raise UnsatisfiableError(
            f"locking {title}{there} runs its build backend under Python {series}: {error.message}",
            reference="no-python",
            where=source.where if isinstance(source, Source) else None,
            hint=error.hint,
        ) from None
