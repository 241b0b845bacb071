"""Looking into locked environments: what is in them, where they are, and who asked for what.

Rules of the file: reads the lock beside a recipe as it is; solves, fetches and writes nothing.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path

from envbuild.conda_names import Counted, counted_as
from envbuild.environments.inventory import prefixes_of
from envbuild.environments.realized import environment_for
from envbuild.environments.startup import startup_files
from envbuild.errors import InvalidInput, UnsatisfiableError, UsageError, Where
from envbuild.lock import Lock, LockedEnvironment
from envbuild.locks.dependencies import Branch, Node, branches, chains, dependency_table
from envbuild.locks.locking import frozen_lock
from envbuild.machine.virtual import current_platform
from envbuild.package import PLATFORMS, Platform, normalize_pypi_name
from envbuild.projects.project import shown_path
from envbuild.request import Request
from envbuild.value import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A locked environment and where it is present.

    Attributes:
        prefixes: Folders on this machine that hold it.
        fits: Whether the lock fits the recipe.
        startup: Files that run code at each start of its Python, as far as it is present.
    """

    recipe: Path
    lock: Lock
    environment: LockedEnvironment
    prefixes: tuple[Path, ...]
    fits: bool
    startup: tuple[str, ...] = ()


def show(recipe: Path, request: Request, platform: str | None, home: Path) -> Shown:
    """A locked environment as it is, and where it is present.

    Args:
        recipe: The recipe's file.
        request: What it asks for now.
        platform: Which one; this machine's by default, else the first.
        home: ``ENVBUILD_HOME``.
    """
    lock, environment = _environment(recipe, platform)
    prefixes = prefixes_of(home, environment.id)
    return Shown(
        recipe=recipe,
        lock=lock,
        environment=environment,
        prefixes=prefixes,
        fits=lock.request == request.id,
        startup=startup_files(prefixes[0]) if prefixes else (),
    )


def tree(
    recipe: Path, packages: Sequence[str], platform: str | None, *, invert: bool, depth: int | None
) -> list[Branch]:
    """The lines of a dependency tree, from what the recipe asked for, or from some packages.

    Raises:
        UsageError: ``no-package`` for a name that the environment does not hold.
    """
    _, environment = _environment(recipe, platform)
    table = dependency_table(environment)
    for name in packages:
        _known(name, table, environment)
    asked = tuple(name for name, node in sorted(table.items()) if node.asked)
    leaves = tuple(name for name, node in sorted(table.items()) if not node.requires)
    return branches(table, tuple(packages) or (leaves if invert else asked), inverted=invert, depth=depth)


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """Why a package is there.

    Attributes:
        package: Its name in the environment: conda's, where a PyPI name was asked about that conda provides.
        chains: From what the recipe asked for to it, the shortest first.
        counts: The PyPI projects that it counts as, with on whose word; only where conda has the Python.
        behind_extra: Whether it is a wheel that only an extra of one of conda's packages can have brought.
    """

    package: str
    chains: tuple[tuple[Node, ...], ...]
    counts: tuple[Counted, ...] = ()
    behind_extra: bool = False


def why(recipe: Path, package: str, request: Request, platform: str | None) -> Why:
    """The chains from what the recipe asked for to a package, and what it counts as on PyPI.

    Args:
        recipe: The recipe's file.
        package: A name of the environment, or of a PyPI project that conda provides.
        request: What the recipe asks for now.
        platform: Which one; this machine's by default, else the first.

    Raises:
        UsageError: ``no-package`` when the environment does not hold it.
    """
    _, environment = _environment(recipe, platform)
    table = dependency_table(environment)
    counted = _counted(environment, request)
    if package not in table:
        project = normalize_pypi_name(package)
        package = next((item.package for item in counted if item.project == project), package)
    _known(package, table, environment)
    found = tuple(tuple(table[name] for name in chain) for chain in chains(table, package))
    return Why(
        package=package,
        chains=found,
        counts=tuple(item for item in counted if item.package == package),
        behind_extra=not found and table[package].kind == "pypi" and bool(counted),
    )


def _counted(environment: LockedEnvironment, request: Request) -> tuple[Counted, ...]:
    """What conda provides of PyPI; nothing where the Python is not conda's and so imports none of it."""
    if environment.interpreter != "conda":
        return ()
    provides = next((part.provides for part in request.platforms if part.platform == environment.platform), ())
    return tuple(item for package in environment.conda for item in counted_as(package, provides))


def _environment(recipe: Path, platform: str | None) -> tuple[Lock, LockedEnvironment]:
    if not recipe.is_file():
        raise InvalidInput(
            f"there is no recipe {shown_path(recipe)}",
            reference="missing-file",
            where=Where(file=shown_path(recipe)),
            hint="check the path, or `envbuild init`",
        )
    lock = frozen_lock(recipe)
    if platform is not None and platform not in PLATFORMS:
        raise UsageError(f"{platform!r} is no platform: {', '.join(PLATFORMS)}", reference="unknown-platform")
    chosen = Platform(platform) if platform is not None else current_platform()
    try:
        return lock, environment_for(lock, chosen, recipe.stem)
    except UnsatisfiableError:
        if platform is not None or not lock.platforms:
            raise
        return lock, lock.platforms[0]


def _known(name: str, table: Mapping[str, Node], environment: LockedEnvironment) -> None:
    if name not in table:
        close = difflib.get_close_matches(name, table, n=1)
        raise UsageError(
            f"{name} is not among the {len(table)} packages for {environment.platform}",
            reference="no-package",
            hint=f"did you mean {close[0]}?" if close else None,
        )
