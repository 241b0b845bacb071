"""Pinned things: a conda package, a wheel, an interpreter archive, and where each can be got.

A pinned package says *what* it is by digest and *where it came from* by the recipe's own words (a channel or index as
the recipe names it, and a file name), never by an address that only one machine's configuration knew. Where to get the
bytes is an ``Origin``; it is never part of a key.

Rules of the file: frozen values; no I/O.
"""

from __future__ import annotations

import re
from typing import NewType

from envbuild.digest import Digest
from envbuild.errors import InvalidInput
from envbuild.pattern import pattern
from envbuild.value import dataclass

Platform = NewType("Platform", str)
"""A conda subdirectory name such as ``linux-64``."""

PLATFORMS: tuple[Platform, ...] = tuple(map(Platform, ("linux-64", "linux-aarch64", "osx-64", "osx-arm64", "win-64")))
"""Platforms that can be locked. All but ``win-64`` can also be realized."""

_SAFE_NAME = pattern(r"[A-Za-z0-9_][A-Za-z0-9._!+-]*")


def normalize_pypi_name(name: str) -> str:
    """The one spelling of a Python project's name (PEP 503): lower case, runs of ``-_.`` as one dash."""
    return re.sub(r"[-_.]+", "-", name).lower()


def check_file_name(name: str) -> str:
    """A package's file name that is safe as a path component and in a URL.

    Raises:
        InvalidInput: ``bad-name`` for separators, leading dots or dashes, control characters, non-ASCII text, or more
            than 255 bytes.
    """
    if len(name) > 255 or not _SAFE_NAME.fullmatch(name):
        raise InvalidInput(f"{name!r} is not a package file name", reference="bad-name")
    return name


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelOrigin:
    """A file of a conda channel. ``channel`` is a name, a URL, or a folder (``./…`` from the project's root)."""

    channel: str
    subdir: str
    file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexOrigin:
    """A file of a project on a package index (PEP 503).

    ``index`` is ``default`` (whatever the machine's configuration says), or the address that the recipe wrote.
    """

    index: str
    project: str
    file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LinksOrigin:
    """A file listed by a find-links page or folder, as the recipe writes its place."""

    location: str
    file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UrlOrigin:
    """A file at an address that the recipe wrote; the fragment is never kept."""

    url: str
    file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InterpreterOrigin:
    """A file of the managed interpreters' distribution: ``<mirror>/<build>/<file>``.

    The mirror is configuration of a machine; without one, the engine that lists interpreters knows the address.
    """

    implementation: str
    version: str
    build: str
    file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GitOrigin:
    """The tree of one commit of a git repository; its bytes are the canonical tar of that tree.

    Attributes:
        url: As the recipe wrote it, without credentials.
        commit: The whole hexadecimal name of the commit.
    """

    url: str
    commit: str
    file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderOrigin:
    """A folder of the project; its bytes are the canonical tar of what version control does not ignore.

    Attributes:
        path: From the project's root, with ``/``.
    """

    path: str
    file: str


Origin = ChannelOrigin | IndexOrigin | LinksOrigin | UrlOrigin | InterpreterOrigin | GitOrigin | FolderOrigin


