"""A recipe and the foreign files that it includes, as one recipe: what stands at one level must agree.

Theory: an included file is part of the recipe, so nothing of it is overridden in silence. Requirements of one name hold
together (versions intersect, extras add up), or both places are named. A setting that has one value (a channel list, an
index, a variable) is the recipe's own where the recipe says it; included files that differ are an error until it does.

Rules of the file: values in, recipe out; pure; findings are collected.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from envbuild.errors import Issue, Where
from envbuild.formats import Foreign
from envbuild.formats.joining import joined
from envbuild.reading.version_range import both, contradict
from envbuild.recipe import BuildOptions, CondaSection, Include, Index, PypiSection, Recipe, Target
from envbuild.value import dataclass, replace

Value = TypeVar("Value")
Pairs = tuple[tuple[str, str], ...]
Names = bool | tuple[str, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Included:
    """One included file, read: the line that includes it, what it asks for, and how messages call it."""

    include: Include
    foreign: Foreign
    shown: str


def one_level(recipe: Recipe, included: Sequence[Included], issues: list[Issue]) -> Recipe:
    """A recipe with what it includes; what cannot hold together is added to ``issues``."""
    return _Level(recipe, included, issues).merged()


class _Level:
    def __init__(self, recipe: Recipe, included: Sequence[Included], issues: list[Issue]) -> None:
        self.recipe = recipe
        self.included = included
        self.issues = issues

    def merged(self) -> Recipe:
        recipe, foreigns = self.recipe, [item.foreign for item in self.included]
        python, where = self.python()
        return replace(
            recipe,
            python=python,
            python_where=where,
            platforms=self.single("platforms", recipe.platforms, lambda it: it.platforms),
            system=self.pairs("system", recipe.system, lambda it: it.system),
            conda=self.conda(recipe.conda, [item.conda for item in foreigns]),
            pypi=self.pypi(recipe.pypi, [item.pypi for item in foreigns]),
            build=self.build(),
            targets=self.targets(),
            variables=self.pairs("variables", recipe.variables, lambda it: it.variables),
        )

    def note(self, message: str, item: Included, hint: str) -> None:
        issue = Issue(message=message, reference="requirements-disagree", where=item.include.where, hint=hint)
        if issue not in self.issues:
            self.issues.append(issue)

    def single(self, word: str, own: Value | None, get: Callable[[Foreign], Value | None]) -> Value | None:
        """A setting with one value."""
        if own is not None:
            return own
        first: tuple[Included, Value] | None = None
        for item in self.included:
            value = get(item.foreign)
            if value is None:
                continue
            if first is not None and first[1] != value:
                self.note(
                    f"the included files disagree on `{word}`: {first[0].shown} says {_say(first[1])}, "
                    f"{item.shown} says {_say(value)}",
                    item,
                    f"say `{word}` in {self.recipe.path}",
                )
            first = first or (item, value)
        return None if first is None else first[1]

    def pairs(self, word: str, own: Pairs, get: Callable[[Foreign], Pairs]) -> Pairs:
        """Names and values."""
        said = dict(own)
        names = dict.fromkeys(name for item in self.included for name, _ in get(item.foreign))
        for name in names:
            value = self.single(f"{word}: {name}", said.get(name), lambda it, name=name: dict(get(it)).get(name))  # type: ignore[misc]
            if value is not None:
                said[name] = value
        return tuple(sorted(said.items()))

    def python(self) -> tuple[str | None, Where | None]:
        """The Python that all of them allow."""
        python, where = self.recipe.python, self.recipe.python_where
        for item in self.included:
            said = item.foreign.python
            if said is None:
                continue
            if python is not None and contradict(python, said):
                self.note(
                    f"no Python can be both: {where or self.recipe.path} says {python!r}, "
                    f"{item.foreign.python_where or item.shown} says {said!r}",
                    item,
                    "change one of the two",
                )
                continue
            if python is None:
                python, where = said, item.foreign.python_where
            else:
                python = both(python, said)
        return python, where

    def conda(self, own: CondaSection, others: list[CondaSection]) -> CondaSection:
        every = [own, *others]
        return replace(
            own,
            channels=self.single("conda: channels", own.channels, lambda it: it.conda.channels),
            packages=joined((item for section in every for item in section.packages), self.issues),
            constraints=joined((item for section in every for item in section.constraints), self.issues),
        )

    def pypi(self, own: PypiSection, others: list[PypiSection]) -> PypiSection:
        every = [own, *others]
        return replace(
            own,
            index=self.single("pypi: index", own.index, lambda it: it.pypi.index),
            extra_indices=self.indices(),
            no_index=self.single("pypi: no-index", own.no_index, lambda it: it.pypi.no_index),
            find_links=tuple(dict.fromkeys(link for section in every for link in section.find_links)),
            prereleases=_names(own.prereleases, [item.prereleases for item in others]),
            no_build=_names(own.no_build, [item.no_build for item in others]),
            packages=joined((item for section in every for item in section.packages), self.issues),
            constraints=joined((item for section in every for item in section.constraints), self.issues),
            overrides=joined((item for section in every for item in section.overrides), self.issues),
        )

    def indices(self) -> tuple[Index, ...]:
        """Additional indices: the recipe's first, each address once; one name is one address."""
        found = {index.name: index for index in self.recipe.pypi.extra_indices}
        for item in self.included:
            for index in item.foreign.pypi.extra_indices:
                known = found.get(index.name)
                if known is not None and known.url != index.url:
                    self.note(
                        f"the index {index.name} is {known.url} and, in {item.shown}, {index.url}",
                        item,
                        "give one of them another name",
                    )
                elif known is None and all(index.url != other.url for other in found.values()):
                    found[index.name] = index
        return tuple(found.values())

    def build(self) -> tuple[BuildOptions, ...]:
        own = {options.name: options for options in self.recipe.build}
        names = dict.fromkeys(options.name for item in self.included for options in item.foreign.build)
        for name in names:
            found = self.single(
                f"build: {name}",
                own.get(name),
                lambda it, name=name: next((options for options in it.build if options.name == name), None),  # type: ignore[misc]
            )
            if found is not None:
                own[name] = found
        return tuple(own[name] for name in sorted(own))

    def targets(self) -> tuple[Target, ...]:
        """Additions for one platform."""
        found = {target.platform: target for target in self.recipe.targets}
        for item in self.included:
            for target in item.foreign.targets:
                own = found.get(target.platform)
                found[target.platform] = target if own is None else self.target(own, target)
        return tuple(found.values())

    def target(self, own: Target, other: Target) -> Target:
        packages = joined((*own.pypi.packages, *other.pypi.packages), self.issues)
        return replace(
            own,
            system=tuple(sorted({**dict(other.system), **dict(own.system)}.items())),
            conda=self.conda(own.conda, [other.conda]),
            pypi=replace(own.pypi, packages=packages),
        )


def _names(own: Names, others: Iterable[Names]) -> Names:
    """Names for whom something holds, or all, or the recipe's own no."""
    if isinstance(own, bool):
        return own
    names: set[str] = set(own or ())
    said = own is not None
    for item in others:
        if item is True:
            return True
        if isinstance(item, tuple):
            names.update(item)
        said = said or item is not None
    return tuple(sorted(names)) or (False if said else None)


def _say(value: object) -> str:
    if isinstance(value, Index):
        return value.url
    if isinstance(value, BuildOptions):
        return "something else"
    return "[" + ", ".join(map(str, value)) + "]" if isinstance(value, tuple) else repr(value)
