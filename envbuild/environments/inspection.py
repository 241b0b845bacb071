"""Looking into locked environments: what is in them, where they are, and who asked for what.

Rules of the file: reads the lock beside a recipe as it is; solves, fetches and writes nothing.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from envbuild.environments.inventory import prefixes_of
from envbuild.environments.realized import environment_for
from envbuild.errors import InvalidInput, UnsatisfiableError, UsageError, Where
from envbuild.lock import Lock, LockedEnvironment
from envbuild.locks.dependencies import Branch, Node, branches, chains, dependency_table
from envbuild.locks.locking import frozen_lock
from envbuild.machine.virtual import current_platform
from envbuild.package import PLATFORMS, Platform
from envbuild.projects.project import shown_path
from envbuild.request import Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A locked environment and where it is present.

    Attributes:
        prefixes: Folders on this machine that hold it.
        fits: Whether the lock fits the recipe.
    """

    recipe: Path
    lock: Lock
    environment: LockedEnvironment
    prefixes: tuple[Path, ...]
    fits: bool


def show(recipe: Path, request: Request, platform: str | None, home: Path) -> Shown:
    """A locked environment as it is, and where it is present.

    Args:
        recipe: The recipe's file.
        request: What it asks for now.
        platform: Which one; this machine's by default, else the first.
        home: ``ENVBUILD_HOME``.
    """
    lock, environment = _environment(recipe, platform)
    return Shown(
        recipe=recipe,
        lock=lock,
        environment=environment,
        prefixes=prefixes_of(home, environment.id),
        fits=lock.request == request.id,
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


def why(recipe: Path, package: str, platform: str | None) -> tuple[tuple[Node, ...], ...]:
    """The chains from what the recipe asked for to a package.

    Raises:
        UsageError: ``no-package`` when the environment does not hold it.
    """
    _, environment = _environment(recipe, platform)
    table = dependency_table(environment)
    _known(package, table, environment)
    return tuple(tuple(table[name] for name in chain) for chain in chains(table, package))


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
