"""Whether a lock holds what its recipe asks for: the packages, in versions that the recipe allows.

Theory: a solve gives nothing else, so a lock that fits by its ids and holds another version was written by hand, and
what its channel lists is no help: an old release with a known hole is genuine. Only what a recipe, its bases and their
constraints say is held against the lock; what packages want of each other is in the lock itself.

An override stands above all else. What has markers may be absent, and what conda has may stand for a wheel.

Rules of the file: opens nothing; a range that cannot be compared is passed over, for whoever locks is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from envbuild.errors import EnvbuildError
from envbuild.lock import LockedEnvironment
from envbuild.package import CondaPackage, SourcePackage, Wheel
from envbuild.recipe import CondaRequirement, PypiRequirement
from envbuild.request import Request

Package = CondaPackage | Wheel | SourcePackage
Fits = Callable[[str], bool]


class AskedVersions:
    """Ranges that were read once, for many locks."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], Fits | None] = {}

    def unlike(self, environment: LockedEnvironment, request: Request) -> Iterator[tuple[Package | None, str]]:
        """What one platform of a lock that fits holds otherwise than it was asked for, with words on it.

        Args:
            environment: The platform.
            request: What is asked for.

        Yields:
            The package, or None for one that is not there, and what is wrong.
        """
        part = next((item for item in request.platforms if item.platform == environment.platform), None)
        if part is None:
            return
        conda = {item.name: item for item in environment.conda}
        pypi: dict[str, Package] = {item.name: item for item in environment.wheels}
        pypi |= {item.name: item for item in environment.sources}
        for wanted in (*part.conda, *part.conda_constraints):
            package = conda.get(wanted.name)
            if package is not None:
                yield from self._held("conda", wanted, package)
        for wanted in part.conda:
            if wanted.name not in conda:
                yield None, f"{wanted.name} is asked for, and {environment.platform} is locked without it"
        overridden = {item.name for item in part.pypi_overrides}
        own = [item for item in (*part.pypi, *part.pypi_constraints) if item.name not in overridden]
        for requirement in (*own, *part.pypi_overrides):
            found = pypi.get(requirement.name)
            if found is not None and requirement.markers is None:
                yield from self._held("pypi", requirement, found)
        for requirement in part.pypi:
            if requirement.name not in pypi and requirement.markers is None and not conda:
                yield None, f"{requirement.name} is asked for, and {environment.platform} is locked without it"
        python = conda.get("python")
        if python is not None and part.python and self._fits("conda", part.python, python.version) is False:
            yield python, f"Python {python.version} is locked, and {part.python} asked for"

    def _held(
        self, kind: str, wanted: CondaRequirement | PypiRequirement, package: Package
    ) -> Iterator[tuple[Package, str]]:
        if wanted.version and self._fits(kind, wanted.version, package.version) is False:
            yield package, f"{package.name} {package.version} is locked, and {wanted.version} asked for"

    def _fits(self, kind: str, constraint: str, version: str) -> bool | None:
        key = (kind, constraint)
        if key not in self._known:
            self._known[key] = _conda(constraint) if kind == "conda" else _pypi(constraint)
        fits = self._known[key]
        return None if fits is None else fits(version)


def _conda(constraint: str) -> Fits | None:
    from envbuild.solvers.conda_versions import matcher

    try:
        return matcher(constraint)
    except EnvbuildError:
        return None


def _pypi(constraint: str) -> Fits | None:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet
    from packaging.version import InvalidVersion

    try:
        allowed = SpecifierSet(constraint, prereleases=True)
    except InvalidSpecifier:
        return None

    def fits(version: str) -> bool:
        try:
            return allowed.contains(version)
        except InvalidVersion:
            return True

    return fits
