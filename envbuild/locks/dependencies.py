"""Who needs whom inside one locked environment: the data behind `tree`, `why` and `why-depends`.

Edges come from the lock alone: a conda package's ``depends`` by name, a wheel's or source's ``requires``, which may be
met by a conda package of the same PyPI project. Virtual packages are no nodes, nor are the tools of builds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping

from envbuild.conda_names import project_names
from envbuild.lock import LockedEnvironment
from envbuild.package import CondaPackage, SourcePackage, Wheel
from envbuild.pattern import pattern
from envbuild.value import dataclass

_NAME = pattern(r"(?:.*::)?([A-Za-z0-9_.-]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One package as the tree shows it.

    Attributes:
        kind: ``conda`` or ``pypi``.
        origin: The channel or index as the lock writes it, or the address that the recipe wrote; for a source also what
            it is: ``git 1a2b3c4d of …``, ``folder …``, ``sdist of …``.
        asked: Whether the recipe asked for it.
        requires: Names of nodes, sorted; a package never requires itself.
        size: Bytes of the package file, when known.
    """

    name: str
    version: str
    kind: str
    origin: str
    asked: bool
    requires: tuple[str, ...]
    size: int | None


def dependency_table(environment: LockedEnvironment) -> Mapping[str, Node]:
    """Every package of an environment by name, with its edges."""
    installed: tuple[Wheel | SourcePackage, ...] = (*environment.wheels, *environment.sources)
    providers = {item.name: item.name for item in installed}
    for package in environment.conda:
        for project in project_names(package):
            providers.setdefault(project, package.name)
    conda_names = {package.name for package in environment.conda}
    table: dict[str, Node] = {}
    for package in environment.conda:
        needed = {conda_name(spec) for spec in package.depends} & conda_names
        table[package.name] = Node(
            name=package.name,
            version=package.version,
            kind="conda",
            origin=package.url or package.channel or "",
            asked=package.asked,
            requires=tuple(sorted(needed - {package.name})),
            size=package.size,
        )
    for item in installed:
        needed = {providers[name] for name in item.requires if name in providers}
        table[item.name] = Node(
            name=item.name,
            version=item.version,
            kind="pypi",
            origin=origin_words(item),
            asked=item.asked,
            requires=tuple(sorted(needed - {item.name})),
            size=item.size,
        )
    return table


def origin_words(package: CondaPackage | Wheel | SourcePackage) -> str:
    """Where a package comes from, in a few words; of a source also in which form."""
    if isinstance(package, CondaPackage):
        return package.url or package.channel or ""
    if isinstance(package, SourcePackage):
        below = f", {package.subdirectory}" if package.subdirectory else ""
        place = package.git or package.url or package.find_links or package.index
        return f"{package.form}{f' of {place}' if place else ''}{below}"
    return package.url or package.find_links or package.index or ""


def conda_closure(packages: Iterable[CondaPackage], names: Iterable[str]) -> frozenset[str]:
    """Some conda packages and everything that they need, directly or not, as far as it is there.

    Args:
        packages: Among which to look, such as those of an environment.
        names: Where to begin; a name that is not there is passed over.
    """
    table = {package.name: package for package in packages}
    found: set[str] = set()
    todo = [name for name in names if name in table]
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += [needed for spec in table[name].depends if (needed := conda_name(spec)) in table]
    return frozenset(found)


def conda_name(spec: str) -> str:
    """The package that a match spec is about; empty when it names none."""
    match = _NAME.match(spec.strip())
    return match.group(1).lower() if match else ""


def users(table: Mapping[str, Node]) -> dict[str, tuple[str, ...]]:
    """The edges turned round: name to the names that require it, sorted."""
    found: dict[str, list[str]] = {name: [] for name in table}
    for node in table.values():
        for name in node.requires:
            found[name].append(node.name)
    return {name: tuple(sorted(names)) for name, names in found.items()}


def chains(table: Mapping[str, Node], name: str) -> tuple[tuple[str, ...], ...]:
    """The shortest chain from each package that the recipe asked for down to one package.

    Args:
        table: From ``dependency_table``.
        name: The package asked about.

    Returns:
        Chains, shortest first, then by name; one that holds only ``name`` when the recipe asked for it itself.

    Raises:
        KeyError: When the environment has no such package.
    """
    reverse = users(table)
    came_from: dict[str, str | None] = {name: None}
    queue = deque([table[name].name])
    found = []
    while queue:
        current = queue.popleft()
        if table[current].asked:
            chain: list[str] = []
            step: str | None = current
            while step is not None:
                chain.append(step)
                step = came_from[step]
            found.append(tuple(chain))
        for user in reverse[current]:
            if user not in came_from:
                came_from[user] = current
                queue.append(user)
    return tuple(sorted(found, key=lambda chain: (len(chain), chain)))


def shortest_chains(edges: Callable[[str], Iterable[str]], start: str, goal: str) -> Iterator[tuple[str, ...]]:
    """Every shortest chain from one package to another, sorted by the names in it; there may be very many.

    Args:
        edges: What a package needs; asked once for each package that is no further away than the goal, nearest first.
        start: Where the chains begin.
        goal: Where they end.
    """
    before: dict[str, list[str]] = {start: []}
    level = [start]
    while level and goal not in before:
        after: dict[str, list[str]] = {}
        for name in level:
            for needed in sorted(set(edges(name))):
                if needed not in before:
                    after.setdefault(needed, []).append(name)
        before |= after
        level = sorted(after)
    if goal not in before:
        return
    leads: dict[str, list[str]] = {}  # the steps that lie on a shortest chain, turned round
    todo = [goal]
    while todo:
        name = todo.pop()
        for user in before[name]:
            if user not in leads:
                todo.append(user)
            leads.setdefault(user, []).append(name)
    chain: list[str] = []
    stack = [(0, start)]
    while stack:
        depth, name = stack.pop()
        del chain[depth:]
        chain.append(name)
        if name == goal:
            yield tuple(chain)
        else:
            stack += [(depth + 1, needed) for needed in sorted(leads[name], reverse=True)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """One line of a printed tree.

    Attributes:
        depth: 0 for a root.
        last: For each level, whether the ancestor on it is the last of its siblings.
        repeated: Whether its own branches were shown before and are left out here.
    """

    node: Node
    depth: int
    last: tuple[bool, ...]
    repeated: bool


def branches(table: Mapping[str, Node], roots: tuple[str, ...], *, inverted: bool, depth: int | None) -> list[Branch]:
    """The lines of a tree, each package's own branches shown once.

    Args:
        table: From ``dependency_table``.
        roots: Names to begin with; for an ordinary tree, what the recipe asked for.
        inverted: Show who requires a package instead of what it requires.
        depth: How many levels below the roots, or None for all.
    """
    edges = users(table) if inverted else {name: node.requires for name, node in table.items()}
    seen: set[str] = set()
    lines: list[Branch] = []
    stack: list[tuple[str, int, tuple[bool, ...]]] = [
        (name, 0, (index == 0,)) for index, name in enumerate(reversed(roots))
    ]
    while stack:
        name, level, last = stack.pop()
        repeated = name in seen and bool(edges[name])
        lines.append(Branch(node=table[name], depth=level, last=last, repeated=repeated))
        if not repeated and (depth is None or level < depth):
            stack.extend((child, level + 1, (*last, index == 0)) for index, child in enumerate(reversed(edges[name])))
        seen.add(name)
    return lines
