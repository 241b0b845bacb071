"""The sections of a recipe that name packages, ``conda:`` and ``pypi:``, from their nodes.

Rules of the file: the schema has said which keys stand where; here stand the grammar of each text and what excludes
what.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from envbuild.digest import Digest
from envbuild.errors import InvalidInput
from envbuild.reading import places, spelling
from envbuild.reading.document import Mapping, Node, Scalar, entries, items, optional_boolean, optional_text, text
from envbuild.reading.node_reader import NodeReader
from envbuild.recipe import (
    CondaRequirement,
    CondaSection,
    GitSource,
    Index,
    PathSource,
    PypiRequirement,
    PypiSection,
    Source,
    UrlSource,
)


class SectionReader(NodeReader):
    """Reads requirements; ``recipe_reader`` adds what stands around them."""

    def conda(self, node: Node | None) -> CondaSection:
        """``conda:``."""
        if node is None:
            return CondaSection()
        assert isinstance(node, Mapping)
        channels = tuple(dict.fromkeys(self.channel(item) for item in items(node.get("channels"))))
        return CondaSection(
            channels=channels or None,
            packages=self.conda_packages(node.get("packages")),
            constraints=self.conda_packages(node.get("constraints")),
            provides=self.provides(node.get("provides")),
            provides_where=tuple((key.text, key.where) for key, _ in entries(node.get("provides"))),
        )

    def provides(self, node: Node | None) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """What conda packages count as: a PyPI name, a list of them, or nothing."""
        found = {}
        for key, item in entries(node):
            names = (
                [] if isinstance(item, Scalar) and item.empty else [item] if isinstance(item, Scalar) else items(item)
            )
            projects = tuple(sorted({self.take(name, spelling.pypi_name) for name in names}))
            found[self.take(key, spelling.conda_name)] = projects
        return tuple(sorted(found.items()))

    def conda_packages(self, node: Node | None) -> tuple[CondaRequirement, ...]:
        """A mapping of conda requirements, sorted by name, each name once."""
        found: dict[str, CondaRequirement] = {}
        for key, item in entries(node):
            requirement = self.conda_requirement(key, item)
            if self.is_new(requirement.name, found.get(requirement.name), key):
                found[requirement.name] = requirement
        return tuple(found[name] for name in sorted(found))

    def conda_requirement(self, key: Scalar, node: Node) -> CondaRequirement:
        """One conda package: ``[channel::]name`` and a version, nothing, or a mapping."""
        before, separator, name = key.text.rpartition("::")
        named = Scalar(where=key.where, text=name, plain=key.plain)
        name = self.take(named, spelling.conda_name)
        channel = None
        if separator:
            channel = self.channel(Scalar(where=key.where, text=before, plain=key.plain))
        if isinstance(node, Scalar):
            version, build = self.constraint(node) if not node.empty else ("", None)
            return CondaRequirement(name=name, version=version, build=build, channel=channel, where=key.where)
        assert isinstance(node, Mapping)
        if said := node.get("channel"):
            channel = self.channel(said)
        version_node = node.get("version")
        version, build = ("", None) if version_node is None else self.constraint(version_node)
        url = node.get("url")
        if url is not None:
            self.excluded(node, "url", ("version", "build", "channel"))
            self.conda_file(url)
        elif node.get("sha256") is not None:
            self.note(node.where, "missing-key", f"{name} has a sha256 but no `url`", "add `url: ...`")
        return CondaRequirement(
            name=name,
            version=version,
            build=optional_text(node.get("build")) or build,
            channel=channel,
            url=None if url is None else self.place(url),
            sha256=self.sha256(node.get("sha256")),
            where=key.where,
        )

    def constraint(self, node: Node) -> tuple[str, str | None]:
        """A conda version constraint as (version, build)."""
        try:
            return spelling.conda_constraint(text(node))
        except InvalidInput as error:
            self.note(node.where, error.reference, error.message, error.hint)
            return "", None

    def conda_file(self, node: Node) -> None:
        """Note an address that leads to no conda package."""
        if not text(node).endswith((".conda", ".tar.bz2")):
            self.note(node.where, "bad-url", "this is no conda package", "the address ends in .conda or .tar.bz2")

    def pypi(self, node: Node | None) -> PypiSection:
        """``pypi:``."""
        if node is None:
            return PypiSection()
        assert isinstance(node, Mapping)
        index = node.get("index")
        section = PypiSection(
            index=None if index is None else self.index(index),
            extra_indices=tuple(self.index(item) for item in items(node.get("extra-indices"))),
            no_index=optional_boolean(node.get("no-index")),
            find_links=tuple(dict.fromkeys(self.place(item) for item in items(node.get("find-links")))),
            prereleases=self.names_or_all(node.get("prereleases")),
            no_build=self.names_or_all(node.get("no-build")),
            packages=self.pypi_packages(node.get("packages")),
            constraints=self.pypi_packages(node.get("constraints")),
            overrides=self.pypi_packages(node.get("overrides")),
        )
        names = [one.name for one in section.extra_indices]
        for position, item in enumerate(items(node.get("extra-indices"))):
            if names[position] in names[:position]:
                self.note(item.where, "duplicate-key", f"the index {names[position]} stands twice", "keep one")
        return section

    def index(self, node: Node) -> Index:
        """An index: a URL, a folder, or ``{name, url}``; without a name, the address is its name."""
        if isinstance(node, Scalar):
            url = self.place(node)
            return Index(name=url, url=url)
        assert isinstance(node, Mapping)
        found = node.get("url")
        if found is None:
            self.note(node.where, "missing-key", "this index has no `url`", "add `url: ...`")
            return Index(name="", url="")
        url = self.place(found)
        name = self.take_optional(node.get("name"), places.check_index_name) or url
        return Index(name=name, url=url, explicit=optional_boolean(node.get("explicit")) is True)

    def names_or_all(self, node: Node | None) -> bool | tuple[str, ...] | None:
        """True or false for all, or a sorted list of names."""
        if node is None or isinstance(node, Scalar):
            return optional_boolean(node)
        return tuple(sorted({self.take(item, spelling.pypi_name) for item in items(node)}))

    def pypi_packages(self, node: Node | None) -> tuple[PypiRequirement, ...]:
        """A mapping of PyPI requirements, sorted by name, each name once."""
        found: dict[str, PypiRequirement] = {}
        for key, item in entries(node):
            requirement = self.pypi_requirement(key, item)
            if self.is_new(requirement.name, found.get(requirement.name), key):
                found[requirement.name] = requirement
        return tuple(found[name] for name in sorted(found))

    def pypi_requirement(self, key: Scalar, node: Node) -> PypiRequirement:
        """One PyPI package: ``name[extras]`` and specifiers, nothing, or a mapping."""
        try:
            name, extras = spelling.pypi_requirement_name(key.text)
        except InvalidInput as error:
            self.note(key.where, error.reference, error.message, error.hint)
            name, extras = key.text, ()
        if isinstance(node, Scalar):
            version = "" if node.empty else self.take(node, spelling.pypi_constraint)
            return PypiRequirement(name=name, version=version, extras=extras, where=key.where)
        assert isinstance(node, Mapping)
        more = {self.take(item, spelling.pypi_name) for item in items(node.get("extras"))}
        return PypiRequirement(
            name=name,
            version=self.take_optional(node.get("version"), spelling.pypi_constraint) or "",
            extras=tuple(sorted({*extras, *more})),
            markers=self.take_optional(node.get("markers"), marker),
            index=self.index_reference(node.get("index")),
            source=self.source(node),
            where=key.where,
        )

    def index_reference(self, node: Node | None) -> str | None:
        """The name of an index, or its address."""
        if node is None:
            return None
        if "://" in text(node) or text(node).startswith("."):
            return self.place(node)
        return text(node) if text(node) == "default" else self.take(node, places.check_index_name)

    def source(self, node: Mapping) -> Source | None:
        """Where else than an index a package comes from."""
        words = [word for word in ("git", "path", "url") if node.get(word) is not None]
        if not words:
            for word in ("rev", "subdirectory", "sha256"):
                if key := node.key(word):
                    self.note(key.where, "missing-key", f"`{word}` needs `git` or `url` beside it", "add `git: ...`")
            return None
        word = words[0]
        allowed = {"git": ("rev", "subdirectory"), "path": (), "url": ("sha256", "subdirectory")}[word]
        others = ("git", "path", "url", "version", "index", "rev", "subdirectory", "sha256")
        self.excluded(node, word, tuple(other for other in others if other != word and other not in allowed))
        place = node.get(word)
        assert place is not None
        subdirectory = self.take_optional(node.get("subdirectory"), inner_path)
        if word == "path":
            return PathSource(path=self.relative(place))
        if word == "git":
            rev = self.take_optional(node.get("rev"), revision)
            url = self.take(place, lambda it: places.check_git_url(it, files=self.outside))
            return GitSource(git=url, rev=rev, subdirectory=subdirectory)
        return self.archive(place, self.sha256(node.get("sha256")), subdirectory)

    def archive(self, node: Node, sha256: Digest | None, subdirectory: str | None) -> UrlSource:
        """A wheel or source archive; ``#sha256=`` of its address counts."""
        url = self.take(node, places.check_url)
        address, _, fragment = url.partition("#")
        if fragment.startswith("sha256=") and sha256 is None:
            inside = Scalar(where=node.where, text=fragment.removeprefix("sha256="), plain=True)
            sha256 = self.sha256(inside)
        elif fragment:
            self.note(node.where, "bad-url", f"the address ends in #{fragment[:40]}", "use the keys of this mapping")
        elif not urlsplit(address).path.strip("/"):
            self.note(node.where, "bad-url", "this address leads to no file", "name a wheel or source archive")
        return UrlSource(url=address, sha256=sha256, subdirectory=subdirectory)


