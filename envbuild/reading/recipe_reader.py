"""A recipe's marked tree to a ``Recipe``: every name, version, address and path checked, all findings at once.

Theory: the schema has said which keys stand where and of what type; what remains is the grammar of each text, and
what excludes what. Packages are read by ``section_reader``; both note their findings through ``node_reader``.

Rules of the file: no file is opened; bases, defaults and platforms are the business of ``envbuild.projects.merge``.
"""

from __future__ import annotations

from pathlib import Path

from envbuild.errors import InvalidInput, Issue, Where, beginning
from envbuild.names import parse_name, parse_pathspec, split_id
from envbuild.package import Platform
from envbuild.reading import spelling
from envbuild.reading.cutoff import cut_off_text
from envbuild.reading.document import (
    Mapping,
    Node,
    Scalar,
    entries,
    items,
    optional_boolean,
    optional_text,
    text,
)
from envbuild.reading.section_reader import SectionReader
from envbuild.reading.trial_words import command_words, module_name, program_name, time_limit
from envbuild.recipe import (
    ENVIRONMENTS,
    Base,
    BuildOptions,
    Include,
    Recipe,
    Target,
    Tests,
)


def read_recipe(
    root: Node, found: tuple[Issue, ...] = (), *, path: str, file: Path, project: Path, outside: bool
) -> Recipe:
    """The recipe that a tree says, when its schema has accepted it.

    Args:
        root: The document, without what its schema did not accept.
        found: What that was; the error, if any, holds it too.
        path: The file's path from the project's root, with ``/``.
        file: The file; paths in it are relative to its folder.
        project: The project's root.
        outside: Whether paths may leave the project.

    Raises:
        InvalidInput: With every finding of the file.
    """
    assert isinstance(root, Mapping)
    reader = RecipeReader(file=file, project=project, outside=outside)
    reader.issues.extend(found)
    recipe = reader.recipe(root, path)
    if reader.issues:
        raise InvalidInput.of(tuple(sorted(reader.issues, key=_order)))
    return recipe


def _named(text: str) -> str:
    """The label of a base that a name says."""
    return f"name:{parse_name(text)}"


def _identified(text: str) -> str:
    """The label of a base that an id says."""
    split_id(text)
    return f"id:{text}"


def _ran(text: str) -> str:
    """The label of a base that a step of a run says."""
    return f"pathspec:{parse_pathspec(text)}"


_LABELS = {"name": _named, "id": _identified, "pathspec": _ran}
"""How the label of a base is made that is an environment, by its key."""


def _order(issue: Issue) -> tuple[int, int]:
    where = issue.where
    return (where.line or 0, where.column or 0) if where else (0, 0)


