"""How a committed recipe differs from what the code says.

What the code says must stand in the recipe, and the recipe may ask for no package that the code does not ask for. What
the code leaves unsaid (Python, channels, constraints, a cut-off, system packages …) the recipe may say as it likes, and
what Metaflow needs in a step is nobody's word.

Rules of the file: pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from envbuild.errors import Issue, Where
from envbuild.metaflow.environments import Needed
from envbuild.recipe import CondaRequirement, PypiRequirement, Recipe
from envbuild.value import fields


def differences(wanted: Recipe, there: Recipe, item: Needed, needs: Collection[str], file: str) -> tuple[Issue, ...]:
    """Each difference, with its place in the committed recipe where it has one.

    Args:
        wanted: What the code comes to.
        there: The committed recipe.
        item: The environment.
        needs: Names of packages that Metaflow needs.
        file: The committed recipe, as people see it.
    """
    return tuple(
        Issue(message=f"{message} ({item.said})", reference="recipe-drift", where=where or Where(file=file))
        for message, where in _found(wanted, there, item, needs)
    )


def _found(wanted: Recipe, there: Recipe, item: Needed, needs: Collection[str]) -> Iterator[tuple[str, Where | None]]:
    asked = item.asked
    if asked.python is not None and wanted.python != there.python:
        said = there.python or "nothing"
        yield f"python: the code says {wanted.python}, the recipe {said}", there.python_where
    if asked.bytecode is not None and wanted.bytecode != there.bytecode:
        yield f"the code says bytecode={asked.bytecode.text.capitalize()}, the recipe does not", None
    if asked.base is not None and wanted.extends != there.extends:
        bases = ", ".join(base.path for base in there.extends) or "nothing"
        where = there.extends[0].where if there.extends else None
        yield f"the code stands on {wanted.extends[0].path}, the recipe extends {bases}", where
    own = frozenset(needs) - {package.name for package in (*asked.conda, *asked.pypi)}
    yield from _packages("conda", wanted.conda.packages, there.conda.packages, own)
    yield from _packages("PyPI", wanted.pypi.packages, there.pypi.packages, own)
    channels = there.conda.channels or ()
    for channel in (wanted.conda.channels or ())[: len(asked.channels)]:  # those of the code come first
        if channel not in channels:
            yield f"the code names the channel {channel}, the recipe does not", None
    indices = {index.url for index in there.pypi.extra_indices}
    for index in wanted.pypi.extra_indices:
        if index.url not in indices:
            yield f"the code names the index {index.url}, the recipe does not", None
    if there.platforms is not None and (missing := set(item.platforms) - set(there.platforms)):
        yield f"the recipe is not for {', '.join(sorted(missing))}, where its steps run", None


_Requirements = Sequence[CondaRequirement] | Sequence[PypiRequirement]


def _packages(
    ecosystem: str, wanted: _Requirements, there: _Requirements, own: frozenset[str]
) -> Iterator[tuple[str, Where | None]]:
    code = {item.name: item for item in wanted if item.name not in own}
    recipe = {item.name: item for item in there if item.name not in own}
    for name, requirement in code.items():
        if name not in recipe:
            yield f"{ecosystem} {name}: the code asks for {_words(requirement)}, the recipe does not", None
        elif recipe[name] != requirement:
            words = f"the code asks for {_words(requirement)}, the recipe for {_words(recipe[name])}"
            yield f"{ecosystem} {name}: {words}", recipe[name].where
    for name, requirement in recipe.items():
        if name not in code:
            yield f"{ecosystem} {name}: the recipe asks for {_words(requirement)}, the code does not", requirement.where


def _words(requirement: CondaRequirement | PypiRequirement) -> str:
    """What is asked of a package, in one line."""
    told = []
    for item in fields(requirement):
        value = getattr(requirement, item.name)
        if value and item.compare and item.name != "name":
            told.append(_value(value))
    return " ".join(told) or "any version"


def _value(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, tuple):
        return f"[{','.join(map(str, value))}]"
    return " ".join(str(getattr(value, item.name)) for item in fields(value) if getattr(value, item.name))
