"""``why-depends``: the chain of packages from one to another, and what stands behind each step.

A step is *declared* (conda's ``depends``, a wheel's ``Requires-Dist``), *shown* by files of the environment that refer
to files of the other package, or both. Chains go over steps of either sort: what is declared and used by no file is
told as that, and what files use though nobody declared it is told as well. Without the environment on this machine the
declared steps are all that there is.

Files are read package by package as the search comes to them, nearest first, so that a close pair costs little.

Rules of the file: reads the lock and the prefix; runs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice, pairwise
from pathlib import Path

from envbuild.conda_names import Counted, project_names
from envbuild.environments.inspection import counted_in, name_in
from envbuild.environments.owned import Owned, owned
from envbuild.environments.references import Reference, Unread, references
from envbuild.errors import EnvbuildError, UsageError
from envbuild.lock import LockedEnvironment
from envbuild.locks.dependencies import Node, conda_name, dependency_table, shortest_chains
from envbuild.markers import marker_variables
from envbuild.package import SourcePackage, Wheel, normalize_pypi_name
from envbuild.pattern import pattern
from envbuild.request import Request
from envbuild.value import dataclass

MOST_CHAINS = 1000
_LARGEST_METADATA = 16 << 20
_PROJECT = pattern(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """A requirement as a package writes it.

    Attributes:
        requirement: With its versions, and of a Python project its extras and marker.
        file: The METADATA that says it, from the prefix; None for what the lock says.
    """

    requirement: str
    file: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One package that needs another.

    Attributes:
        package: Which; ``needs``: what it needs.
        declared: How it says so; empty when only its files do.
        shown: Its files that refer to files of the other; empty when none does, or none was looked at.
    """

    package: Node
    needs: Node
    declared: tuple[Declared, ...]
    shown: tuple[Reference, ...]

    @property
    def by_files(self) -> bool:
        """Whether any file of the prefix says so: METADATA is one, what a lock or a channel says is none."""
        return bool(self.shown) or any(item.file is not None for item in self.declared)


@dataclass(frozen=True, slots=True, kw_only=True)
class WhyDepends:
    """Why one package needs another.

    Attributes:
        package: Which, as the environment calls it; ``needs`` likewise.
        chains: The shortest, each a row of steps; empty when nothing leads from the one to the other.
        more: Whether there are more chains of that length.
        prefix: Whose files were looked at; None when the environment is not on this machine.
        unread: Files that look compiled and cannot be read, of the packages that were looked at.
    """

    package: Node
    needs: Node
    chains: tuple[tuple[Step, ...], ...]
    more: bool
    prefix: Path | None
    unread: tuple[str, ...]


def why_depends(
    environment: LockedEnvironment,
    package: str,
    needs: str,
    prefix: Path | None,
    request: Request | None,
    *,
    every: bool = False,
) -> WhyDepends:
    """The shortest chain from one package of an environment to another, or all that are as short.

    Args:
        environment: Whose packages.
        package: Where the chain begins: a name of the environment, or of a PyPI project that conda provides.
        needs: Where it ends.
        prefix: Where the environment is; None when it is not on this machine.
        request: What the recipe asks for now; None where no recipe was named.
        every: All of the shortest chains, up to ``MOST_CHAINS``.

    Raises:
        UsageError: ``no-package``; ``same-package``.
    """
    table = dependency_table(environment)
    counted = counted_in(environment, request)
    start, goal = (name_in(name, table, environment, counted) for name in (package, needs))
    if start == goal:
        raise UsageError(
            f"{package} and {needs} are the same package" if package != needs else f"{package} is one package, not two",
            reference="same-package",
            hint=f"envbuild why says who asked for {start}",
        )
    evidence = _Evidence(environment, table, prefix, counted)
    found = list(islice(shortest_chains(evidence.needed, start, goal), MOST_CHAINS + 1))
    chains = [tuple(evidence.step(*pair) for pair in pairwise(chain)) for chain in found]
    if not every and chains:
        chains = [min(chains, key=lambda chain: sum(not step.by_files for step in chain))]
    return WhyDepends(
        package=table[start],
        needs=table[goal],
        chains=tuple(chains[:MOST_CHAINS]),
        more=len(found) > len(chains[:MOST_CHAINS]),
        prefix=prefix,
        unread=tuple(sorted(evidence.unread)),
    )


