"""What envbuild needs on a node: its own code, and a recipe of everything that this imports there.

The recipe is locked like any other, so each wheel is pinned. Beside envbuild's own requirements it has what Metaflow
would install on a node to reach the datastore. It has no library of a store: a node reads that as it began
(``envbuild.metaflow.node_objects``).

Rules of the file: reads this installation; writes nothing.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

from packaging.requirements import Requirement

import envbuild
from envbuild.errors import UsageError
from envbuild.package import normalize_pypi_name

_LIBRARIES = {
    "local": (),
    "s3": ("boto3",),
    "azure": ("azure-identity", "azure-storage-blob", "azure-keyvault-secrets"),
    "gs": ("google-cloud-storage", "google-auth", "google-cloud-secret-manager", "packaging"),
}
"""What Metaflow itself imports on a node, by type of datastore."""

ENGINES = ("py-rattler", "uv", "zstandard")
"""What links conda packages, and wheels, and unpacks conda packages and interpreters."""

_ELSEWHERE = frozenset({"networkx", "pathspec", "pyproject-hooks", "rich"})
"""What is imported to show how far something is, to lock and to build, which no node does."""


def tools_recipe(
    datastore: str, engines: Collection[str], platforms: Sequence[str], python: str, interpreter: str
) -> str:
    """The text of the recipe.

    Args:
        datastore: The type of Metaflow's datastore.
        engines: Of ``ENGINES``, those that the environments of the nodes need.
        platforms: Of the nodes.
        python: The series.
        interpreter: ``managed`` brings a Python along; ``host`` takes the node's.
    """
    asked: dict[str, str] = {"requests": ""}
    for text in _LIBRARIES.get(datastore, ()):
        asked.setdefault(normalize_pypi_name(text), "")
    unused = _ELSEWHERE | (set(ENGINES) - set(engines))
    for requirement in _own_requirements(python):
        if requirement.name in unused:
            continue
        extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
        asked[normalize_pypi_name(requirement.name) + extras] = str(requirement.specifier)
    lines = [f'    "{name}": "{asked[name]}"' for name in sorted(asked)]
    return "\n".join(
        [
            "# what envbuild and Metaflow need on a node to bring the environment of a step",
            f"platforms: [{', '.join(platforms)}]",
            f'python: "{python}"',
            f"interpreter: {interpreter}",
            "",
            "pypi:",
            "  packages:",
            *lines,
            "",
        ]
    )


def _own_requirements(python: str) -> Iterator[Requirement]:
    try:
        found: Iterable[str] = importlib.metadata.requires("envbuild") or ()
    except importlib.metadata.PackageNotFoundError:
        raise UsageError(
            "envbuild is not installed here, so nobody can say what it needs on a node",
            reference="not-available",
            hint='pip install "envbuild[metaflow]"',
        ) from None
    for text in found:
        requirement = Requirement(text)
        environment = {"extra": "", "python_version": python, "python_full_version": f"{python}.0"}
        if requirement.marker is None or requirement.marker.evaluate(environment):
            yield requirement


def own_files() -> dict[str, Path]:
    """The code of envbuild, as it is here, by where Python imports it."""
    package = Path(envbuild.__file__).parent
    schemas = next(path for path in (package / "schemas", package.parent / "schemas") if path.is_dir())
    files = {f"envbuild/{path.relative_to(package)}": path for path in package.rglob("*.py")}
    return files | {f"envbuild/schemas/{path.name}": path for path in schemas.glob("*.json")}