class RecipeReader(SectionReader):
    """Reads one recipe."""

    def recipe(self, root: Mapping, path: str) -> Recipe:
        """The whole document."""
        python = root.get("python")
        platforms = root.get("platforms")
        name = root.get("name")
        return Recipe(
            path=path,
            name=self.take_optional(name, lambda name: parse_name(name).path),
            name_where=None if name is None else name.where,
            extends=self.bases(root.get("extends")),
            platforms=None if platforms is None else self.platforms(platforms),
            python=self.take_optional(python, spelling.python_constraint),
            python_where=None if python is None else python.where,
            interpreter=optional_text(root.get("interpreter")),
            exclude_newer=self.take_optional(root.get("exclude-newer"), cut_off_text),
            system=self.pairs(root.get("system"), spelling.system_name, spelling.system_version),
            conda=self.conda(root.get("conda")),
            pypi=self.pypi(root.get("pypi")),
            build=tuple(self.build(key, node) for key, node in entries(root.get("build"))),
            targets=tuple(self.target(key, node) for key, node in entries(root.get("targets"))),
            include=self.includes(root.get("include")),
            variables=self.pairs(root.get("variables"), spelling.variable_name, spelling.variable_value),
            bytecode=optional_boolean(root.get("bytecode")),
            tests=self.tests(root.get("test")),
        )

    def tests(self, node: Node | None) -> Tests | None:
        """``test:``; None after a finding, and for one that says nothing."""
        if not isinstance(node, Mapping):
            return None
        timeout = self.taken(node.get("timeout"), time_limit)
        found = Tests(
            imports=tuple(sorted({self.take(item, module_name) for item in items(node.get("imports"))})),
            entry_points=tuple(sorted({self.take(item, program_name) for item in items(node.get("entry-points"))})),
            commands=tuple(
                words for item in items(node.get("commands")) if (words := self.taken(item, command_words)) is not None
            ),
            timeout=Tests().timeout if timeout is None else timeout,
            network=optional_boolean(node.get("network")) is True,
        )
        if not (found.imports or found.entry_points or items(node.get("commands"))):
            hint = "write for example `imports: [numpy]`, or leave `test` out"
            self.note(node.where, "missing-key", "this test tests nothing", hint)
        return found

    def platforms(self, node: Node) -> tuple[Platform, ...] | None:
        """Each platform once, in the order written; None for an empty list."""
        return tuple(dict.fromkeys(Platform(text(item)) for item in items(node))) or None

    def bases(self, node: Node | None) -> tuple[Base, ...]:
        """``extends``: one base or several."""
        found: dict[str, Base] = {}
        for item in items(node):
            base = self.base(item)
            if base is not None and base.path in found:
                self.note(item.where, "duplicate-key", f"the base {base.path} stands twice", "keep one of the two")
            elif base is not None:
                found[base.path] = base
        return tuple(found.values())

    def base(self, node: Node) -> Base | None:
        """One entry of ``extends``; None after a finding."""
        if isinstance(node, Scalar):
            return self.base_file(node, pin=True, where=node.where)
        assert isinstance(node, Mapping)
        said = [word for word in ("path", *_LABELS) if node.key(word)]
        if len(said) != 1:
            hint = "write `{path: bases/base.yaml}`, `{name: team/base:stable}`, `{id: …}` or `{pathspec: …}`"
            none = "has no `path`, `name`, `id` or `pathspec`"
            told = "says " + " and ".join(f"`{word}`" for word in said) if said else none
            self.note(node.where, "bad-base" if said else "missing-key", f"this base {told}", hint)
            return None
        pin = optional_boolean(node.get("pin")) is not False
        value = node.get(said[0])
        assert value is not None
        if said[0] == "path":
            return self.base_file(value, pin=pin, where=node.where)
        if not pin:
            self.note(
                node.where,
                "bad-base",
                "an environment is what was locked: it has no requirements that could be had without its packages",
                "leave `pin` out, or extend its recipe",
            )
            return None
        return Base(path=self.take(value, _LABELS[said[0]]), where=node.where)

    def base_file(self, node: Node, *, pin: bool, where: Where) -> Base:
        """A base that is a recipe's file."""
        path = self.relative(node)
        if path.startswith(ENVIRONMENTS):
            kind, _, rest = path.partition(":")
            hint = f"an environment that is named: `extends: {{{kind}: {rest[:80]}}}`"
            self.note(node.where, "bad-path", f"{beginning(path, 80)!r} is no recipe's file", hint)
        return Base(path=path, pin=pin, where=where)

    def includes(self, node: Node | None) -> tuple[Include, ...]:
        """``include``: one foreign file or several."""
        found: dict[tuple[str, tuple[str, ...]], Include] = {}
        for item in items(node):
            include = self.include(item)
            if include is not None and (include.path, include.chosen) in found:
                self.note(item.where, "duplicate-key", f"the file {include.path} stands twice", "keep one of the two")
            elif include is not None:
                found[include.path, include.chosen] = include
        return tuple(found.values())

    def include(self, node: Node) -> Include | None:
        """One entry of ``include``: ``FILE``, ``FILE[word, word]`` or a mapping; None after a finding."""
        if isinstance(node, Scalar):
            path, bracket, inside = node.text.partition("[")
            if bracket and not inside.endswith("]"):
                self.note(
                    node.where,
                    "bad-path",
                    f"{beginning(node.text)!r} has no closing bracket",
                    "write FILE[group,extra]",
                )
                return None
            words = tuple(dict.fromkeys(word.strip() for word in inside[:-1].split(",") if word.strip()))
            bare = Scalar(where=node.where, text=path.strip(), plain=node.plain)
            return Include(path=self.relative(bare), chosen=words, where=node.where)
        assert isinstance(node, Mapping)
        found = node.get("path")
        if found is None:
            self.note(node.where, "missing-key", "this entry has no `path`", "write `{path: requirements.txt}`")
            return None
        return Include(
            path=self.relative(found),
            chosen=tuple(dict.fromkeys(text(item) for item in items(node.get("choose")))),
            format=optional_text(node.get("format")),
            where=node.where,
        )

    def target(self, key: Scalar, node: Node) -> Target:
        """``targets.<platform>``."""
        section = node if isinstance(node, Mapping) else Mapping(where=node.where, entries=())
        return Target(
            platform=Platform(key.text),
            system=self.pairs(section.get("system"), spelling.system_name, spelling.system_version),
            conda=self.conda(section.get("conda")),
            pypi=self.pypi(section.get("pypi")),
        )

    def build(self, key: Scalar, node: Node) -> BuildOptions:
        """``build.<name>``."""
        section = node if isinstance(node, Mapping) else Mapping(where=node.where, entries=())
        return BuildOptions(
            name=self.take(key, spelling.pypi_name),
            env=self.pairs(section.get("env"), spelling.variable_name, spelling.variable_value),
            config_settings=self.pairs(section.get("config-settings"), str, spelling.variable_value),
            host=tuple(self.take(item, spelling.requirement_words) for item in items(section.get("host"))),
            requires=tuple(self.take(item, spelling.requirement_words) for item in items(section.get("requires"))),
            toolchain=self.take_optional(section.get("toolchain"), spelling.requirement_words),
            where=key.where,
        )
