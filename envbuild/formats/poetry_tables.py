"""``[tool.poetry]``: dependencies, groups, extras and sources in poetry's own tables.

Theory: a dependency is a constraint, a table, or several tables for several cases; ``python`` and ``platform`` in a
table are markers. What is ``optional`` is asked for only by the extras that name it.

Rules of the file: versions through ``poetry_version``; a version beside a git repository or archive is none here.
"""

from __future__ import annotations

from typing import Any

from envbuild.errors import InvalidInput, Where
from envbuild.formats.asked import Asked
from envbuild.formats.markers import all_of, for_python
from envbuild.formats.poetry_version import poetry_constraint
from envbuild.formats.requirement_line import marker
from envbuild.formats.toml_text import Toml
from envbuild.package import normalize_pypi_name
from envbuild.reading import places, spelling
from envbuild.reading.places import check_git_url, check_url
from envbuild.reading.section_reader import inner_path, revision
from envbuild.recipe import GitSource, Index, PathSource, PypiRequirement, UrlSource
from envbuild.value import replace

_TABLE = "tool.poetry"


class PoetryTables:
    """Reads ``[tool.poetry]``."""

    def __init__(self, toml: Toml, asked: Asked) -> None:
        self.toml = toml
        self.asked = asked
        self.table = toml.table(_TABLE)
        self.indices: dict[str, Index] = {}

    def sources(self) -> None:
        """``[[tool.poetry.source]]``."""
        for table in self.toml.tables(self.table.get("source"), f"{_TABLE}.source", "source"):
            name, url = table.get("name"), table.get("url")
            where = self.toml.where(f"{_TABLE}.source", name if isinstance(name, str) else "source")
            if not isinstance(name, str) or not isinstance(url, str):
                if not isinstance(name, str) or name.lower() != "pypi":
                    self.asked.issue(where, "missing-key", "this source has no `name` or no `url`", "add them")
                continue
            said = self.asked.take(name, places.check_index_name, where)
            found = self.asked.take(url, check_url, where)
            if said is None or found is None:
                continue
            priority = table.get("priority", "primary")
            index = Index(name=said, url=found, explicit=priority == "explicit")
            self.indices[said] = index
            if priority == "default" or table.get("default") is True:
                self.asked.index = index
                continue
            self.asked.add_index(index)
            if priority in {"supplemental", "secondary"} or table.get("secondary") is True:
                self.asked.note(
                    where, "lost", f"the source {said} is asked first, and the first that has a name wins", "see docs"
                )

    def python(self) -> tuple[str | None, Where | None]:
        """``python`` among the dependencies."""
        text = self.toml.table(f"{_TABLE}.dependencies").get("python")
        if not isinstance(text, str):
            return None, None
        where = self.toml.where(f"{_TABLE}.dependencies", "python")
        said = self.asked.take(text, lambda it: spelling.python_constraint(poetry_constraint(it) or ">=3"), where)
        return (said, where) if poetry_or_any(text) else (None, None)

    def dependencies(self, table: str, chosen_extras: tuple[str, ...]) -> list[PypiRequirement]:
        """Every requirement of a table of dependencies.

        Args:
            table: Its dotted path.
            chosen_extras: Extras whose optional packages are meant too.
        """
        wanted = self.optional(chosen_extras)
        found: list[PypiRequirement] = []
        for name, value in self.toml.table(table).items():
            if name == "python":
                continue
            where = self.toml.where(table, name)
            self.asked.more(where)
            for one in value if isinstance(value, list) else [value]:
                try:
                    item = self.dependency(name, one, table, where, wanted)
                except InvalidInput as error:
                    self.asked.refused(error, where)
                    continue
                if item is not None:
                    found.append(item)
        return found

    def optional(self, chosen: tuple[str, ...]) -> set[str]:
        """The names of optional packages that extras ask for."""
        extras = {normalize_pypi_name(name): value for name, value in self.toml.table(f"{_TABLE}.extras").items()}
        return {
            normalize_pypi_name(item.partition("[")[0].partition(" ")[0])
            for name in chosen
            for item in self.toml.texts(extras.get(name), f"{_TABLE}.extras", name)
        }

    def dependency(self, name: str, value: Any, table: str, where: Where, wanted: set[str]) -> PypiRequirement | None:
        """One package in one case; None when it is optional and not wanted."""
        known = spelling.pypi_name(name)
        if isinstance(value, str):
            return PypiRequirement(name=known, version=_specifiers(value), where=where)
        if not isinstance(value, dict):
            self.toml.wrong(table, name, "a constraint or a table")
            return None
        if value.get("optional") is True and known not in wanted:
            return None
        texts = {key: item for key, item in value.items() if isinstance(item, str)}
        extras = {spelling.pypi_name(item) for item in self.toml.texts(value.get("extras"), table, "extras")}
        item = PypiRequirement(
            name=known,
            version=_specifiers(texts.get("version", "*")),
            extras=tuple(sorted(extras)),
            markers=_markers(texts),
            where=where,
        )
        if value.get("allow-prereleases") is True:
            self.asked.prereleases = self.asked.add_names(self.asked.prereleases, (known,))
        return self.placed(item, texts, value, where)

    def placed(
        self, item: PypiRequirement, texts: dict[str, str], value: dict[str, Any], where: Where
    ) -> PypiRequirement:
        """A requirement with the place that its table names."""
        inside = inner_path(texts["subdirectory"]) if "subdirectory" in texts else None
        if "git" in texts:
            revisions = [texts[key] for key in ("rev", "tag", "branch") if key in texts]
            git = check_git_url(texts["git"].removeprefix("git+"))
            source = GitSource(git=git, rev=revision(revisions[0]) if revisions else None, subdirectory=inside)
            return replace(item, version="", source=source)
        if "url" in texts:
            return replace(
                item, version="", source=UrlSource(url=check_url(texts["url"].partition("#")[0]), subdirectory=inside)
            )
        if "path" in texts or "file" in texts:
            if value.get("develop") is True:
                self.asked.note(
                    where, "lost", "`develop` is left out: what can be edited cannot be locked", "see --editable"
                )
            path = self.toml.document.beside(texts.get("path") or texts["file"])
            return replace(item, version="", source=PathSource(path=path))
        name = texts.get("source")
        if name is None or name.lower() == "pypi":
            return item
        if name not in self.indices:
            self.asked.issue(
                where, "unknown-index", f"{item.name} names the source {name[:40]!r}", "add [[tool.poetry.source]]"
            )
            return item
        return replace(item, index=name)


def poetry_or_any(text: str) -> bool:
    """Whether a constraint says anything."""
    return text.strip() not in {"", "*"}


def _specifiers(text: str) -> str:
    return spelling.pypi_constraint(poetry_constraint(text))


def _markers(texts: dict[str, str]) -> str | None:
    said = marker(texts["markers"]) if "markers" in texts else None
    python = spelling.python_constraint(poetry_constraint(texts["python"])) if "python" in texts else ""
    platform = f'sys_platform == "{texts["platform"]}"' if texts.get("platform", "").isalnum() else None
    return all_of(said, for_python(python) if python else None, platform)
