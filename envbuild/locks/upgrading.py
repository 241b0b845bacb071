"""What ``--upgrade-package`` sets free: an old lock without it, and a request that says to which version it goes.

Rules of the file: pure; values in, values out.
"""

from __future__ import annotations

from envbuild.lock import Lock, LockedEnvironment
from envbuild.package import normalize_pypi_name
from envbuild.recipe import CondaRequirement, PypiRequirement
from envbuild.request import PlatformRequest, Request
from envbuild.value import replace


def kept(old: Lock | None, packages: tuple[str, ...]) -> Lock | None:
    """The old lock without the packages that may be upgraded; they are as of ``free_names``."""
    free = free_names(packages)
    if old is None or not free:
        return old
    return replace(old, platforms=tuple(_without(item, free) for item in old.platforms))


def free_names(packages: tuple[str, ...]) -> set[str]:
    """The names of ``NAME`` and ``NAME==VERSION``, normalized: what may be upgraded one by one."""
    return {normalize_pypi_name(text.partition("==")[0].strip()) for text in packages}


def _without(environment: LockedEnvironment, names: set[str]) -> LockedEnvironment:
    return replace(
        environment,
        conda=tuple(item for item in environment.conda if normalize_pypi_name(item.name) not in names),
        wheels=tuple(item for item in environment.wheels if item.name not in names),
        sources=tuple(item for item in environment.sources if item.name not in names),
        build=tuple(item for item in environment.build if item.name not in names),
        build_sources=tuple(item for item in environment.build_sources if item.name not in names),
    )


def upgraded(request: Request, packages: tuple[str, ...]) -> Request:
    """The request with ``NAME==VERSION`` of ``--upgrade-package`` as constraints for this one solve."""
    exact = [(name.strip(), version.strip()) for name, sign, version in (p.partition("==") for p in packages) if sign]
    if not exact:
        return request
    return replace(request, platforms=tuple(_constrained(part, exact) for part in request.platforms))


def _constrained(part: PlatformRequest, exact: list[tuple[str, str]]) -> PlatformRequest:
    conda = tuple(CondaRequirement(name=name.lower(), version=f"=={version}") for name, version in exact)
    pypi = tuple(PypiRequirement(name=normalize_pypi_name(name), version=f"=={version}") for name, version in exact)
    return replace(
        part,
        conda_constraints=(*part.conda_constraints, *conda),
        pypi_constraints=(*part.pypi_constraints, *pypi),
    )
