"""Looking into locked environments: what is in them, where they are, and who asked for what.

Rules of the file: reads what ``source_verbs`` found, as it is; solves, fetches and writes nothing.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path

from envbuild.conda_names import Counted, counted_as
from envbuild.environments.inventory import prefixes_of
from envbuild.environments.source_verbs import Looked
from envbuild.environments.startup import startup_files
from envbuild.errors import UsageError
from envbuild.lock import Lock, LockedEnvironment
from envbuild.locks.dependencies import Branch, Node, branches, chains, dependency_table
from envbuild.package import normalize_pypi_name
from envbuild.request import Request
from envbuild.value import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A locked environment and where it is present.

    Attributes:
        name: What people call it.
        recipe: The recipe's file; None where no recipe was named.
        prefixes: Folders on this machine that hold it.
        fits: Whether the lock fits the recipe; None where no recipe was named.
        startup: Files that run code at each start of its Python, as far as it is present.
        closure: The digest of what its builds came to here; None while one of them is not here.
    """

    name: str
    recipe: Path | None
    lock: Lock
    environment: LockedEnvironment
    prefixes: tuple[Path, ...]
    fits: bool | None
    startup: tuple[str, ...] = ()
    closure: str | None = None


def show(looked: Looked, request: Request | None, home: Path, conda_format: str) -> Shown:
    """A locked environment as it is, and where it is present.

    Args:
        looked: What was named.
        request: What its recipe asks for now; None where no recipe was named.
        home: ``ENVBUILD_HOME``.
        conda_format: The format of conda packages that are linked here.
    """
    from envbuild.environments.closure_digest import closure_digest

    prefixes = prefixes_of(home, looked.environment.id)
    if looked.prefix is not None:
        prefixes = (looked.prefix, *(prefix for prefix in prefixes if prefix != looked.prefix))
    return Shown(
        name=looked.name,
        recipe=looked.recipe,
        lock=looked.lock,
        environment=looked.environment,
        prefixes=prefixes,
        fits=None if request is None else looked.lock.request == request.id,
        startup=startup_files(prefixes[0]) if prefixes else (),
        closure=closure_digest(home / "store", looked.lock, looked.environment, conda_format),
    )


def tree(environment: LockedEnvironment, packages: Sequence[str], *, invert: bool, depth: int | None) -> list[Branch]:
    """The lines of a dependency tree, from what the recipe asked for, or from some packages.

    Raises:
        UsageError: ``no-package`` for a name that the environment does not hold.
    """
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


def why(environment: LockedEnvironment, package: str, request: Request | None) -> Why:
    """The chains from what the recipe asked for to a package, and what it counts as on PyPI.

    Args:
        environment: Where it is.
        package: A name of the environment, or of a PyPI project that conda provides.
        request: What the recipe asks for now; None where no recipe was named.

    Raises:
        UsageError: ``no-package`` when the environment does not hold it.
    """
    table = dependency_table(environment)
    counted = counted_in(environment, request)
    package = name_in(package, table, environment, counted)
    found = tuple(tuple(table[name] for name in chain) for chain in chains(table, package))
    return Why(
        package=package,
        chains=found,
        counts=tuple(item for item in counted if item.package == package),
        behind_extra=not found and table[package].kind == "pypi" and bool(counted),
    )


def counted_in(environment: LockedEnvironment, request: Request | None) -> tuple[Counted, ...]:
    """What conda provides of PyPI; nothing where the Python is not conda's and so imports none of it."""
    if environment.interpreter != "conda":
        return ()
    parts = request.platforms if request is not None else ()
    provides = next((part.provides for part in parts if part.platform == environment.platform), ())
    return tuple(item for package in environment.conda for item in counted_as(package, provides))


def name_in(package: str, table: Mapping[str, Node], environment: LockedEnvironment, counted: Sequence[Counted]) -> str:
    """What an environment calls a package, which may be a PyPI project that conda provides.

    Raises:
        UsageError: ``no-package``, with a name that is close.
    """
    if package not in table:
        project = normalize_pypi_name(package)
        package = next((item.package for item in counted if item.project == project), package)
        if package not in table and project in table:
            package = project
    _known(package, table, environment)
    return package


def _known(name: str, table: Mapping[str, Node], environment: LockedEnvironment) -> None:
    if name not in table:
        close = difflib.get_close_matches(name, table, n=1)
        raise UsageError(
            f"{name} is not among the {len(table)} package{'s' * (len(table) > 1)} for {environment.platform}",
            reference="no-package",
            hint=f"did you mean {close[0]}?" if close else None,
        )
