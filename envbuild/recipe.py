"""A recipe as a value: exactly what one YAML file says, before bases, defaults and platforms are applied.

Made by ``envbuild.projects.project`` from a document that the schema has accepted, so nothing here validates again.
Every requirement remembers its place in the file; places never count in comparisons or keys.
"""

from __future__ import annotations

from dataclasses import field

from envbuild.digest import Digest
from envbuild.errors import Where
from envbuild.package import Platform
from envbuild.value import dataclass

ENVIRONMENTS = ("name:", "id:", "pathspec:")
"""What the label of a base begins with that is no recipe."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CondaRequirement:
    """One conda package asked for (or constrained).

    Attributes:
        name: Lower case; virtual packages (``__glibc``) never stand here.
        version: Version constraint in conda's words, normalized by ``envbuild.solvers.conda_spec``; empty means any.
        build: Build string glob, or None.
        channel: The channel that it must come from, as the recipe writes it, or None.
        url: Address of the one file meant, with ``sha256`` when the recipe gives it.
    """

    name: str
    version: str = ""
    build: str | None = None
    channel: str | None = None
    url: str | None = None
    sha256: Digest | None = None
    where: Where | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class GitSource:
    """A git repository: branch, tag or commit in ``rev`` (None: its default branch)."""

    git: str
    rev: str | None = None
    subdirectory: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UrlSource:
    """A wheel or source archive at an address that the recipe wrote."""

    url: str
    sha256: Digest | None = None
    subdirectory: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PathSource:
    """A folder or file inside the project, relative to the project's root, with ``/``."""

    path: str


Source = GitSource | UrlSource | PathSource


@dataclass(frozen=True, slots=True, kw_only=True)
class PypiRequirement:
    """One PyPI package asked for (or constrained, or overridden).

    Attributes:
        name: Normalized (PEP 503).
        version: PEP 440 specifiers, comma-separated and sorted; empty means any.
        extras: Sorted, normalized.
        markers: PEP 508 marker text, or None.
        index: Name of one of the recipe's indices that it must come from, or None.
        source: Where else than an index it comes from, or None.
        hashes: sha256 of the files that will do, sorted; empty for any. A key document leaves it out when it is empty.
    """

    name: str
    version: str = ""
    extras: tuple[str, ...] = ()
    markers: str | None = None
    index: str | None = None
    source: Source | None = None
    hashes: tuple[Digest, ...] = field(default=(), metadata={"sparse": True})
    where: Where | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """An index that the recipe names: ``name`` is what locks write, the address itself when the recipe gives none.

    Attributes:
        explicit: Asked only for the packages that name it. A key document leaves it out when it is False.
    """

    name: str
    url: str
    explicit: bool = field(default=False, metadata={"sparse": True})


@dataclass(frozen=True, slots=True, kw_only=True)
class CondaSection:
    """``conda:``; None means not said, so that a base or the project decides.

    Attributes:
        provides: conda names and the PyPI projects that they count as, none for what is no PyPI project; sorted.
        provides_where: Where each of these conda names stands.
    """

    channels: tuple[str, ...] | None = None
    packages: tuple[CondaRequirement, ...] = ()
    constraints: tuple[CondaRequirement, ...] = ()
    provides: tuple[tuple[str, tuple[str, ...]], ...] = ()
    provides_where: tuple[tuple[str, Where], ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PypiSection:
    """``pypi:``; None means not said.

    Attributes:
        prereleases: True for all, or the names that may be pre-releases; ``no_build`` likewise for wheels only.
        index: Address instead of the machine's default index.
    """

    index: Index | None = None
    extra_indices: tuple[Index, ...] = ()
    no_index: bool | None = None
    find_links: tuple[str, ...] = ()
    prereleases: bool | tuple[str, ...] | None = None
    no_build: bool | tuple[str, ...] | None = None
    packages: tuple[PypiRequirement, ...] = ()
    constraints: tuple[PypiRequirement, ...] = ()
    overrides: tuple[PypiRequirement, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOptions:
    """``build.<name>``: how one source becomes a wheel; all of it is part of that wheel's key."""

    name: str
    env: tuple[tuple[str, str], ...] = ()
    config_settings: tuple[tuple[str, str], ...] = ()
    host: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    toolchain: str | None = None
    where: Where | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """One entry of ``extends``.

    Attributes:
        path: The base's recipe file, relative to the project's root with ``/``; of an environment that is named,
            ``name:team/x:tag``, ``id:…`` or ``pathspec:Flow/run/step``.
        pin: Whether its locked packages stay exactly as they are.
    """

    path: str
    pin: bool = True
    where: Where | None = field(default=None, compare=False)

    @property
    def is_file(self) -> bool:
        """Whether it is a recipe, and no environment that is named."""
        return not self.path.startswith(ENVIRONMENTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Include:
    """One entry of ``include``: a foreign file that is read in place.

    Attributes:
        path: The file, relative to the project's root with ``/``.
        chosen: Words that choose a part of it: groups and extras of a ``pyproject.toml``.
        format: A name in ``envbuild.formats.FORMATS``; None for what its name and first lines say.
    """

    path: str
    chosen: tuple[str, ...] = ()
    format: str | None = None
    where: Where | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """``targets.<platform>``: additions for one platform."""

    platform: Platform
    system: tuple[tuple[str, str], ...] = ()
    conda: CondaSection = CondaSection()
    pypi: PypiSection = PypiSection()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tests:
    """``test:``: what must hold of the environment before a name of it is published; never part of a request or an id.

    Attributes:
        imports: Modules, sorted.
        entry_points: Programs that packages install, sorted.
        commands: Programs with their arguments, in the order written; no shell reads them.
        timeout: Seconds that all of it may take.
        network: Whether it sees the network.
    """

    imports: tuple[str, ...] = ()
    entry_points: tuple[str, ...] = ()
    commands: tuple[tuple[str, ...], ...] = ()
    timeout: int = 600
    network: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One recipe file.

    Attributes:
        path: The file, relative to the project's root with ``/``.
        python: Version constraint as written, normalized: ``3.11`` stands as ``3.11.*``; None when not said.
        interpreter: ``conda``, ``host``, ``managed``, or None when not said.
        exclude_newer: A date (RFC 3339, UTC) or an age such as ``7d``, as written; None when not said.
        system: Virtual packages and their versions.
        include: Foreign files that are merged with it when it is loaded.
        variables: Set on activation and by ``run``.
        bytecode: Whether modules are compiled ahead; None when not said.
        tests: Of this recipe alone: what extends it says its own.
    """

    path: str
    name: str | None = None
    extends: tuple[Base, ...] = ()
    platforms: tuple[Platform, ...] | None = None
    python: str | None = None
    interpreter: str | None = None
    exclude_newer: str | None = None
    system: tuple[tuple[str, str], ...] = ()
    conda: CondaSection = CondaSection()
    pypi: PypiSection = PypiSection()
    build: tuple[BuildOptions, ...] = ()
    targets: tuple[Target, ...] = ()
    include: tuple[Include, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()
    bytecode: bool | None = None
    tests: Tests | None = None
    python_where: Where | None = field(default=None, compare=False)
    name_where: Where | None = field(default=None, compare=False)

    def names(self) -> frozenset[str]:
        """What it asks for itself, for every platform, of conda and of PyPI; not what its bases and targets do."""
        return frozenset(item.name for section in (self.conda, self.pypi) for item in section.packages)
