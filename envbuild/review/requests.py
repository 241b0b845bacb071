"""What a recipe asks for that another version of it did not: line by line, as the file says it.

A recipe becomes a table from what is said (``conda: numpy``, ``pypi constraint: urllib3``, ``python``) to the words
that say it, with the platform for what stands under ``targets:``; two tables are compared. Bases and defaults are not
applied: a base that changed is a recipe that changed.

Rules of the file: pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from envbuild.package import normalize_pypi_name
from envbuild.recipe import (
    BuildOptions,
    CondaRequirement,
    CondaSection,
    PypiRequirement,
    PypiSection,
    Recipe,
)
from envbuild.value import dataclass, fields

ANY = "any version"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestChange:
    """One thing that a recipe says otherwise.

    Attributes:
        what: ``python``, ``channels``, ``conda``, ``pypi constraint``, ``build`` …
        name: The package, variable or source that it is about; empty for what there is one of.
        before: As the recipe wrote it; None where it said nothing. ``after`` likewise.
        platform: Under ``targets:``; None for all.
    """

    what: str
    name: str
    before: str | None
    after: str | None
    platform: str | None = None

    @property
    def asks(self) -> bool:
        """Whether it asks for a package, and does not only bound one."""
        return self.what in {"conda", "pypi", "python"}

    @property
    def package(self) -> str | None:
        """The package that it is about, normalized; None when it is about none."""
        if self.what == "python":
            return "python"
        if self.what.split(" ")[0] in {"conda", "pypi"} and self.name:
            return normalize_pypi_name(self.name)
        return None


def request_changes(before: Recipe | None, after: Recipe | None) -> tuple[RequestChange, ...]:
    """The differences between two versions of a recipe; either may be missing, and then nothing is said."""
    if before is None or after is None:
        return ()
    old, new = _table_of(before), _table_of(after)
    return tuple(
        RequestChange(what=key[0], name=key[1], before=old.get(key), after=new.get(key), platform=key[2])
        for key in dict.fromkeys((*old, *new))
        if old.get(key) != new.get(key)
    )


_Key = tuple[str, str, str | None]
_Said = tuple[_Key, str]


def _table_of(recipe: Recipe) -> dict[_Key, str]:
    """What is said, each once; of a package that stands there for several markers all of it."""
    found: dict[_Key, str] = {}
    for key, words in _said(recipe):
        found[key] = f"{found[key]} and {words}" if key in found else words
    return found


def _said(recipe: Recipe) -> Iterator[_Said]:
    for word in ("name", "python", "interpreter", "exclude_newer"):
        if (value := getattr(recipe, word)) is not None:
            yield (word.replace("_", "-"), "", None), value
    if recipe.platforms is not None:
        yield ("platforms", "", None), ", ".join(recipe.platforms)
    for base in recipe.extends:
        yield ("extends", base.path, None), "pinned" if base.pin else "not pinned"
    for item in recipe.include:
        yield (
            ("include", item.path, None),
            " ".join((*item.chosen, *((item.format,) if item.format else ()))) or "whole",
        )
    yield from _table("variable", recipe.variables, None)
    yield from _part(recipe.conda, recipe.pypi, recipe.system, None)
    for options in recipe.build:
        yield ("build", options.name, None), _options(options)
    for target in recipe.targets:
        yield from _part(target.conda, target.pypi, target.system, target.platform)


def _part(
    conda: CondaSection, pypi: PypiSection, system: tuple[tuple[str, str], ...], platform: str | None
) -> Iterator[_Said]:
    yield from _table("system", system, platform)
    if conda.channels is not None:
        yield ("channels", "", platform), ", ".join(conda.channels)
    for title, several in (("conda", conda.packages), ("conda constraint", conda.constraints)):
        for item in several:
            yield (title, item.name, platform), requirement_words(item)
    for name, projects in conda.provides:
        yield ("conda provides", name, platform), ", ".join(projects) or "no project"
    if pypi.index is not None:
        yield ("index", "", platform), pypi.index.url
    for index in pypi.extra_indices:
        yield ("extra index", index.name, platform), f"{index.url}{', explicit' if index.explicit else ''}"
    for word in ("no_index", "prereleases", "no_build"):
        value = getattr(pypi, word)
        if value is not None:
            yield (word.replace("_", "-"), "", platform), _flag(value)
    if pypi.find_links:
        yield ("find-links", "", platform), ", ".join(pypi.find_links)
    for title, requirements in (
        ("pypi", pypi.packages),
        ("pypi constraint", pypi.constraints),
        ("pypi override", pypi.overrides),
    ):
        for requirement in requirements:
            yield (title, requirement.name, platform), requirement_words(requirement)


def _table(what: str, pairs: tuple[tuple[str, str], ...], platform: str | None) -> Iterator[_Said]:
    for name, value in pairs:
        yield (what, name, platform), value


def _flag(value: bool | tuple[str, ...]) -> str:
    return ("all" if value else "none") if isinstance(value, bool) else ", ".join(value)


def _options(options: BuildOptions) -> str:
    told = []
    for item in fields(options):
        value = getattr(options, item.name)
        if value and item.compare and item.name != "name":
            told.append(f"{item.name.replace('_', '-')} {_value(value)}")
    return "; ".join(told) or "as it is"


def requirement_words(requirement: CondaRequirement | PypiRequirement) -> str:
    """What is asked of a package, in one line."""
    told = []
    for item in fields(requirement):
        value = getattr(requirement, item.name)
        if value and item.compare and item.name != "name":
            word = "" if item.name in {"version", "source", "url"} else f"{item.name} "
            told.append(f"{word}{_value(value)}")
    return " ".join(told) or ANY


def _value(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, tuple):
        return ", ".join("=".join(item) if isinstance(item, tuple) else str(item) for item in value)
    return " ".join(str(getattr(value, item.name)) for item in fields(value) if getattr(value, item.name))
