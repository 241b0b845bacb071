"""``[tool.uv]``: indices, sources, constraints, overrides and what else of it a recipe can say.

Theory: uv takes requirements from ``[project]`` and tells in its own tables where the packages come from. A source with
a marker holds where the marker does; elsewhere the package comes from an index, so the requirement is split into one
for each case.

Rules of the file: a version beside a source becomes a constraint, for a recipe's requirement has one or the other.
"""

from __future__ import annotations

from typing import Any

from envbuild.errors import InvalidInput, Where
from envbuild.formats.asked import Asked
from envbuild.formats.markers import all_of, negated
from envbuild.formats.requirement_line import marker, read_requirement
from envbuild.formats.toml_text import Toml
from envbuild.package import normalize_pypi_name
from envbuild.reading import places, spelling
from envbuild.reading.places import WITH_FILES, check_git_url, check_url
from envbuild.reading.section_reader import inner_path, revision
from envbuild.recipe import GitSource, Index, PathSource, PypiRequirement, UrlSource
from envbuild.value import replace

_TABLE = "tool.uv"
_LOST = {
    "no-binary": "a wheel is taken where there is one",
    "no-binary-package": "a wheel is taken where there is one",
    "build-constraint-dependencies": "say `build: {<name>: {requires: […]}}` in the recipe",
    "exclude-newer": "say `exclude-newer` in the recipe",
    "exclude-newer-package": "a recipe has one cut-off, `exclude-newer`",
    "exclude-dependencies": "a recipe cannot leave out what a package needs; `overrides` replaces versions",
    "dependency-metadata": "a package's own metadata counts",
    "environments": "say `platforms` in the recipe",
    "required-environments": "say `platforms` in the recipe",
    "conflicts": "only what is chosen is read, so nothing can conflict",
    "resolution": "the highest versions are taken",
    "index-strategy": "the first index that has a name wins",
    "no-build-isolation": "every build is isolated",
    "no-build-isolation-package": "every build is isolated",
    "extra-build-variables": "say `build: {<name>: {env: {…}}}` in the recipe",
}
_SOURCE_KEYS = ("git", "url", "path", "index", "workspace")