def marker(it: str) -> str:
    """A PEP 508 marker as ``packaging`` writes it.

    Raises:
        InvalidInput: ``bad-marker``.
    """
    from packaging.markers import InvalidMarker, Marker  # 75 ms: few recipes have markers

    try:
        return spelling.marker(str(Marker(it)))
    except (InvalidMarker, RecursionError):
        raise InvalidInput(
            f"{it[:60]!r} is not a marker (PEP 508)",
            reference="bad-marker",
            hint="write for example \"sys_platform == 'linux'\"",
        ) from None


def revision(it: str) -> str:
    """A branch, tag or commit that git cannot take for an option.

    Raises:
        InvalidInput: ``bad-name``.
    """
    if not spelling.is_revision(it):
        raise InvalidInput(
            f"{it[:60]!r} is not a branch, tag or commit",
            reference="bad-name",
            hint="write its name, such as main or v1.0, or the whole commit",
        )
    return it


def inner_path(it: str) -> str:
    """A path inside a repository or archive.

    Raises:
        InvalidInput: ``bad-path``.
    """
    parts = it.strip("/").split("/")
    if it.startswith(("/", "-", "~")) or "\\" in it or "\0" in it or any(part in {"", ".", ".."} for part in parts):
        raise InvalidInput(
            f"{it[:60]!r} is not a path inside the source",
            reference="bad-path",
            hint="write the folder from its root, such as python/toy",
        )
    return "/".join(parts)
