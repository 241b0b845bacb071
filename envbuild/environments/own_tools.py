"""What envbuild needs on a machine that has nothing of it: its own code, and a recipe of what that imports there.

The recipe is locked like any other, so each wheel is pinned. Nodes of Metaflow and bundles for machines without a
network are made of it.

Rules of the file: reads this installation; writes nothing.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import Requirement

from envbuild.errors import UsageError
from envbuild.package import normalize_pypi_name

if TYPE_CHECKING:
    from envbuild.lock import LockedEnvironment

ENGINES = ("py-rattler", "uv", "zstandard")
"""What links conda packages, and wheels, and unpacks conda packages and interpreters."""

_ELSEWHERE = frozenset({"networkx", "pathspec", "pyproject-hooks", "rich"})
"""What is imported to show how far something is, to lock and to build, which nobody does there."""


def engines_of(environment: LockedEnvironment) -> frozenset[str]:
    """What links an environment."""
    conda = {"py-rattler"} if environment.conda else set()
    wheels = environment.wheels or environment.sources or environment.interpreter != "conda"
    archives = {"zstandard"} if environment.conda or environment.archive is not None else set()
    return frozenset(conda | archives | ({"uv"} if wheels else set()))


def own_requirements(engines: Collection[str], python: str) -> dict[str, str]:
    """What envbuild needs there: names, with their extras, and versions as envbuild's own metadata has them.

    Args:
        engines: Of ``ENGINES``, those that the environments need.
        python: The series of the Python that runs it.

    Raises:
        UsageError: ``not-available`` where envbuild is not installed.
    """
    unused = _ELSEWHERE | (set(ENGINES) - set(engines))
    found = {}
    for requirement in _requirements("envbuild", python):
        if requirement.name not in unused:
            extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
            found[normalize_pypi_name(requirement.name) + extras] = str(requirement.specifier)
    return found


def pinned(asked: Mapping[str, str], python: str) -> dict[str, str]:
    """The same, and all that these need, each in the version that is installed here, where it is.

    Args:
        asked: Names and versions.
        python: The series of the Python that they are for.
    """
    found = dict(asked)
    left = list(asked)
    seen: set[str] = set()
    while left:
        name = left.pop().partition("[")[0]
        if name in seen:
            continue
        seen.add(name)
        try:
            found[name] = f"=={importlib.metadata.version(name)}"
            left += [normalize_pypi_name(item.name) for item in _requirements(name, python)]
        except importlib.metadata.PackageNotFoundError:
            if name not in asked:  # needed elsewhere only
                found.pop(name, None)
    return found


def recipe_text(head: str, asked: Mapping[str, str], platforms: Sequence[str], python: str, interpreter: str) -> str:
    """The text of the recipe.

    Args:
        head: What it is for.
        asked: Names of packages and their versions.
        platforms: Where it is run.
        python: The series.
        interpreter: ``managed`` brings a Python along; ``host`` takes that of the machine.
    """
    return "\n".join(
        [
            f"# {head}",
            f"platforms: [{', '.join(platforms)}]",
            f'python: "{python}"',
            f"interpreter: {interpreter}",
            "",
            "pypi:",
            "  packages:",
            *(f'    "{name}": "{asked[name]}"' for name in sorted(asked)),
            "",
        ]
    )


def own_files() -> dict[str, Path]:
    """The code of envbuild, as it is here, by where Python imports it."""
    package = Path(__file__).parents[1]
    schemas = next(path for path in (package / "schemas", package.parent / "schemas") if path.is_dir())
    files = {f"envbuild/{path.relative_to(package)}": path for path in package.rglob("*.py")}
    return files | {f"envbuild/schemas/{path.name}": path for path in schemas.glob("*.json")}


def _requirements(name: str, python: str) -> Iterator[Requirement]:
    try:
        found: Iterable[str] = importlib.metadata.requires(name) or ()
    except importlib.metadata.PackageNotFoundError:
        if name != "envbuild":
            raise
        raise UsageError(
            "envbuild is not installed here, so nobody can say what it needs elsewhere",
            reference="not-available",
            hint='pip install "envbuild[metaflow]"',
        ) from None
    for text in found:
        requirement = Requirement(text)
        environment = {"extra": "", "python_version": python, "python_full_version": f"{python}.0"}
        if requirement.marker is None or requirement.marker.evaluate(environment):
            yield requirement
