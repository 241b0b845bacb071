"""How recipes merge: what is nearer to the user overrides by name; what stands at one level must agree.

Theory: for one platform, a recipe's ``targets`` entry lies over its other lines, and the recipe lies over its bases.
Both are ``overlay``. Several bases lie side by side (``side_by_side``): they may say the same, or version constraints
that can hold together; otherwise both places are named, unless the recipe itself says what holds. Python is special:
what is nearer may narrow it, and never change it.

Rules of the file: recipes in, recipe out; pure; findings are collected in ``Merger.issues``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from envbuild.errors import Issue, Where
from envbuild.formats.joining import requirement_key
from envbuild.package import Platform
from envbuild.reading.version_range import both, contradict
from envbuild.recipe import (
    Base,
    BuildOptions,
    CondaRequirement,
    CondaSection,
    Index,
    PypiRequirement,
    PypiSection,
    Recipe,
)
from envbuild.value import replace

Requirement = TypeVar("Requirement", CondaRequirement, PypiRequirement)
Value = TypeVar("Value")
Pairs = tuple[tuple[str, str], ...]
Provided = tuple[tuple[str, tuple[str, ...]], ...]
Names = bool | tuple[str, ...] | None


def fold_target(recipe: Recipe, platform: Platform) -> Recipe:
    """The recipe for one platform: its ``targets`` entry laid over its other lines."""
    for target in recipe.targets:
        if target.platform == platform:
            return replace(
                recipe,
                targets=(),
                system=over(recipe.system, target.system),
                conda=_conda(recipe.conda, target.conda),
                pypi=_pypi(recipe.pypi, target.pypi),
            )
    return replace(recipe, targets=())


def over(base: Pairs, near: Pairs) -> Pairs:
    """Pairs by name, the nearer ones over the others, sorted."""
    return tuple(sorted({**dict(base), **dict(near)}.items()))


def _by_name(base: tuple[Requirement, ...], near: tuple[Requirement, ...]) -> tuple[Requirement, ...]:
    """A nearer requirement replaces all of its name: a name may stand several times, with other markers."""
    named = {item.name for item in near}
    found: list[Requirement] = [item for item in base if item.name not in named]
    found.extend(near)
    found.sort(key=requirement_key)
    return tuple(found)


def _conda(base: CondaSection, near: CondaSection) -> CondaSection:
    return CondaSection(
        channels=near.channels if near.channels is not None else base.channels,
        packages=_by_name(base.packages, near.packages),
        constraints=_by_name(base.constraints, near.constraints),
        provides=tuple(sorted({**dict(base.provides), **dict(near.provides)}.items())),
        provides_where=(*base.provides_where, *near.provides_where),
    )


def _pypi(base: PypiSection, near: PypiSection) -> PypiSection:
    return PypiSection(
        index=near.index or base.index,
        extra_indices=_indices(near.extra_indices, base.extra_indices),
        no_index=near.no_index if near.no_index is not None else base.no_index,
        find_links=tuple(dict.fromkeys((*near.find_links, *base.find_links))),
        prereleases=_names(base.prereleases, near.prereleases),
        no_build=_names(base.no_build, near.no_build),
        packages=_by_name(base.packages, near.packages),
        constraints=_by_name(base.constraints, near.constraints),
        overrides=_by_name(base.overrides, near.overrides),
    )


def _indices(near: tuple[Index, ...], base: tuple[Index, ...]) -> tuple[Index, ...]:
    """Nearer ones first, for the first that has a package wins; a nearer one replaces its namesake."""
    named = {index.name for index in near}
    return (*near, *(index for index in base if index.name not in named))


def _names(base: Names, near: Names) -> Names:
    if isinstance(base, tuple) and isinstance(near, tuple):
        return tuple(sorted({*base, *near}))
    return near if near is not None else base


class Merger:
    """Merges one recipe with its bases; ``issues`` holds what cannot hold together."""

    def __init__(self) -> None:
        self.issues: list[Issue] = []

    def note(self, reference: str, message: str, where: Where | None, hint: str) -> None:
        """Keep one finding, once: platforms find the same things."""
        issue = Issue(message=message, reference=reference, where=where, hint=hint)
        if issue not in self.issues:
            self.issues.append(issue)

    def merge(self, recipe: Recipe, bases: Sequence[Recipe]) -> Recipe:
        """A recipe laid over its bases.

        Args:
            recipe: For one platform, as ``fold_target`` gives it.
            bases: The same for each of ``recipe.extends``, in order, merged with their own bases.
        """
        if not bases:
            return recipe
        return self.overlay(self.side_by_side(recipe, bases), recipe)

    def overlay(self, base: Recipe, near: Recipe) -> Recipe:
        """What is nearer, over a base."""
        python, where = self.python(base, near)
        return replace(
            near,
            platforms=near.platforms or base.platforms,
            python=python,
            python_where=where,
            interpreter=near.interpreter or base.interpreter,
            exclude_newer=near.exclude_newer or base.exclude_newer,
            system=over(base.system, near.system),
            conda=_conda(base.conda, near.conda),
            pypi=_pypi(base.pypi, near.pypi),
            build=_builds((*base.build, *near.build)),
            variables=over(base.variables, near.variables),
            bytecode=base.bytecode if near.bytecode is None else near.bytecode,
        )

    def python(self, base: Recipe, near: Recipe) -> tuple[str | None, Where | None]:
        """The Python that both allow: the nearer may narrow the other, never change it."""
        if base.python is None or near.python is None:
            return (near.python, near.python_where) if base.python is None else (base.python, base.python_where)
        if contradict(base.python, near.python):
            self.note(
                "python-contradiction",
                f"python {near.python!r} is outside of {base.python!r}, which {_place(base.python_where, base)} says",
                near.python_where,
                "narrow the base's Python, or change it in the base",
            )
        joined = both(near.python, base.python)
        return joined, near.python_where if joined != base.python else base.python_where

    def side_by_side(self, recipe: Recipe, bases: Sequence[Recipe]) -> Recipe:
        """The bases of one recipe as one; ``recipe`` decides where it speaks, and its places are named."""
        result = bases[0]
        for base, entry in zip(bases[1:], recipe.extends[1:], strict=True):
            result = self.pair(result, base, recipe, entry)
        return result

    def pair(self, one: Recipe, other: Recipe, near: Recipe, entry: Base) -> Recipe:
        """Two bases as one."""

        def same(word: str, left: Value | None, right: Value | None, said: object) -> Value | None:
            if left is not None and right is not None and left != right and said is None:
                self.note(
                    "bases-disagree",
                    f"the bases disagree on `{word}`: {one.path} says {_say(left)}, {other.path} says {_say(right)}",
                    entry.where,
                    f"say `{word}` in {near.path}",
                )
            return left if left is not None else right

        def pairs(word: str, left: Pairs, right: Pairs, said: Pairs) -> Pairs:
            names, known = dict(said), dict(left)
            for name, value in right:
                same(f"{word}: {name}", known.get(name), value, names.get(name))
            return over(right, left)

        def provided(left: Provided, right: Provided, said: Provided) -> Provided:
            names, known = dict(said), dict(left)
            for name, value in right:
                same(f"conda: provides: {name}", known.get(name), value, names.get(name))
            return tuple(sorted({**dict(right), **known}.items()))

        python, where = one.python, one.python_where
        if one.python is not None and other.python is not None:
            if contradict(one.python, other.python):
                self.note(
                    "bases-disagree",
                    f"the bases disagree on `python`: {_place(one.python_where, one)} says {one.python!r}, "
                    f"{_place(other.python_where, other)} says {other.python!r}",
                    entry.where,
                    "extend bases with one Python",
                )
            python = both(one.python, other.python)
        elif python is None:
            python, where = other.python, other.python_where
        return replace(
            one,
            platforms=self.common_platforms(one, other, near, entry),
            python=python,
            python_where=where,
            interpreter=same("interpreter", one.interpreter, other.interpreter, near.interpreter),
            exclude_newer=same("exclude-newer", one.exclude_newer, other.exclude_newer, near.exclude_newer),
            system=pairs("system", one.system, other.system, near.system),
            conda=CondaSection(
                channels=same("conda: channels", one.conda.channels, other.conda.channels, near.conda.channels),
                packages=self.requirements(one.conda.packages, other.conda.packages, near.conda.packages, entry),
                constraints=self.requirements(
                    one.conda.constraints, other.conda.constraints, near.conda.constraints, entry
                ),
                provides=provided(one.conda.provides, other.conda.provides, near.conda.provides),
                provides_where=(*one.conda.provides_where, *other.conda.provides_where),
            ),
            pypi=self.pypi_pair(one.pypi, other.pypi, near.pypi, entry, same),
            build=_builds(self.builds(one, other, near, entry)),
            variables=pairs("variables", one.variables, other.variables, near.variables),
            bytecode=same("bytecode", one.bytecode, other.bytecode, near.bytecode),
        )

    def pypi_pair(
        self,
        one: PypiSection,
        other: PypiSection,
        near: PypiSection,
        entry: Base,
        same: Callable[..., object],
    ) -> PypiSection:
        """The ``pypi:`` sections of two bases as one."""
        same("pypi: index", one.index and one.index.url, other.index and other.index.url, near.index)
        same("pypi: no-index", one.no_index, other.no_index, near.no_index)
        urls = {index.name: index.url for index in one.extra_indices}
        named = {index.name: index.url for index in near.extra_indices}
        for index in other.extra_indices:
            same(f"pypi: extra-indices: {index.name}", urls.get(index.name), index.url, named.get(index.name))
        return replace(
            _pypi(other, one),
            packages=self.requirements(one.packages, other.packages, near.packages, entry),
            constraints=self.requirements(one.constraints, other.constraints, near.constraints, entry),
            overrides=self.requirements(one.overrides, other.overrides, near.overrides, entry),
        )

    def common_platforms(self, one: Recipe, other: Recipe, near: Recipe, entry: Base) -> tuple[Platform, ...] | None:
        """The platforms that both bases have."""
        if one.platforms is None or other.platforms is None:
            return one.platforms or other.platforms
        common = tuple(platform for platform in one.platforms if platform in other.platforms)
        if not common and near.platforms is None:
            self.note(
                "bases-disagree",
                f"the bases have no platform in common: {one.path} has {', '.join(one.platforms)}, "
                f"{other.path} has {', '.join(other.platforms)}",
                entry.where,
                "extend bases of the same platforms",
            )
        return common or None

    def builds(self, one: Recipe, other: Recipe, near: Recipe, entry: Base) -> Iterable[BuildOptions]:
        """The build options of two bases, which must be equal where they share a name."""
        mine, said = {item.name: item for item in one.build}, {item.name for item in near.build}
        for item in other.build:
            if item.name in mine and mine[item.name] != item and item.name not in said:
                self.note(
                    "bases-disagree",
                    f"the bases disagree on `build: {item.name}`: {one.path} and {other.path} differ",
                    entry.where,
                    f"say `build: {item.name}` in {near.path}",
                )
        return (*other.build, *one.build)

    def requirements(
        self,
        one: tuple[Requirement, ...],
        other: tuple[Requirement, ...],
        near: tuple[Requirement, ...],
        entry: Base,
    ) -> tuple[Requirement, ...]:
        """The requirements of two bases by name; constraints join when they can hold together."""
        found = {requirement_key(item): item for item in one}
        said = {item.name for item in near}
        for item in other:
            key = requirement_key(item)
            if key not in found:
                found[key] = item
            elif item.name not in said:
                found[key] = self.requirement(found[key], item, entry)
        return tuple(found[key] for key in sorted(found))

    def requirement(self, one: Requirement, other: Requirement, entry: Base) -> Requirement:
        """One package that two bases ask for."""
        version = None if contradict(one.version, other.version) else both(one.version, other.version)
        if version is not None and replace(one, version="") == replace(other, version=""):
            return replace(one, version=version)
        if isinstance(one, PypiRequirement) and isinstance(other, PypiRequirement) and version is not None:
            extras = tuple(sorted({*one.extras, *other.extras}))
            if replace(one, version="", extras=()) == replace(other, version="", extras=()):
                return replace(one, version=version, extras=extras)
        self.note(
            "bases-disagree",
            f"the bases disagree on `{one.name}`: {one.where} says {_say(one)}, {other.where} says {_say(other)}",
            entry.where,
            f"say which `{one.name}` you mean in the recipe that extends both",
        )
        return one


def _builds(options: Iterable[BuildOptions]) -> tuple[BuildOptions, ...]:
    found = {item.name: item for item in options}
    return tuple(found[name] for name in sorted(found))


def _place(where: Where | None, recipe: Recipe) -> str:
    return str(where) if where else recipe.path


def _say(value: object) -> str:
    if isinstance(value, (CondaRequirement, PypiRequirement)):
        if isinstance(value, PypiRequirement) and value.source:
            return "another source"
        return repr(value.version or "any version") if not getattr(value, "url", None) else "another address"
    if isinstance(value, tuple):
        return "[" + ", ".join(map(str, value)) + "]"
    return repr(value)
