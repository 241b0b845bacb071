"""What a recipe asks for, so that an imported lock answers it.

Theory: few locks say what somebody asked for. Where one does, that is asked for, in its words. Where none does, the
packages that no other needs are what somebody must have asked for, and their versions stand in the lock alone: a recipe
that pinned them all would be a lock again. A package from git, a folder or an address of its own is always asked for,
for only the recipe can say where it comes from.

Rules of the file: pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from envbuild.errors import InvalidInput, Where
from envbuild.formats.foreign_lock import ForeignEnvironment
from envbuild.lock import LockedEnvironment
from envbuild.locks.dependencies import Node, dependency_table, users
from envbuild.package import Platform, SourcePackage, Wheel
from envbuild.value import dataclass, replace

Value = None | str | dict[str, str]
"""What stands behind a name in a recipe: nothing, a constraint, or a mapping."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is asked for on every platform, and on single ones besides.

    Attributes:
        conda: Name, as a recipe writes it, to what stands behind it.
        pypi: Likewise.
        targets: By platform: ``conda`` and ``pypi``.
    """

    conda: Mapping[str, Value]
    pypi: Mapping[str, Value]
    targets: Mapping[Platform, tuple[Mapping[str, Value], Mapping[str, Value]]]


def asked_names(environment: LockedEnvironment, foreign: ForeignEnvironment) -> frozenset[str]:
    """The names that somebody asked for on one platform."""
    told = [(item.name, item.asked) for item in foreign.packages() if item.asked is not None]
    present = environment.names()
    bound = {item.name for item in _bound(environment)}
    if told:
        named = frozenset({name for name, asked in told if asked} | bound) & present
        return named | _unreached(dependency_table(environment), named)
    return frozenset(_roots(dependency_table(environment)) | bound)


def _bound(environment: LockedEnvironment) -> list[Wheel | SourcePackage]:
    """What only a recipe can name: packages with a place of their own."""
    files: list[Wheel | SourcePackage] = [*environment.wheels, *environment.sources]
    return [
        item for item in files if item.url is not None or (isinstance(item, SourcePackage) and (item.git or item.path))
    ]


def _roots(table: Mapping[str, Node]) -> set[str]:
    """What nobody else needs; of a circle that nobody needs, the first by name."""
    needed = users(table)
    roots = {name for name, several in needed.items() if not several}
    return roots | _unreached(table, frozenset(roots))


def _unreached(table: Mapping[str, Node], roots: frozenset[str]) -> set[str]:
    """Names that must be asked for too, because nothing leads to them."""
    more: set[str] = set()
    seen = _reached(table, roots)
    for name in sorted(table):
        if name not in seen:
            more.add(name)
            seen |= _reached(table, frozenset({name}))
    return more


def _reached(table: Mapping[str, Node], roots: frozenset[str]) -> set[str]:
    seen: set[str] = set()
    todo = [name for name in roots if name in table]
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo += table[name].requires
    return seen


def what_is_asked(
    environments: Sequence[LockedEnvironment], foreign: Sequence[ForeignEnvironment], where: Where
) -> tuple[Asked, tuple[LockedEnvironment, ...]]:
    """The requirements of a recipe that these environments answer, and the environments with them marked.

    Args:
        environments: One for each platform, nothing of them marked as asked for.
        foreign: What they were made of, in the same order.
        where: The file, or the prefix that was captured.

    Raises:
        InvalidInput: ``no-packages`` when there is nothing to ask for.
    """
    names = [asked_names(environment, item) for environment, item in zip(environments, foreign, strict=True)]
    everywhere = frozenset().union(*names)
    values = [_values(environment, item, everywhere) for environment, item in zip(environments, foreign, strict=True)]
    conda = _common([item[0] for item in values])
    pypi = _common([item[1] for item in values])
    if not everywhere:
        platforms = ", ".join(item.platform for item in environments)
        raise InvalidInput(
            f"no package stands there for {platforms}, so a recipe would ask for nothing",
            reference="no-packages",
            where=where,
            hint="begin a recipe of your own: envbuild init",
        )
    targets = {
        environment.platform: (_rest(item[0], conda), _rest(item[1], pypi))
        for environment, item in zip(environments, values, strict=True)
    }
    marked = tuple(_marked(environment, everywhere) for environment in environments)
    kept = {platform: item for platform, item in targets.items() if item[0] or item[1]}
    return Asked(conda=conda, pypi=pypi, targets=kept), marked


def _marked(environment: LockedEnvironment, names: frozenset[str]) -> LockedEnvironment:
    return LockedEnvironment(
        platform=environment.platform,
        python=environment.python,
        interpreter=environment.interpreter,
        system=environment.system,
        conda=tuple(replace(item, asked=item.name in names or item.name == "python") for item in environment.conda),
        wheels=tuple(replace(item, asked=item.name in names) for item in environment.wheels),
        sources=tuple(replace(item, asked=item.name in names) for item in environment.sources),
        build=environment.build,
        build_sources=environment.build_sources,
        archive=environment.archive,
        variables=environment.variables,
    )


def _values(
    environment: LockedEnvironment, foreign: ForeignEnvironment, names: frozenset[str]
) -> tuple[dict[str, Value], dict[str, Value]]:
    """What a recipe writes for one platform: name to value, conda and PyPI. Python has a key of its own."""
    specs = {item.name: item.spec for item in foreign.packages()}
    conda: dict[str, Value] = {
        item.name: specs.get(item.name) for item in environment.conda if item.name in names and item.name != "python"
    }
    pypi: dict[str, Value] = {}
    files: list[Wheel | SourcePackage] = [*environment.wheels, *environment.sources]
    for item in files:
        if item.name in names:
            key = f"{item.name}[{','.join(item.extras)}]" if item.extras else item.name
            pypi[key] = _source(item) or specs.get(item.name)
    return conda, pypi


def _source(item: Wheel | SourcePackage) -> dict[str, str] | None:
    """The place of its own that a recipe must name."""
    found: dict[str, str] = {}
    if item.url is not None:
        found = {"url": item.url, "sha256": item.sha256}
    elif isinstance(item, SourcePackage) and item.git is not None:
        assert item.commit is not None
        found = {"git": item.git, "rev": item.commit}
    elif isinstance(item, SourcePackage) and item.path is not None:
        return {"path": item.path}
    if found and isinstance(item, SourcePackage) and item.subdirectory is not None:
        found["subdirectory"] = item.subdirectory
    return found or None


def _common(several: Sequence[Mapping[str, Value]]) -> dict[str, Value]:
    """What every platform asks for in the same words."""
    first = several[0] if several else {}
    return {
        name: value
        for name, value in sorted(first.items())
        if all(name in other and other[name] == value for other in several)
    }


def _rest(own: Mapping[str, Value], common: Mapping[str, Value]) -> dict[str, Value]:
    return {name: value for name, value in sorted(own.items()) if name not in common}
