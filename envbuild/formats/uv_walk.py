"""The walk through a ``uv.lock``: from what is asked for down to every package that one platform needs.

Theory: an edge holds under a marker, a name may stand for several packages of which a fork's markers choose one, and
extras open further edges. The walk keeps what it has seen, so a circle ends; what it has reached, with the edges that
held, is the environment.

Rules of the file: pure; every package is taken from the file as it stands.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from envbuild.errors import InvalidInput, UnsatisfiableError
from envbuild.formats.checked import Checked, bare_address
from envbuild.formats.files import foreign_file, git_source, inner_path, safe_file, to_seconds
from envbuild.formats.foreign_lock import ForeignEnvironment, ForeignFile, ForeignPypi, Wanted
from envbuild.formats.targets import TargetPython, check_twins
from envbuild.package import Platform


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """One dependency as the file has it; ``source`` as ``source_key`` has it."""

    name: str
    version: str | None
    source: str | None
    extras: tuple[str, ...]
    marker: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One ``[[package]]``."""

    name: str
    version: str | None
    source: Checked
    forks: tuple[str, ...]
    dependencies: tuple[Edge, ...]
    optional: dict[str, tuple[Edge, ...]]
    groups: dict[str, tuple[Edge, ...]]
    here: Checked

    @property
    def place(self) -> str | None:
        """The project's own folder, for a package that is a folder of the workspace."""
        for kind in ("virtual", "editable", "directory"):
            if isinstance(self.source.value, dict) and kind in self.source.value:
                return self.source.text(kind)
        return None


def source_key(source: Checked) -> str:
    """A source as text, to compare an edge's with a package's."""
    if not isinstance(source.value, dict):
        raise source.wrong("a table is expected")
    return ";".join(f"{name}={str(value)[:500]}" for name, value in sorted(source.value.items()))


