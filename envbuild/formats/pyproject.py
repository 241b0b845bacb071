"""``pyproject.toml``: what a project's own table, its groups and extras, uv's and poetry's tables ask for.

``pyproject.toml`` alone means what the project needs to run: ``[project] dependencies``, else poetry's. Words in
brackets add to it: ``pyproject.toml[test,docs]`` names extras and dependency groups; where both have a name,
``extra:test`` and ``group:test`` decide. The project itself is not installed.

Theory: requirements are PEP 508 (PEP 621, PEP 735) or poetry's; where they come from stands in tables of the tools. A
project that lets its build backend say what it needs states it nowhere: that is refused, but for setuptools' lists in
files, which are read.

Rules of the file: PEP 621, 735; the tables of tools stand in ``uv_tables`` and ``poetry_tables``.
"""

from __future__ import annotations

import re
from typing import Any

from envbuild.errors import InvalidInput, Where
from envbuild.formats import Document, Foreign
from envbuild.formats.asked import Asked
from envbuild.formats.markers import all_of
from envbuild.formats.poetry_tables import PoetryTables
from envbuild.formats.requirement_line import read_requirement
from envbuild.formats.requirements import read_into
from envbuild.formats.toml_text import Toml
from envbuild.formats.uv_tables import UvTables
from envbuild.package import normalize_pypi_name
from envbuild.reading import spelling
from envbuild.reading.schema import closest
from envbuild.value import replace

_SETUPTOOLS = "tool.setuptools.dynamic"


def read(document: Document) -> Foreign:
    """What a project asks for, with the groups and extras that were chosen.

    Raises:
        InvalidInput: With every finding.
    """
    asked = Asked()
    return PyprojectReader(Toml(document, asked), asked).read()