class UvTables:
    """Reads ``[tool.uv]``; ``sourced`` gives requirements the sources that it names."""

    def __init__(self, toml: Toml, asked: Asked) -> None:
        self.toml = toml
        self.asked = asked
        self.table = toml.table(_TABLE)
        sources = self.table.get("sources")
        self.sources = {
            normalize_pypi_name(name): value for name, value in (sources if isinstance(sources, dict) else {}).items()
        }
        self.indices: dict[str, Index] = {}

    def settings(self) -> None:
        """Everything but sources and groups."""
        for key, why in _LOST.items():
            if self.table.get(key):
                self.asked.note(self.where(key), "lost", f"`{key}` of [tool.uv] has no effect here", why)
        self.read_indices()
        for key in ("constraint-dependencies", "override-dependencies"):
            into = self.asked.constraints if key.startswith("constraint") else self.asked.overrides
            for text in self.toml.texts(self.table.get(key), _TABLE, key):
                item = read_requirement(text, self.where(text), self.toml.document, self.asked)
                if item is not None:
                    into.append(replace(item, extras=()) if key.startswith("constraint") else item)
        prerelease = self.toml.one_text(self.table.get("prerelease"), _TABLE, "prerelease")
        if prerelease == "allow":
            self.asked.prereleases = True
        elif prerelease is not None and prerelease not in {"if-necessary-or-explicit", "if-necessary", "explicit"}:
            self.asked.prereleases = False
        names = {
            name
            for text in self.toml.texts(self.table.get("no-build-package"), _TABLE, "no-build-package")
            if (name := self.asked.take(text, spelling.pypi_name, self.where(text)))
        }
        if self.toml.flag(self.table.get("no-build"), _TABLE, "no-build"):
            self.asked.no_build = True
        elif names:
            self.asked.no_build = tuple(sorted(names))
        self.builds()

    def builds(self) -> None:
        """``config-settings-package`` and ``extra-build-dependencies``."""
        for name, settings in self.toml.table(f"{_TABLE}.config-settings-package").items():
            said = (
                {key: value for key, value in settings.items() if isinstance(value, str)}
                if isinstance(settings, dict)
                else {}
            )
            if (known := self.asked.take(name, spelling.pypi_name, self.where(name))) and said:
                self.asked.settings.setdefault(known, {}).update(said)
        for name, requires in self.toml.table(f"{_TABLE}.extra-build-dependencies").items():
            texts = tuple(item for item in requires if isinstance(item, str)) if isinstance(requires, list) else ()
            if (known := self.asked.take(name, spelling.pypi_name, self.where(name))) and texts:
                self.asked.build_requires[known] = texts

    def where(self, text: str) -> Where:
        """The place of a text in uv's tables."""
        return self.toml.where(_TABLE, text)

    def address(self, text: str, where: Where) -> str | None:
        """An index or find-links: an address, or a folder."""
        if "://" in text or text.lower().startswith("file:"):
            return self.asked.take(text, lambda it: check_url(it, WITH_FILES), where)
        return self.asked.take(text, lambda it: "./" + self.toml.document.beside(it), where)

    def read_indices(self) -> None:
        """``[[tool.uv.index]]``, and the keys that came before it."""
        for table in self.toml.tables(self.table.get("index"), f"{_TABLE}.index", "index"):
            url = self.toml.one_text(table.get("url"), f"{_TABLE}.index", "url")
            where = self.toml.where(f"{_TABLE}.index", url or "index")
            if url is None:
                self.asked.issue(where, "missing-key", "this index has no `url`", 'add `url = "…"`')
                continue
            found = self.address(url, where)
            if found is None:
                continue
            if table.get("format") == "flat":
                self.asked.find_links.append(found)
                continue
            name = table.get("name")
            said = self.asked.take(name, places.check_index_name, where) if isinstance(name, str) else None
            index = Index(name=said or found, url=found, explicit=table.get("explicit") is True)
            self.indices[index.name] = index
            if table.get("default") is True:
                self.asked.index = replace(index, explicit=False)
            else:
                self.asked.add_index(index)
        default = self.toml.one_text(self.table.get("index-url"), _TABLE, "index-url")
        if default and self.asked.index is None and (found := self.address(default, self.where(default))):
            self.asked.index = Index(name=found, url=found)
        for text in self.toml.texts(self.table.get("extra-index-url"), _TABLE, "extra-index-url"):
            if found := self.address(text, self.where(text)):
                self.asked.add_index(Index(name=found, url=found))
        for text in self.toml.texts(self.table.get("find-links"), _TABLE, "find-links"):
            if found := self.address(text, self.where(text)):
                self.asked.find_links.append(found)
        if self.toml.flag(self.table.get("no-index"), _TABLE, "no-index"):
            self.asked.no_index = True

    def sourced(self, item: PypiRequirement, group: str | None, extra: str | None) -> tuple[PypiRequirement, ...]:
        """A requirement with the sources that hold for it: one for each case that their markers make.

        Args:
            item: What ``[project]``, a group or an extra asks for.
            group: The group that it stands in, or None.
            extra: The extra that it stands in, or None.
        """
        value = self.sources.get(item.name)
        if value is None or item.source is not None:
            return (item,)
        where = self.toml.where(f"{_TABLE}.sources", item.name)
        found: list[PypiRequirement] = []
        rest: str | None = item.markers
        for table in self.toml.tables(value, f"{_TABLE}.sources", item.name):
            if table.get("extra") not in (None, extra) or table.get("group") not in (None, group):
                continue
            try:
                said = marker(table["marker"]) if isinstance(table.get("marker"), str) else None
                made = self.source(item, table, where)
                if made is not None:
                    found.append(replace(made, markers=all_of(rest, said)))
                if said is None:
                    return tuple(found)
                rest = all_of(rest, negated(said))
            except InvalidInput as error:
                self.asked.refused(error, where)
                return ()
        return (*found, replace(item, markers=rest))

    def source(self, item: PypiRequirement, table: dict[str, Any], where: Where) -> PypiRequirement | None:
        """A requirement with one source; None after a finding."""
        words = [word for word in _SOURCE_KEYS if table.get(word) not in (None, False)]
        if len(words) != 1:
            self.asked.issue(where, "bad-value", f"the source of {item.name} is not one of {', '.join(_SOURCE_KEYS)}")
            return None
        word, value = words[0], table[words[0]]
        if word == "workspace":
            self.asked.issue(
                where,
                "not-available",
                f"{item.name} comes from a workspace, which only uv puts together",
                f"name its folder in the recipe: `pypi: {{packages: {{{item.name}: {{path: …}}}}}}`",
            )
            return None
        if not isinstance(value, str):
            self.toml.wrong(f"{_TABLE}.sources", item.name, f"a table whose `{word}` is text")
            return None
        if word == "index":
            if value not in self.indices:
                self.asked.issue(
                    where, "unknown-index", f"{item.name} names the index {value[:40]!r}", "add [[tool.uv.index]]"
                )
                return None
            return replace(item, index=value)
        if item.version:
            self.asked.constraints.append(
                PypiRequirement(name=item.name, version=item.version, markers=item.markers, where=item.where)
            )
        return replace(item, version="", source=self.place(word, value, table, where))

    def place(self, word: str, value: str, table: dict[str, Any], where: Where) -> GitSource | UrlSource | PathSource:
        """A git repository, an archive or a folder."""
        subdirectory = table.get("subdirectory")
        inside = inner_path(subdirectory) if isinstance(subdirectory, str) else None
        if word == "git":
            revisions = [table[key] for key in ("rev", "tag", "branch") if isinstance(table.get(key), str)]
            url = check_git_url(value.removeprefix("git+"))
            return GitSource(git=url, rev=revision(revisions[0]) if revisions else None, subdirectory=inside)
        if word == "url":
            return UrlSource(url=check_url(value.partition("#")[0]), subdirectory=inside)
        if table.get("editable"):
            self.asked.note(
                where, "lost", "`editable` is left out: what can be edited cannot be locked", "see --editable"
            )
        return PathSource(path=self.toml.document.beside(value))