class _Evidence:
    """What there is to say about each step; files are read once, when their package is asked about."""

    def __init__(
        self,
        environment: LockedEnvironment,
        table: Mapping[str, Node],
        prefix: Path | None,
        counted: Sequence[Counted],
    ) -> None:
        self._table = table
        self._prefix = prefix
        self._owned = owned(prefix) if prefix is not None else Owned(files={}, owner={}, moved={}, metadata={})
        self._depends = {package.name: package.depends for package in environment.conda}
        self._projects = {package.name: {*project_names(package)} for package in environment.conda}
        for item in counted:
            self._projects[item.package].add(item.project)
        wheels: tuple[Wheel | SourcePackage, ...] = (*environment.wheels, *environment.sources)
        self._extras = {item.name: item.extras for item in wheels}
        self._variables = marker_variables(environment.platform, environment.python or "3")
        self._shown: dict[str, dict[str, list[Reference]]] = {}
        self._requires: dict[str, tuple[Declared, ...]] = {}
        self._steps: dict[tuple[str, str], Step] = {}
        self.unread: set[str] = set()

    def needed(self, name: str) -> tuple[str, ...]:
        """What a package needs, by what it declares and by what its files refer to."""
        return (*self._table[name].requires, *self._references(name))

    def step(self, name: str, needed: str) -> Step:
        """What stands behind one step."""
        pair = name, needed
        if pair not in self._steps:
            self._steps[pair] = Step(
                package=self._table[name],
                needs=self._table[needed],
                declared=self._declared(name, needed),
                shown=tuple(self._references(name).get(needed, ())),
            )
        return self._steps[pair]

    def _references(self, name: str) -> dict[str, list[Reference]]:
        """The references of a package's files to those of others, by whose they are."""
        if name not in self._shown:
            found: dict[str, list[Reference]] = {}
            files = self._owned.files.get(name, ())
            moved = self._owned.moved.get(name, frozenset())
            for item in references(self._prefix, files, moved, self._owned.owner) if self._prefix is not None else ():
                if isinstance(item, Unread):
                    self.unread.add(item.file)
                elif (whose := self._owned.owner[item.target]) != name and whose in self._table:
                    found.setdefault(whose, []).append(item)
            self._shown[name] = found
        return self._shown[name]

    def _declared(self, name: str, needed: str) -> tuple[Declared, ...]:
        if needed not in self._table[name].requires:
            return ()
        projects = self._projects.get(needed, {needed})
        found = [Declared(requirement=spec) for spec in self._depends.get(name, ()) if conda_name(spec) == needed]
        said = [item for item in self._metadata(name) if _project(item.requirement) in projects]
        found += [item for item in said if self._holds(name, item.requirement)] or said
        return tuple(found) or (Declared(requirement=needed),)

    def _metadata(self, name: str) -> tuple[Declared, ...]:
        """What the METADATA of a package's Python projects requires."""
        if name not in self._requires:
            from envbuild.builders.core_metadata import parse_metadata

            found: list[Declared] = []
            for file in self._owned.metadata.get(name, ()):
                assert self._prefix is not None
                path = self._prefix / file
                if not path.is_file():
                    continue
                try:
                    with path.open("rb") as stream:
                        requires = parse_metadata(stream.read(_LARGEST_METADATA)).requires
                except (OSError, ValueError, EnvbuildError):
                    self.unread.add(file)
                    continue
                found += [Declared(requirement=text, file=file) for text in requires]
            self._requires[name] = tuple(found)
        return self._requires[name]

    def _holds(self, name: str, requirement: str) -> bool:
        """Whether a requirement counts here: its marker is true, for one of the extras that were asked for."""
        from packaging.markers import UndefinedEnvironmentName
        from packaging.requirements import InvalidRequirement, Requirement

        try:
            marker = Requirement(requirement).marker
            extras = ("", *self._extras.get(name, ()))
            return marker is None or any(marker.evaluate({**self._variables, "extra": extra}) for extra in extras)
        except (InvalidRequirement, UndefinedEnvironmentName):
            return False


def _project(requirement: str) -> str:
    found = _PROJECT.match(requirement)
    return normalize_pypi_name(found[0]) if found else ""
