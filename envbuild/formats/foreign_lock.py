"""What another tool's lock says, as one value: packages as far as the file knows them, and nothing that it does not.

Theory: foreign locks differ in what they leave out. conda-lock knows no build number, pixi names no size of a wheel,
``pip freeze`` knows nothing but versions. A reader says what stands in its file and ``None`` where nothing stands; who
imports fetches what is missing and says so. A universal lock (``uv.lock``, ``pylock.toml``) is evaluated here, for the
platform and Python that are wanted, so that what leaves this room is always one platform's set of packages.

Addresses are as the file has them, without credentials: a lock may not carry any, and none is copied from one.

Rules of the file: pure values; imports nothing heavy.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import cast

from envbuild.errors import InvalidInput, UsageError, Where
from envbuild.formats import FORMATS, LARGEST_FILE, Document
from envbuild.package import Platform
from envbuild.value import dataclass

LOCKING = ("pylock", "uv-lock", "conda-lock", "pixi-lock", "explicit", "pip-freeze")
"""Formats that hold exact packages: what becomes a lock without being solved."""

System = tuple[tuple[str, str], ...]
"""Virtual packages and their versions, sorted by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is wanted of a foreign lock.

    Attributes:
        platforms: Empty for all that the file names; of a file that names none, ``here`` alone.
        here: This machine's platform.
        python: ``X.Y``; None lets the file decide, then ``pythons``.
        pythons: Series on this machine, the newest first.
        environment: One of several in the file; None for the only one, or the one that is called ``default``.
        extras: Optional dependencies to take along, normalized. ``groups``: dependency groups, likewise; conda-lock's
            categories.
        systems: By platform: the virtual packages that a lock assumes when nobody says.
    """

    platforms: tuple[Platform, ...] = ()
    here: Platform
    python: str | None = None
    pythons: tuple[str, ...] = ()
    environment: str | None = None
    extras: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    systems: Mapping[Platform, System]


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignConda:
    """One conda package as far as a foreign file knows it; None for what the file does not say.

    Attributes:
        url: Address of the file, without fragment and credentials.
        spec: The match spec that a person asked with, when the file tells.
        asked: Whether somebody asked for it; None when the file does not tell.
    """

    name: str
    version: str
    build: str
    subdir: str
    file: str
    url: str
    sha256: str | None = None
    md5: str | None = None
    size: int | None = None
    build_number: int | None = None
    noarch: str | None = None
    depends: tuple[str, ...] | None = None
    constrains: tuple[str, ...] = ()
    license: str | None = None
    timestamp: int | None = None
    purls: tuple[str, ...] = ()
    python_site_packages_path: str | None = None
    complete: bool = False
    spec: str | None = None
    asked: bool | None = None
    where: Where | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignFile:
    """A wheel or source archive of a PyPI package.

    Attributes:
        url: Without fragment and credentials; None when only the file's name is known.
    """

    file: str
    url: str | None = None
    sha256: str | None = None
    size: int | None = None
    upload_time: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignPypi:
    """One PyPI package as far as a foreign file knows it.

    Attributes:
        name: Normalized.
        version: None where only its metadata would tell (a folder, a commit).
        archive: The wheel chosen for the platform, or the source archive; None for a tree, and when the file names no
            file at all.
        direct: True when the archive was asked for by its own address, and not by an index.
        index: Address of the index, as the file has it; None when the file does not tell.
        links: A folder of files that served as an index, relative to the foreign file's own folder.
        git: Address of the repository, with ``commit``.
        path: A folder, relative to the foreign file's own folder.
        requires: Requirements in PEP 508's words; None when the file does not tell.
        extras: The extras asked of it.
        spec: PEP 440 specifiers that a person asked with, when the file tells.
    """

    name: str
    version: str | None = None
    archive: ForeignFile | None = None
    direct: bool = False
    index: str | None = None
    links: str | None = None
    git: str | None = None
    commit: str | None = None
    path: str | None = None
    subdirectory: str | None = None
    requires: tuple[str, ...] | None = None
    extras: tuple[str, ...] = ()
    spec: str | None = None
    asked: bool | None = None
    where: Where | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignEnvironment:
    """One environment on one platform.

    Attributes:
        python: ``X.Y`` of the Python that is not among the packages; None when a conda package brings it, or none.
        system: Floors that its packages need beyond the defaults.
    """

    platform: Platform
    python: str | None = None
    conda: tuple[ForeignConda, ...] = ()
    pypi: tuple[ForeignPypi, ...] = ()
    system: System = ()

    def packages(self) -> list[ForeignConda | ForeignPypi]:
        """All packages, conda's first."""
        return [*self.conda, *self.pypi]


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignLock:
    """What a foreign lock holds of the environment that is wanted.

    Attributes:
        format: A name in ``LOCKING``.
        name: What the file calls the environment or the project; None when it has no name.
        channels: Addresses or names of channels in order of priority, as the file has them, without credentials.
        indices: Addresses of package indices in order of priority, likewise.
        notes: What was left out, and why; for people.
    """

    format: str
    environments: tuple[ForeignEnvironment, ...]
    name: str | None = None
    channels: tuple[str, ...] = ()
    indices: tuple[str, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()


def read_lock(format_name: str, document: Document, wanted: Wanted) -> ForeignLock:
    """What a foreign lock holds.

    Args:
        format_name: A name in ``LOCKING``.
        document: The file.
        wanted: Which of what it holds.

    Raises:
        InvalidInput: When the file is malformed, too large, or names what may not be.
        UsageError: When it does not hold what is wanted.
        UnsatisfiableError: When a package has no file for the platform.
    """
    module = importlib.import_module(FORMATS[format_name])
    if len(document.data) > LARGEST_FILE:
        raise InvalidInput(
            f"the file has more than {LARGEST_FILE >> 20} MiB", reference="too-large", where=document.where()
        )
    return cast(ForeignLock, module.read_lock(document, wanted))


def chosen_environment(names: tuple[str, ...], wanted: Wanted, document: Document) -> str:
    """The one environment that is meant of those in a file.

    Raises:
        UsageError: ``unknown-environment``, ``several-environments``.
    """
    listed = ", ".join(name[:60] for name in names[:20])
    if wanted.environment is not None:
        if wanted.environment not in names:
            raise UsageError(
                f"the file has no environment {wanted.environment!r}, but {listed or 'none'}",
                reference="unknown-environment",
                where=document.where(),
            )
        return wanted.environment
    if len(names) == 1:
        return names[0]
    if "default" in names:
        return "default"
    raise UsageError(
        f"the file has several environments: {listed}" if names else "the file has no environment",
        reference="several-environments",
        where=document.where(),
        hint=f"say which: --environment {names[0]}" if names else None,
    )


def chosen_platforms(named: tuple[Platform, ...], wanted: Wanted, document: Document) -> tuple[Platform, ...]:
    """The platforms that are wanted of those that a file names.

    Raises:
        UsageError: ``unknown-platform`` when one is wanted that the file does not have.
    """
    missing = sorted(set(wanted.platforms) - set(named))
    if missing or not named:
        raise UsageError(
            f"the file is for {', '.join(named) or 'no platform that envbuild knows'}, not for {', '.join(missing)}"
            if missing
            else "the file is for no platform that envbuild knows",
            reference="unknown-platform",
            where=document.where(),
        )
    return tuple(item for item in named if not wanted.platforms or item in wanted.platforms)


def left_out(kind: str, kinds: str, names: Sequence[str], flag: str, of: str = "") -> str:
    """The note on parts of a file that nobody chose.

    Args:
        kind: What one is called.
        kinds: What several are called.
        names: Those that were not taken, at least one.
        flag: The flag that takes one.
        of: Whose they are.
    """
    whose = f" of {of}" if of else ""
    several = len(names) > 1
    word, them = (kinds, "them") if several else (kind, "it")
    return f"left out: the {word} {', '.join(names)}{whose}; take {them} with {flag} NAME"


def check_choices(wanted: Wanted, document: Document, *, environments: bool, extras: bool, groups: bool) -> None:
    """Refuse choices that a format does not offer: nothing that somebody typed is passed over.

    Raises:
        UsageError: ``no-choice``.
    """
    for given, offered, flag in (
        (wanted.environment is not None, environments, "--environment"),
        (bool(wanted.extras), extras, "--extra"),
        (bool(wanted.groups), groups, "--group"),
    ):
        if given and not offered:
            raise UsageError(
                f"{flag} chooses nothing in a file of this format", reference="no-choice", where=document.where()
            )
