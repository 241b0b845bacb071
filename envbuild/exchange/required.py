"""``import`` of files that ask (requirements, ``environment.yml``, ``pyproject.toml``): a recipe in envbuild's words.

Theory: the file is read exactly as ``include:`` reads it, and what it asks for is written down as a recipe. What a
recipe's keys cannot say is left out with a comment, and said. A name that the file asks for several times, under
different markers, becomes one requirement for each platform, under ``targets``.

Rules of the file: nothing is solved or fetched.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from envbuild.errors import Where
from envbuild.exchange.asking import Asked, Value
from envbuild.exchange.recipe_text import RecipeDraft, recipe_text
from envbuild.formats.targets import TargetPython
from envbuild.machine.virtual import current_platform, default_system
from envbuild.package import Platform
from envbuild.projects.included import with_includes
from envbuild.projects.project import Project, shown_path
from envbuild.recipe import (
    CondaRequirement,
    GitSource,
    Include,
    Index,
    PathSource,
    PypiRequirement,
    PypiSection,
    Recipe,
    UrlSource,
)
from envbuild.value import replace


def required_recipe(
    label: str, format_name: str, project: Project, folder: str, *, name: str | None, chosen: Sequence[str]
) -> tuple[str, tuple[str, ...]]:
    """The text of a recipe that asks for what a file asks for, and what was lost.

    Args:
        label: The file, from the project's root.
        format_name: A name in ``envbuild.formats.ASKING``.
        project: The project.
        folder: Its root, from the recipe's folder.
        name: The recipe's ``name``.
        chosen: Groups and extras of the file to take along.

    Raises:
        InvalidInput: With every finding of the file.
    """
    include = Include(path=label, format=format_name, chosen=tuple(chosen))
    empty = Recipe(path="import.yaml", include=(include,))
    read = with_includes(empty, project.root, project.config.allow_outside_paths, shown_path)
    lost = [
        f"{replace(item.where, column=None)}: {item.message}" if item.where else item.message for item in read.notes
    ]
    recipe = read.recipe
    asked = _asked(recipe, lost)
    comments = [
        f"Imported from {Path(label).name}. Lock it: envbuild lock <this file>",
        *(f"- {item}" for item in lost),
    ]
    conda = bool(recipe.conda.packages or recipe.conda.channels or any(item.conda.packages for item in recipe.targets))
    pypi = recipe.pypi
    draft = RecipeDraft(
        asked=asked,
        platforms=recipe.platforms or (),
        comments=tuple(comments),
        folder=folder,
        name=name,
        python=_spoken_python(recipe.python),
        interpreter=None if conda else "host",
        system=recipe.system,
        channels=recipe.conda.channels or (),
        index=pypi.index.url if pypi.index is not None else None,
        indices=tuple(_index(item) for item in pypi.extra_indices),
        find_links=pypi.find_links,
        variables=dict(recipe.variables),
        settings=_settings(pypi),
        conda_constraints=_conda_values(recipe.conda.constraints),
        constraints=_pypi_values(pypi.constraints, lost),
        overrides=_pypi_values(pypi.overrides, lost),
        build=_build(recipe),
    )
    return recipe_text(draft), tuple(lost)


def _spoken_python(python: str | None) -> str | None:
    if python is None:
        return None
    return python[:-2] if re.fullmatch(r"3\.\d+\.\*", python) else python


def _index(index: Index) -> str | dict[str, Any]:
    if index.name == index.url and not index.explicit:
        return index.url
    return {"name": index.name, "url": index.url, **({"explicit": True} if index.explicit else {})}


def _settings(pypi: PypiSection) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if pypi.no_index:
        found["no-index"] = True
    for key, value in (("prereleases", pypi.prereleases), ("no-build", pypi.no_build)):
        if value:
            found[key] = list(value) if isinstance(value, tuple) else True
    return found


def _build(recipe: Recipe) -> dict[str, dict[str, Any]]:
    found = {}
    for options in recipe.build:
        told: dict[str, Any] = {
            "env": dict(options.env),
            "config-settings": dict(options.config_settings),
            "host": list(options.host),
            "requires": list(options.requires),
            "toolchain": options.toolchain,
        }
        found[options.name] = {key: value for key, value in told.items() if value}
    return found


def _asked(recipe: Recipe, lost: list[str]) -> Asked:
    """The requirements of a merged recipe: one name once, what differs by platform under its platform."""
    targets: dict[Platform, tuple[dict[str, Value], dict[str, Value]]] = {
        item.platform: (_conda_values(item.conda.packages), _pypi_values(item.pypi.packages, lost))
        for item in recipe.targets
    }
    several: dict[str, list[PypiRequirement]] = {}
    for item in recipe.pypi.packages:
        several.setdefault(item.name, []).append(item)
    single = [items[0] for items in several.values() if len(items) == 1]
    for items in several.values():
        if len(items) > 1:
            _split(items, recipe, targets, lost)
    return Asked(conda=_conda_values(recipe.conda.packages), pypi=_pypi_values(single, lost), targets=targets)


def _split(
    items: list[PypiRequirement],
    recipe: Recipe,
    targets: dict[Platform, tuple[dict[str, Value], dict[str, Value]]],
    lost: list[str],
) -> None:
    """One name under several markers: on each platform the one whose marker holds there."""
    series = _series(recipe.python)
    platforms = recipe.platforms or (current_platform(),)
    lost.append(
        f"{items[0].name} is asked for {len(items)} times, with markers: written is what holds with Python {series} "
        f"on {', '.join(platforms)}"
    )
    for platform in platforms:
        target = TargetPython(platform, series, default_system(platform))
        here = [item for item in items if target.holds(item.markers, item.where or Where(file=recipe.path))]
        if len(here) == 1:
            targets.setdefault(platform, ({}, {}))[1].update(_pypi_values([replace(here[0], markers=None)], lost))
        elif here:
            lost.append(f"{items[0].name} is asked for {len(here)} times on {platform}: write the one that is meant")


def _series(python: str | None) -> str:
    """The newest series that is meant: for markers alone."""
    from envbuild.solvers.python_choice import series_of

    return series_of(python)[0] if python is not None else "3.12"


def _conda_values(items: Sequence[CondaRequirement]) -> dict[str, Value]:
    return {
        f"{item.channel}::{item.name}" if item.channel else item.name: _conda_value(item)
        for item in items
        if item.name != "python" or item.url or item.version or item.build
    }


def _conda_value(item: CondaRequirement) -> Value:
    if item.url is not None:
        return {"url": item.url, **({"sha256": item.sha256} if item.sha256 else {})}
    if item.build is not None:
        return {**({"version": item.version} if item.version else {}), "build": item.build}
    return item.version or None


def _pypi_values(items: Sequence[PypiRequirement], lost: list[str]) -> dict[str, Value]:
    found: dict[str, Value] = {}
    hashed = sorted(item.name for item in items if item.hashes)
    if hashed:
        few = ", ".join(hashed[:3]) + (f" and {len(hashed) - 3} more" if len(hashed) > 3 else "")
        lost.append(f"the digests of {few}: a recipe asks for versions, and its lock has the digests")
    for item in items:
        key = f"{item.name}[{','.join(item.extras)}]" if item.extras else item.name
        told = {
            **({"version": item.version} if item.version else {}),
            **({"markers": item.markers} if item.markers else {}),
            **({"index": item.index} if item.index else {}),
            **_source(item),
        }
        found[key] = told.get("version") if set(told) <= {"version"} else told
    return found


def _source(item: PypiRequirement) -> Mapping[str, str]:
    source = item.source
    if isinstance(source, GitSource):
        told = {"git": source.git, "rev": source.rev, "subdirectory": source.subdirectory}
    elif isinstance(source, UrlSource):
        told = {"url": source.url, "sha256": source.sha256, "subdirectory": source.subdirectory}
    elif isinstance(source, PathSource):
        told = {"path": source.path}
    else:
        return {}
    return {key: value for key, value in told.items() if value is not None}
