"""What a platform and a Python take of a universal lock: markers that hold, and the wheel that fits best.

Theory: ``uv.lock`` and ``pylock.toml`` hold the packages of many machines at once. What one platform takes of them
follows from PEP 508's markers and from the tags of wheels, both computed for the target and never for this machine.
Where no wheel fits the platform's default floor, but one would fit a newer glibc or macOS, that one is taken, and the
floor that it needs is part of the answer: the lock was made for such machines.

Rules of the file: pure; ``packaging`` is imported late.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar

from envbuild.errors import InvalidInput, UnsatisfiableError, UsageError, Where
from envbuild.formats.foreign_lock import ForeignConda, ForeignEnvironment, ForeignFile, ForeignPypi, System, Wanted
from envbuild.package import Platform
from envbuild.pattern import pattern
from envbuild.solvers.target import UV_MANYLINUX, Target, marker_environment, wheel_ranks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from packaging.tags import Tag

Entry = TypeVar("Entry")

NO_PYTHON = "say which Python of the machine they are for: --python-version 3.12"
_CONFLICT = pattern(r"extra\s*(==|!=)\s*(['\"])((?:extra|group|project)-\d+-[^'\"]*)\2")
_MARKER_LIMIT = 20_000
_DARWINS = tuple((major, 0) for major in range(11, 30))
_FLOOR = pattern(r"^(__glibc|__osx|__cuda)\s+[^<]*?>=\s*([0-9]+(?:\.[0-9]+)*)")


class TargetPython:
    """One platform and one Python, as markers and wheels see them.

    Args:
        platform: The platform.
        python: ``X.Y``, or a full version.
        system: Virtual packages that are assumed.
    """

    def __init__(self, platform: Platform, python: str, system: System) -> None:
        self.target = Target(platform=platform, python=python, system=system)
        self._environment = marker_environment(self.target)
        self.raised: dict[str, str] = {}

    def holds(
        self, marker: str | None, where: Where, *, extras: Collection[str] = (), conflicts: Collection[str] = ()
    ) -> bool:
        """Whether a marker holds.

        Args:
            marker: PEP 508's words, with PEP 751's ``extras`` and ``dependency_groups``; None always holds.
            where: The file, for errors.
            extras: Extras that are wanted: ``extra == 'x'`` holds for each.
            conflicts: uv's names of chosen extras and groups (``extra-3-foo-bar``).

        Raises:
            InvalidInput: ``bad-marker``.
        """
        if not marker:
            return True
        text = _CONFLICT.sub(lambda found: _constant((found[3] in conflicts) == (found[1] == "==")), marker)
        return any(_evaluate(text, tuple(self._environment.items()), extra, where) for extra in ("", *extras))

    def best(self, files: Sequence[ForeignFile], name: str, where: Where | None) -> ForeignFile | None:
        """The wheel that fits best; None when there is no wheel at all.

        Raises:
            UnsatisfiableError: ``no-wheel`` when none fits the platform, whatever its floor.
        """
        wheels = [item for item in files if item.file.endswith(".whl")]
        if not wheels:
            return None
        for target in self._floors():
            ranks = _ranks(target)
            ranked = [
                (rank, index) for index, item in enumerate(wheels) if (rank := _rank(item.file, ranks)) is not None
            ]
            if ranked:
                self._raise_to(target)
                return wheels[min(ranked)[1]]
        offered = ", ".join(sorted(item.file for item in wheels)[:6])
        raise UnsatisfiableError(
            f"{name} has no wheel for {self.target.platform} and Python {self.target.series}; there are: {offered}",
            reference="no-wheel",
            where=where,
            hint="import it for another Python (--python-version X.Y) or platform (--platform NAME)",
        )

    def fits(self, file: str) -> bool:
        """Whether a wheel fits, raising the floor where it must."""
        return any(self._fits(file, target) for target in self._floors())

    def _fits(self, file: str, target: Target) -> bool:
        if _rank(file, _ranks(target)) is None:
            return False
        self._raise_to(target)
        return True

    def _floors(self) -> list[Target]:
        """The target, and the same with newer and newer floors."""
        name, several = "__glibc", [(2, minor) for minor in UV_MANYLINUX]
        if self.target.platform.startswith("osx"):
            name, several = "__osx", list(_DARWINS)
        elif not self.target.platform.startswith("linux"):
            return [self.target]
        floor = self.target.floor(name, (0, 0))
        return [self.target, *(self._with(name, item) for item in several if item > floor)]

    def _with(self, name: str, floor: tuple[int, int]) -> Target:
        system = {**dict(self.target.system), name: f"{floor[0]}.{floor[1]}"}
        return Target(platform=self.target.platform, python=self.target.python, system=tuple(sorted(system.items())))

    def _raise_to(self, target: Target) -> None:
        """Keep the highest floor that was needed."""
        was = dict(self.target.system)
        for name, version in target.system:
            if was.get(name) != version:
                self.raised[name] = version
                self.target = target


def _constant(value: bool) -> str:
    return "python_version >= '0'" if value else "python_version < '0'"


@lru_cache(maxsize=20_000)
def _evaluate(text: str, environment: tuple[tuple[str, str], ...], extra: str, where: Where) -> bool:
    from packaging.markers import InvalidMarker, Marker, UndefinedComparison, UndefinedEnvironmentName

    if len(text) > _MARKER_LIMIT:
        raise InvalidInput("a marker is absurdly long", reference="bad-marker", where=where)
    try:
        return Marker(text).evaluate({**dict(environment), "extra": extra})
    except (InvalidMarker, UndefinedComparison, UndefinedEnvironmentName, RecursionError, ValueError) as error:
        raise InvalidInput(
            f"{text[:80]!r} is no marker: {str(error).splitlines()[0][:100]}", reference="bad-marker", where=where
        ) from None


@lru_cache(maxsize=64)
def _ranks(target: Target) -> Mapping[Tag, int]:
    return wheel_ranks(target)


def _rank(file: str, ranks: Mapping[Tag, int]) -> int | None:
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename

    try:
        _, _, _, tags = parse_wheel_filename(file)
    except (InvalidWheelFilename, ValueError):
        return None
    return min((ranks[tag] for tag in tags if tag in ranks), default=None)


def choose_python(constraint: str | None, wanted: Wanted, where: Where) -> str:
    """The series that a universal lock is evaluated for.

    It is the one that was asked for, else the newest of this machine that the file allows, else the oldest that it
    allows.

    Raises:
        UsageError: ``bad-python`` when the file does not allow what was asked for, or nothing says which.
        InvalidInput: ``bad-version`` when the file's constraint is none.
    """
    from envbuild.solvers.python_choice import lowest_patch, series_of

    try:
        allowed = series_of(constraint)
    except InvalidInput as error:
        raise InvalidInput(error.message, reference=error.reference, where=where) from None
    if wanted.python is not None:
        if lowest_patch(constraint, wanted.python) is None:
            raise UsageError(
                f"the file is for Python {constraint}, not for {wanted.python}", reference="bad-python", where=where
            )
        return wanted.python
    here = next((item for item in wanted.pythons if item in allowed), None)
    if here is not None:
        return here
    if constraint is None:
        raise UsageError(
            "the file does not say for which Python it is, and there is none on this machine",
            reference="bad-python",
            where=where,
            hint="say it: --python-version 3.12",
        )
    return allowed[-1]


def full_python(constraint: str | None, series: str) -> str:
    """The oldest version of a series that a constraint allows: what markers may rely upon."""
    from envbuild.solvers.python_choice import lowest_patch

    return lowest_patch(constraint, series) or f"{series}.0"


def conda_floors(packages: Sequence[ForeignConda], system: System) -> System:
    """The floors that conda packages need beyond those that are assumed anyway."""
    assumed = dict(system)
    needed: dict[str, str] = {}
    for package in packages:
        for spec in package.depends or ():
            found = _FLOOR.match(spec)
            if found and _numbers(found[2]) > _numbers(needed.get(found[1], assumed.get(found[1], "0"))):
                needed[found[1]] = found[2]
    return tuple(sorted(needed.items()))


def merged_floors(*several: System) -> System:
    """The highest of each floor."""
    found: dict[str, str] = {}
    for system in several:
        for name, version in system:
            if _numbers(version) > _numbers(found.get(name, "0")):
                found[name] = version
    return tuple(sorted(found.items()))


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


def conda_python(packages: Sequence[ForeignConda]) -> str | None:
    """``X.Y`` of the ``python`` among conda packages.

    Raises:
        InvalidInput: ``bad-version`` for one that is of no series.
    """
    package = next((item for item in packages if item.name == "python"), None)
    if package is None:
        return None
    found = re.match(r"([0-9]{1,3}\.[0-9]{1,3})(?![0-9])", package.version)
    if found is None:
        said = f"{package.version[:40]!r} is no version of Python"
        raise InvalidInput(said, reference="bad-version", where=package.where)
    return found[1]


def check_twins(environment: ForeignEnvironment, where: Where) -> ForeignEnvironment:
    """The environment, when each name stands once in it.

    Raises:
        InvalidInput: ``two-packages``.
    """
    for kind in (environment.conda, environment.pypi):
        seen: dict[str, ForeignConda] = {}
        for package in kind:
            other = seen.setdefault(package.name, package)  # type: ignore[arg-type]
            if other is not package:
                raise InvalidInput(
                    f"{environment.platform}: {package.name[:60]} stands twice, "
                    f"as {str(other.version)[:40]} and {str(package.version)[:40]}",
                    reference="two-packages",
                    where=where,
                )
    return environment


def environment_of_both(
    platform: Platform,
    conda: Sequence[ForeignConda],
    pypi: Sequence[Entry],
    read: Callable[[Entry, TargetPython], ForeignPypi],
    wanted: Wanted,
    where: Where,
    told: str,
) -> ForeignEnvironment:
    """One platform of a lock that holds conda's packages and, for the Python among them, PyPI's.

    Args:
        platform: The platform.
        conda: Its conda packages.
        pypi: Its PyPI packages, not read yet: which wheel is meant depends on the Python.
        read: Reads one of them.
        wanted: What is wanted of the file; also the Python where conda brings none.
        where: The file, for errors.
        told: What the file has, for the error when nobody knows the Python: ``the file has pip packages``.

    Raises:
        InvalidInput: ``no-python``; whatever ``read`` and ``check_twins`` refuse.
    """
    packages = tuple(sorted(conda, key=lambda item: item.name))
    own = conda_python(packages)
    python = own or wanted.python
    if pypi and python is None:
        raise InvalidInput(
            f"{platform}: {told}, and no python for them", reference="no-python", where=where, hint=NO_PYTHON
        )
    system = wanted.systems[platform]
    target = TargetPython(platform, python or "3.0", system)
    wheels = tuple(sorted((read(item, target) for item in pypi), key=lambda item: item.name))
    found = ForeignEnvironment(
        platform=platform,
        python=python if pypi and own is None else None,
        conda=packages,
        pypi=wheels,
        system=merged_floors(conda_floors(packages, system), tuple(target.raised.items())),
    )
    return check_twins(found, where)