class PyprojectReader:
    """Reads one ``pyproject.toml``."""

    def __init__(self, toml: Toml, asked: Asked) -> None:
        self.toml = toml
        self.asked = asked
        self.uv = UvTables(toml, asked)
        self.poetry = PoetryTables(toml, asked)
        self.project = toml.table("project")
        self.own = normalize_pypi_name(str(self.project.get("name") or self.poetry.table.get("name") or ""))
        self.extras = self.named("project", self.project.get("optional-dependencies"), "optional-dependencies")
        self.groups = self.named("", toml.tree.get("dependency-groups"), "dependency-groups")
        legacy = self.uv.table.get("dev-dependencies")
        if legacy is not None:
            self.groups = {
                **self.groups,
                "dev": [*self.groups.get("dev", []), *(legacy if isinstance(legacy, list) else [])],
            }
        self.poetry_groups = self.poetry_tables()

    def named(self, table: str, value: Any, key: str) -> dict[str, Any]:
        """A table by the normalized names of its keys."""
        if value is None:
            return {}
        if not isinstance(value, dict):
            self.toml.wrong(table or key, key, "a table")
            return {}
        return {normalize_pypi_name(name): item for name, item in value.items()}

    def poetry_tables(self) -> dict[str, str]:
        """Poetry's groups: name to the dotted path of the table of dependencies."""
        groups = self.poetry.table.get("group")
        found = {
            normalize_pypi_name(name): f"tool.poetry.group.{name}.dependencies"
            for name in (groups if isinstance(groups, dict) else {})
        }
        if "dev-dependencies" in self.poetry.table:
            found.setdefault("dev", "tool.poetry.dev-dependencies")
        return found

    def read(self) -> Foreign:
        """Everything that was chosen."""
        self.uv.settings()
        self.poetry.sources()
        groups, extras = self.choices()
        self.own_dependencies(extras)
        for extra in extras:
            self.take_extra(extra, None, ())
        for group in groups:
            self.group(group, ())
        self.untaken(groups)
        python, where = self.python()
        name = self.project.get("name") or self.poetry.table.get("name")
        return self.asked.foreign(name=name if isinstance(name, str) else None, python=python, python_where=where)

    def choices(self) -> tuple[list[str], list[str]]:
        """The groups and the extras that the words in brackets name."""
        groups: list[str] = []
        extras: list[str] = []
        known_groups = {*self.groups, *self.poetry_groups}
        known_extras = {
            *self.extras,
            *self.optional_dynamic(),
            *map(normalize_pypi_name, self.toml.table("tool.poetry.extras")),
        }
        for word in self.toml.document.chosen:
            kind, _, name = word.rpartition(":")
            name = normalize_pypi_name(name.strip())
            as_group = name in known_groups and kind in {"", "group"}
            as_extra = name in known_extras and kind in {"", "extra"}
            where = self.toml.document.where()
            if as_group and as_extra:
                self.asked.issue(
                    where, "bad-choice", f"{name!r} is a group and an extra", f"write group:{name} or extra:{name}"
                )
            elif as_group:
                groups.append(name)
            elif as_extra:
                extras.append(name)
            else:
                known = sorted({*known_groups, *known_extras})
                hint = closest(name, known) or ("there are: " + ", ".join(known)[:200] if known else "it has neither")
                self.asked.issue(where, "bad-choice", f"there is no group and no extra {word[:60]!r}", hint)
        return list(dict.fromkeys(groups)), list(dict.fromkeys(extras))

    def own_dependencies(self, extras: list[str]) -> None:
        """What the project needs to run."""
        dynamic = self.toml.texts(self.project.get("dynamic"), "project", "dynamic")
        if "dependencies" in self.project:
            self.listed(self.project["dependencies"], "project", "dependencies")
            self.enrich()
        elif self.poetry.table.get("dependencies") is not None:
            self.asked.packages += self.poetry.dependencies("tool.poetry.dependencies", tuple(extras))
        elif "dependencies" in dynamic:
            self.dynamic("dependencies", self.toml.table(_SETUPTOOLS).get("dependencies"))

    def enrich(self) -> None:
        """Poetry's own table beside ``[project] dependencies`` says where the same packages come from."""
        if not self.poetry.table.get("dependencies"):
            return
        said = {item.name: item for item in self.poetry.dependencies("tool.poetry.dependencies", ())}
        self.asked.packages = [
            replace(
                item,
                source=said[item.name].source,
                index=said[item.name].index,
                version="" if said[item.name].source else item.version,
            )
            if item.name in said and (said[item.name].source or said[item.name].index)
            else item
            for item in self.asked.packages
        ]

    def listed(
        self,
        value: Any,
        table: str,
        key: str,
        *,
        group: str | None = None,
        extra: str | None = None,
        markers: str | None = None,
        trail: tuple[str, ...] = (),
    ) -> None:
        """A list of PEP 508 requirements; one that names the project itself stands for the extras that it names.

        Args:
            value: The list.
            table: The table that it stands in, for places.
            key: Its key there.
            group: The group that it is, for uv's sources.
            extra: The extra that it is, likewise.
            markers: Under what condition all of it is asked for.
            trail: The extras that led here.
        """
        for text in self.toml.texts(value, table, key):
            where = self.toml.where(table, text)
            item = read_requirement(text, where, self.toml.document, self.asked)
            if item is None:
                continue
            both = all_of(item.markers, markers)
            if item.name == self.own and item.extras and item.source is None:
                for name in item.extras:
                    self.take_extra(name, both, trail)
            else:
                self.asked.packages += self.uv.sourced(replace(item, markers=both), group, extra)

    def take_extra(self, name: str, markers: str | None, trail: tuple[str, ...]) -> None:
        """One extra; an extra may name others of the same project, also in a circle, which adds nothing."""
        if name in trail or len(trail) > 32:
            return
        if name in self.extras:
            table = "project.optional-dependencies"
            self.listed(self.extras[name], table, name, extra=name, markers=markers, trail=(*trail, name))
        elif name in self.optional_dynamic():
            self.dynamic(name, self.optional_dynamic()[name])

    def optional_dynamic(self) -> dict[str, Any]:
        """Extras that setuptools reads from files."""
        return self.named(
            _SETUPTOOLS, self.toml.table(_SETUPTOOLS).get("optional-dependencies"), "optional-dependencies"
        )

    def group(self, name: str, trail: tuple[str, ...]) -> None:
        """One dependency group (PEP 735) with those that it includes, or poetry's group of that name."""
        where = self.toml.where("dependency-groups", name)
        if name in trail:
            circle = " -> ".join([*trail, name])
            self.asked.issue(
                where, "include-cycle", f"groups include each other in a circle: {circle}"[:400], "remove one"
            )
            return
        if name in self.poetry_groups:
            self.asked.packages += self.poetry.dependencies(self.poetry_groups[name], ())
        entries = self.groups.get(name)
        if entries is None:
            if name not in self.poetry_groups:
                hint = closest(name, sorted(self.groups)) or "name one that is there"
                self.asked.issue(where, "bad-choice", f"there is no group {name[:60]!r}", hint)
            return
        if not isinstance(entries, list):
            self.toml.wrong("dependency-groups", name, "a list")
            return
        for entry in entries:
            if isinstance(entry, str):
                self.listed([entry], "dependency-groups", name, group=name)
            elif (
                isinstance(entry, dict) and set(entry) == {"include-group"} and isinstance(entry["include-group"], str)
            ):
                if len(trail) < 32:
                    self.group(normalize_pypi_name(entry["include-group"]), (*trail, name))
            else:
                self.toml.wrong("dependency-groups", name, "a list of requirements and {include-group = …}")

    def dynamic(self, what: str, value: Any) -> None:
        """Requirements that setuptools reads from files, which is done here too; others are refused."""
        files = value.get("file") if isinstance(value, dict) else None
        where = self.toml.where(_SETUPTOOLS if files else "project", what)
        names = [files] if isinstance(files, str) else files
        if not isinstance(names, list) or not all(isinstance(item, str) for item in names):
            self.asked.issue(
                where,
                "dynamic",
                f"`{what}` of this project is made by its build backend, and no build runs to read requirements",
                "add the project itself: `pypi: {packages: {" + (self.own or "name") + ": {path: .}}}`",
            )
            return
        for name in names:
            try:
                read_into(self.asked, self.toml.document.open(name))
            except InvalidInput as error:
                if error.issues:
                    raise
                self.asked.refused(error, where)

    def untaken(self, groups: list[str]) -> None:
        """Say which groups their tools would install without being asked."""
        table = self.poetry.table.get("group")
        poetry = {
            normalize_pypi_name(name)
            for name, value in (table if isinstance(table, dict) else {}).items()
            if isinstance(value, dict) and value.get("optional") is not True
        }
        if "dev-dependencies" in self.poetry.table:
            poetry.add("dev")
        default = self.uv.table.get("default-groups", ["dev"] if "dev" in self.groups else [])
        mine = (
            {normalize_pypi_name(item) for item in default if isinstance(item, str)}
            if isinstance(default, list)
            else set()
        )
        for tool, names in (("poetry", poetry), ("uv", mine & {*self.groups})):
            left = sorted(names - {*groups})
            if left:
                hint = f"choose them: {self.toml.document.file.rpartition('/')[2]}[{','.join([*groups, *left])}]"
                self.asked.note(
                    self.toml.document.where(),
                    "not-chosen",
                    f"{tool} would install the groups {', '.join(left)} too",
                    hint,
                )

    def python(self) -> tuple[str | None, Where | None]:
        """``requires-python``, else poetry's."""
        text = self.toml.one_text(self.project.get("requires-python"), "project", "requires-python")
        if text is None:
            return self.poetry.python()
        where = self.toml.where("project", "requires-python")
        # A pre-release as the upper bound (`<4.0a0`) says no more about releases than the release itself.
        bare = re.sub(r"(<\s*[0-9.]+)\.?(?:a|b|rc|dev)[0-9]+", r"\1", text)
        pieces = [piece.strip() for piece in bare.split(",") if piece.strip()]
        if not pieces:
            return None, None
        # Here, other than in a recipe, a bare version of two numbers would be exact; PEP 440 has no bare versions.
        said = self.asked.take(",".join(pieces), spelling.python_constraint, where)
        return said, where