@dataclass(frozen=True, slots=True, kw_only=True)
class CondaPackage:
    """One conda package of a lock: all that a link, a later pin, an export or a policy check needs.

    Attributes:
        channel: As the recipe writes it; None when ``url`` is set.
        url: Only for a package that the recipe asked for by address.
        timestamp: Milliseconds since 1970 of the build, as the channel states it; None when it does not.
        noarch: ``python``, ``generic`` or None.
        depends: Match specs, as in the repodata record; so is ``constrains``.
        purls: Package URLs that tie it to a PyPI project.
        asked: True when the recipe (not another package) asked for it.
    """

    name: str
    version: str
    build: str
    build_number: int
    subdir: str
    file: str
    sha256: Digest
    channel: str | None = None
    url: str | None = None
    md5: str | None = None
    size: int | None = None
    license: str | None = None
    timestamp: int | None = None
    noarch: str | None = None
    python_site_packages_path: str | None = None
    depends: tuple[str, ...] = ()
    constrains: tuple[str, ...] = ()
    purls: tuple[str, ...] = ()
    asked: bool = False

    @property
    def origin(self) -> Origin:
        """Where its bytes can be got."""
        if self.url is not None:
            return UrlOrigin(url=self.url, file=self.file)
        assert self.channel is not None
        return ChannelOrigin(channel=self.channel, subdir=self.subdir, file=self.file)

    @property
    def identity(self) -> tuple[str, ...]:
        """What the environment id holds of it."""
        return (self.name, self.version, self.build, self.sha256)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheel:
    """One wheel of a lock. Exactly one of ``index``, ``url``, ``find_links`` is set.

    Attributes:
        name: Normalized (PEP 503).
        index: ``default``, the name that the recipe gave an index, or the address that it wrote.
        requires: Normalized names of the locked packages that it needs on this platform, markers evaluated.
        extras: The extras asked for, of it, by the recipe or by another package.
        size: Bytes, when known; ``upload_time`` as RFC 3339 text, when known.
    """

    name: str
    version: str
    file: str
    sha256: Digest
    index: str | None = None
    url: str | None = None
    find_links: str | None = None
    size: int | None = None
    upload_time: str | None = None
    license: str | None = None
    requires: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()
    asked: bool = False

    @property
    def identity(self) -> tuple[str, ...]:
        """What the environment id holds of it."""
        return (self.name, self.version, self.sha256)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourcePackage:
    """A package of a lock whose wheel is built from source. Exactly one of the five places is set.

    Attributes:
        name: Normalized (PEP 503).
        file: The sdist's or archive's file name; ``<name>-<version>.tar`` for a tree.
        sha256: Of the archive; of the canonical tar for a tree, which is the tree's content digest.
        index: As in ``Wheel``; so are ``url`` and ``find_links``.
        git: The repository's address, with ``commit``; ``rev`` is the branch or tag that the recipe names, if it does.
        path: The folder, from the project's root.
        subdirectory: The project's folder inside the archive or tree, with ``/``.
        requires: As in ``Wheel``; so are ``extras``, ``size``, ``upload_time`` and ``asked``.
        build_requires: File names of ``LockedEnvironment.build`` and ``build_sources`` that its build may import,
            sorted.
        host: Names of the conda packages of the environment that its build may see, with what those need, sorted.
        settings: Config settings for the backend, ``KEY=VALUE``, sorted.
        variables: Variables declared for its build, ``NAME=VALUE``, sorted.
        toolchain: As the recipe declares it.
        provided: ``torch=my-torch``: a PyPI project that it needs, and the conda package that is it by the word of the
            recipe or the configuration alone; what records and names tell is not repeated.
        found_on: ``linux-64 3.11``: where the backend's hook told name, version or requirements; None when static.
    """

    name: str
    version: str
    file: str
    sha256: Digest
    index: str | None = None
    url: str | None = None
    find_links: str | None = None
    git: str | None = None
    commit: str | None = None
    rev: str | None = None
    path: str | None = None
    subdirectory: str | None = None
    size: int | None = None
    upload_time: str | None = None
    license: str | None = None
    requires: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()
    asked: bool = False
    build_requires: tuple[str, ...] = ()
    host: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    toolchain: str | None = None
    provided: tuple[str, ...] = ()
    found_on: str | None = None

    @property
    def form(self) -> str:
        """What it is, in a word or two: ``git 1a2b3c4d``, ``folder libs/foo``, ``archive``, or an index's ``sdist``."""
        if self.git is not None:
            return f"git {(self.commit or '')[:8]}"
        if self.path is not None:
            return f"folder {self.path}"
        return "sdist" if self.url is None else "archive"


@dataclass(frozen=True, slots=True, kw_only=True)
class InterpreterArchive:
    """A managed Python: the archive of a uv-managed interpreter for one platform, locked by its sha256.

    Attributes:
        version: Full version, such as ``3.12.7``.
        build: The distribution's own build tag, such as ``20241016``.
        file: The archive's file name; its address is machine configuration (a mirror) or uv's own.
    """

    implementation: str
    version: str
    build: str
    file: str
    sha256: Digest
    size: int | None = None

    @property
    def origin(self) -> Origin:
        """Where its bytes can be got."""
        return InterpreterOrigin(
            implementation=self.implementation, version=self.version, build=self.build, file=self.file
        )

    @property
    def identity(self) -> tuple[str, ...]:
        """What the environment id holds of it."""
        return (self.implementation, self.version, self.build, self.sha256)