@dataclass(kw_only=True)
class Walk:
    """The walk from the roots down, for one platform."""

    entries: dict[str, list[Entry]]
    target: TargetPython
    wanted: Wanted
    tree: Checked
    notes: list[str]
    extras: dict[str, set[str]] = field(default_factory=dict)
    requires: dict[str, dict[str, set[str]]] = field(default_factory=dict)
    found: dict[str, Entry] = field(default_factory=dict)
    specs: dict[str, str | None] = field(default_factory=dict)
    conflicts: frozenset[str] = frozenset()

    def start(self, root: Entry | None) -> None:
        """Walk from the project, or from the requirements of a script's lock."""
        todo: list[tuple[str | None, Edge]] = []
        if root is not None:
            self.conflicts = frozenset(
                [f"extra-{len(root.name)}-{root.name}-{extra}" for extra in self.wanted.extras]
                + [f"group-{len(root.name)}-{root.name}-{group}" for group in self.wanted.groups]
            )
            edges = [*root.dependencies]
            for extra in self.wanted.extras:
                edges += root.optional[extra]
            for group in self.wanted.groups:
                edges += root.groups[group]
            todo = [(None, edge) for edge in edges]
            self._specs(root.here)
            self.found[root.name] = root
        else:
            manifest = self.tree.at("manifest") if self.tree.has("manifest") else None
            asked = [item.pypi_name() for item in manifest.items("requirements")] if manifest is not None else []
            names = asked or self._nobody_needs()
            todo = [(None, Edge(name=name, version=None, source=None, extras=(), marker=None)) for name in names]
        self._walk(todo)
        if root is not None:
            del self.found[root.name]

    def lacks(self, root: Entry, kind: str, name: str, edges: tuple[Edge, ...]) -> bool:
        """Whether an extra or group that was not chosen would have brought anything that was not reached."""
        with_it = self.conflicts | {f"{kind}-{len(root.name)}-{root.name}-{name}"}
        for edge in edges:
            if not self.target.holds(edge.marker, self.tree.where, extras=(), conflicts=with_it):
                continue
            there = root if edge.name == root.name else self.found.get(edge.name)
            if there is None or edge.version not in (None, there.version):
                return True
            taken = self.extras.get(edge.name, set()) | (set(self.wanted.extras) if there is root else set())
            if not set(edge.extras) <= taken:
                return True
        return False

    def _nobody_needs(self) -> list[str]:
        needed = {edge.name for several in self.entries.values() for item in several for edge in item.dependencies}
        return sorted(set(self.entries) - needed) or sorted(self.entries)

    def _specs(self, root: Checked) -> None:
        if not root.has("metadata"):
            return
        metadata = root.at("metadata")
        asked = [*metadata.items("requires-dist")]
        if metadata.has("requires-dev"):
            for name, _ in metadata.entries("requires-dev"):
                asked += metadata.at("requires-dev").items(name)
        for item in asked:
            if self._holds(item.optional_text("marker"), self.wanted.extras):
                self.specs.setdefault(item.pypi_name(), item.optional_text("specifier"))

    def _holds(self, marker: str | None, extras: tuple[str, ...] = ()) -> bool:
        return self.target.holds(marker, self.tree.where, extras=extras, conflicts=self.conflicts)

    def _walk(self, todo: list[tuple[str | None, Edge]]) -> None:
        while todo:
            user, edge = todo.pop()
            if not self._holds(edge.marker):
                continue
            entry = self._pick(edge)
            if entry.name in self.found and self.found[entry.name].place == "." and user is not None:
                continue  # a dependency that needs the project itself
            if user is not None:
                self.requires.setdefault(user, {}).setdefault(entry.name, set()).update(edge.extras)
            else:
                self.specs.setdefault(entry.name, None)
            new = set(edge.extras) - self.extras.setdefault(entry.name, set())
            if entry.name not in self.found:
                self.found[entry.name] = entry
                todo += [(entry.name, item) for item in entry.dependencies]
            elif self.found[entry.name] is not entry:
                raise InvalidInput(
                    f"{entry.name} is needed as {self.found[entry.name].version} and as {entry.version} at once",
                    reference="two-packages",
                    where=self.tree.where,
                    hint="extras or groups that exclude each other were chosen together",
                )
            self.extras[entry.name] |= new
            for extra in sorted(new):
                todo += [(entry.name, item) for item in entry.optional.get(extra, ())]

    def _pick(self, edge: Edge) -> Entry:
        """The package that an edge means: of several of one name, the one whose fork this platform is on."""
        several = [
            item
            for item in self.entries.get(edge.name, ())
            if edge.version in (None, item.version) and (edge.source is None or edge.source == source_key(item.source))
        ]
        if len(several) > 1:
            several = [item for item in several if not item.forks or any(self._holds(fork) for fork in item.forks)]
        if len(several) != 1:
            what = "several times" if several else "nowhere"
            raise InvalidInput(
                f"{edge.name} is needed, and stands {what} in the file for {self.target.target.platform}",
                reference="bad-foreign-lock",
                where=self.tree.where,
                hint="uv lock",
            )
        return several[0]

    def environment(self, python: str) -> ForeignEnvironment:
        """What was reached."""
        packages = tuple(self._package(entry) for _, entry in sorted(self.found.items()))
        found = ForeignEnvironment(
            platform=Platform(self.target.target.platform),
            python=python,
            pypi=packages,
            system=tuple(sorted(self.target.raised.items())),
        )
        return check_twins(found, self.tree.where)

    def _package(self, entry: Entry) -> ForeignPypi:
        source = entry.source
        common: dict[str, Any] = {
            "name": entry.name,
            "version": entry.version,
            "requires": tuple(
                f"{name}[{','.join(sorted(extras))}]" if extras else name
                for name, extras in sorted(self.requires.get(entry.name, {}).items())
            ),
            "extras": tuple(sorted(self.extras.get(entry.name, ()))),
            "asked": entry.name in self.specs,
            "spec": self.specs.get(entry.name),
            "where": self.tree.where,
        }
        if entry.place is not None:
            if "editable" in source.value:
                self.notes.append(f"{entry.name}: uv installs {entry.place} editable; here it is built from the folder")
            return ForeignPypi(**common, path=inner_path(entry.place, source))
        if source.has("git"):
            return ForeignPypi(**common, **git_source(source.text("git"), source))
        archive = self._archive(entry)
        if source.has("registry"):
            registry = source.text("registry")
            if "://" in registry:
                return ForeignPypi(**common, archive=archive, index=bare_address(registry, source))
            return ForeignPypi(**common, archive=archive, links=inner_path(registry, source))
        if source.has("url"):
            return ForeignPypi(
                **common,
                archive=archive or foreign_file(source),
                direct=True,
                subdirectory=source.optional_text("subdirectory"),
            )
        if source.has("path"):
            path = inner_path(source.text("path"), source)
            return ForeignPypi(**common, archive=archive, direct=True, path=path)
        raise source.wrong("a source that envbuild knows is expected")

    def _archive(self, entry: Entry) -> ForeignFile | None:
        """The wheel that fits; else the source archive, which uv would build as well."""
        wheels = [_file(item) for item in entry.here.items("wheels")]
        source = _file(entry.here.at("sdist")) if entry.here.has("sdist") else None
        try:
            return self.target.best(wheels, entry.name, self.tree.where) or source
        except UnsatisfiableError:
            if source is None:
                raise
            return source


def _file(item: Checked) -> ForeignFile:
    digest = item.optional_text("hash")
    sha256 = item.sha256("hash") if digest is not None and digest.startswith("sha256:") else None
    size, upload = item.integer("size"), item.at("upload-time").value
    upload_time = to_seconds(str(upload)) if upload is not None else None
    if item.has("url"):
        return foreign_file(item, sha256=sha256, size=size, upload_time=upload_time)
    name = item.text("path") if item.has("path") else item.text("filename")
    return ForeignFile(
        file=safe_file(name.replace("\\", "/").rsplit("/", 1)[-1], item),
        sha256=sha256,
        size=size,
        upload_time=upload_time,
    )
