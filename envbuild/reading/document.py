"""YAML text to a tree whose every node knows its line: the one way in for files that people write.

Theory: PyYAML's C parser gives a flat stream of events, which cannot overflow a stack and expands nothing. The tree
is built from that stream here, with a limit on everything, and without what YAML 1.1 is feared for: no tags, no
anchors and aliases, no duplicate keys, no second document. Every scalar stays the text that was written, so that
``python: 3.10`` is 3.10 and ``no`` is a word; only a reader that wants a boolean or nothing asks a scalar for it.

Rules of the file: all that is wrong is collected and raised once; knows nothing of recipes; what keys may stand where
is the business of ``envbuild.reading.schema``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

from envbuild.errors import InvalidInput, Issue, Where, beginning
from envbuild.pattern import pattern
from envbuild.value import dataclass

LARGEST_FILE = 1 << 20
"""Bytes that a file may have."""
LARGEST_DEPTH = 32
"""Levels that collections may be nested."""
LARGEST_COUNT = 100_000
"""Nodes that a file may have."""
MOST_FINDINGS = 100
"""Findings after which nobody reads on."""

_FORBIDDEN = pattern("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffe\uffff]")
_CONFLICT = pattern(r"^(?:<{7}|>{7})(?:[ \t]|\r?$)", re.MULTILINE)
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}

Plain = None | bool | str | list["Plain"] | dict[str, "Plain"]
"""A tree without its places: what a JSON Schema is held against."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scalar:
    """One text, as written; ``plain`` when it stands without quotes."""

    where: Where
    text: str
    plain: bool

    @property
    def empty(self) -> bool:
        """Whether it says nothing: no text, ``~`` or ``null``, without quotes."""
        return self.plain and self.text in _NULLS

    def value(self) -> bool | str | None:
        """Nothing, a boolean, or text: the core schema of YAML 1.2, with numbers left as text."""
        if self.plain:
            return None if self.text in _NULLS else _BOOLEANS.get(self.text, self.text)
        return self.text


@dataclass(frozen=True, slots=True, kw_only=True)
class Sequence:
    """Nodes in order."""

    where: Where
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapping:
    """Keys and nodes in the order of the file; no two keys are equal."""

    where: Where
    entries: tuple[tuple[Scalar, Node], ...]

    def get(self, name: str) -> Node | None:
        """The node of a key; None when the key is absent, or says nothing (as in ``packages:``)."""
        for key, node in self.entries:
            if key.text == name:
                return None if isinstance(node, Scalar) and node.empty else node
        return None

    def key(self, name: str) -> Scalar | None:
        """The key itself, for its place."""
        return next((key for key, _ in self.entries if key.text == name), None)


Node = Scalar | Sequence | Mapping


def entries(node: Node | None) -> tuple[tuple[Scalar, Node], ...]:
    """The entries of a mapping; none when it is absent. The schema has said that it is a mapping."""
    if node is None:
        return ()
    assert isinstance(node, Mapping)
    return node.entries


def items(node: Node | None) -> tuple[Node, ...]:
    """The items of a sequence; one for a single text, none when it is absent."""
    if node is None:
        return ()
    return node.items if isinstance(node, Sequence) else (node,)


def text(node: Node) -> str:
    """The text of a scalar. The schema has said that it is one."""
    assert isinstance(node, Scalar)
    return node.text


def optional_text(node: Node | None) -> str | None:
    """The text of a scalar, or None when it is absent."""
    return None if node is None else text(node)


def optional_boolean(node: Node | None) -> bool | None:
    """A boolean, or None when it is absent. The schema has said that it is one."""
    if node is None:
        return None
    assert isinstance(node, Scalar)
    value = node.value()
    assert isinstance(value, bool)
    return value


def plain(node: Node) -> Plain:
    """The tree without its places."""
    if isinstance(node, Mapping):
        return {key.text: plain(item) for key, item in node.entries}
    if isinstance(node, Sequence):
        return [plain(item) for item in node.items]
    return node.value()


def at(node: Node, path: tuple[str | int, ...]) -> Node:
    """The node that a path of keys and positions leads to.

    Raises:
        KeyError: When there is none.
    """
    for step in path:
        if isinstance(node, Mapping):
            node = next((item for key, item in node.entries if key.text == step), node)
        elif isinstance(node, Sequence) and isinstance(step, int):
            node = node.items[step]
        else:
            raise KeyError(path)
    return node


def parse(
    data: bytes,
    file: str,
    *,
    largest: int = LARGEST_FILE,
    most: int = LARGEST_COUNT,
    when_empty: str | None = "see `envbuild init`",
) -> Node:
    """The marked tree of a YAML file.

    Args:
        data: The whole file.
        file: The file's name, for messages.
        largest: Bytes that it may have; more for locks.
        most: Nodes that it may have; more for locks.
        when_empty: The hint for a file without content.

    Raises:
        InvalidInput: With one issue per finding: ``too-large``, ``bad-encoding``, ``merge-conflict``, ``bad-syntax``,
            ``bad-yaml-tag``, ``bad-yaml-alias``, ``duplicate-key``, ``empty-file``.
    """
    content = _decode(data, file, largest)
    builder = _Builder(file, most, when_empty)
    try:
        root = builder.document(yaml.parse(content, Loader=yaml.CBaseLoader))
    except yaml.MarkedYAMLError as error:
        raise InvalidInput.of((*builder.issues, _syntax(error, content, file))) from None
    except yaml.YAMLError as error:
        raise InvalidInput(f"this is not YAML: {error}", reference="bad-syntax", where=Where(file=file)) from None
    if builder.issues:
        raise InvalidInput.of(tuple(builder.issues))
    return root


def _decode(data: bytes, file: str, largest: int) -> str:
    if len(data) > largest:
        raise InvalidInput(
            f"the file has {len(data):,} bytes; {largest:,} are allowed",
            reference="too-large",
            where=Where(file=file),
            hint="split it: a recipe can extend others with `extends:`",
        )
    if data.startswith((b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf")):
        raise InvalidInput(
            "the file begins with a byte order mark",
            reference="bad-encoding",
            where=Where(file=file, line=1, column=1),
            hint="save it as UTF-8 without a byte order mark",
        )
    try:
        content = data.decode()
    except UnicodeDecodeError as error:
        before = data[: error.start].decode()
        raise InvalidInput(
            f"byte 0x{data[error.start]:02x} is not UTF-8",
            reference="bad-encoding",
            where=_place(before, len(before), file),
            hint="save the file as UTF-8",
        ) from None
    if found := _CONFLICT.search(content):
        raise InvalidInput(
            "the file holds an unresolved merge conflict",
            reference="merge-conflict",
            where=_place(content, found.start(), file),
            hint="edit the lines between <<<<<<< and >>>>>>>, then `git add` the file",
        )
    if found := _FORBIDDEN.search(content):
        raise InvalidInput(
            f"the character U+{ord(found[0]):04X} may not stand in YAML",
            reference="bad-syntax",
            where=_place(content, found.start(), file),
            hint="remove the character; it is invisible in most editors",
        )
    return content


def _place(content: str, offset: int, file: str) -> Where:
    line = content.count("\n", 0, offset)
    return Where(file=file, line=line + 1, column=offset - (content.rfind("\n", 0, offset) + 1) + 1)


def _syntax(error: yaml.MarkedYAMLError, content: str, file: str) -> Issue:
    mark = error.problem_mark or error.context_mark
    where = Where(file=file, line=mark.line + 1, column=mark.column + 1) if mark else Where(file=file)
    problem = error.problem or "this is not YAML"
    lines = content.split("\n")
    line = lines[mark.line] if mark and mark.line < len(lines) else ""
    hint = "check the indentation and the quotes of this line and the one before it"
    if "\t" in line[: len(line) - len(line.lstrip())] or "tab" in problem or "'\\t'" in problem:
        problem, hint = "a tab is used for indentation", "indent with spaces"
    elif problem.startswith("mapping values are not allowed"):
        problem, hint = "a second `: ` in one line", "put the value in quotes if it contains `: `"
    elif problem == "found unexpected ':'":
        problem, hint = "a `:` in braces has no space after it", "write `key: value`, and `key: ` for no value"
    elif "cannot start any token" in problem:
        problem, hint = (
            f"{line[mark.column : mark.column + 1]!r} cannot begin a value" if mark else problem,
            ("put the value in quotes"),
        )
    elif "did not find expected <document start>" in problem:
        problem = "the text goes on after the document's end"
    context = f" {error.context}" if error.context and problem == error.problem else ""
    return Issue(message=f"{problem}{context}", reference="bad-syntax", where=where, hint=hint)


class _Builder:
    """One pass over the events; ``issues`` grows as it goes."""

    def __init__(self, file: str, most: int, when_empty: str | None) -> None:
        self.file = file
        self.most = most
        self.when_empty = when_empty
        self.issues: list[Issue] = []
        self.count = 0

    def document(self, events: Iterator[Any]) -> Node:
        """The only document of the stream."""
        root: Node | None = None
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                if root is not None:
                    self.report(event, "bad-syntax", "a second document begins here", "keep one document in a file")
                    raise InvalidInput.of(tuple(self.issues))
                if event.version or event.tags:
                    self.report(event, "bad-yaml-tag", "a % directive is not allowed", "remove the line")
            elif isinstance(event, (yaml.NodeEvent)):
                root = self.node(event, events, 1)
        if root is None or (isinstance(root, Scalar) and root.empty):
            raise InvalidInput(
                "the file is empty", reference="empty-file", where=Where(file=self.file), hint=self.when_empty
            )
        return root

    def node(self, event: Any, events: Iterator[Any], depth: int) -> Node:
        """One node, from its first event to its last; never deeper than ``LARGEST_DEPTH`` calls."""
        self.count += 1
        where = self.where(event)
        if depth > LARGEST_DEPTH or self.count > self.most:
            what = f"nested deeper than {LARGEST_DEPTH}" if depth > LARGEST_DEPTH else f"more than {self.most:,}"
            self.report(event, "too-large", f"the nodes of this file are {what}", "say it with fewer")
            raise InvalidInput.of(tuple(self.issues))
        if isinstance(event, yaml.AliasEvent):
            self.report(event, "bad-yaml-alias", f"the alias *{event.anchor} is not allowed", "write the value again")
            return Scalar(where=where, text="", plain=False)
        if event.anchor is not None:
            self.report(event, "bad-yaml-alias", f"the anchor &{event.anchor} is not allowed", "remove it")
        if event.tag is not None:
            self.report(event, "bad-yaml-tag", f"the tag {_short(event.tag)} is not allowed", "remove it")
        if isinstance(event, yaml.ScalarEvent):
            return Scalar(where=where, text=event.value, plain=event.style is None or event.style == "")
        if isinstance(event, yaml.SequenceStartEvent):
            children = []
            while not isinstance(event := next(events), yaml.SequenceEndEvent):
                children.append(self.node(event, events, depth + 1))
            return Sequence(where=where, items=tuple(children))
        return self.mapping(where, events, depth)

    def mapping(self, where: Where, events: Iterator[Any], depth: int) -> Mapping:
        """The entries up to the mapping's end."""
        found: dict[str, tuple[Scalar, Node]] = {}
        while not isinstance(event := next(events), yaml.MappingEndEvent):
            key = self.node(event, events, depth + 1)
            value = self.node(next(events), events, depth + 1)
            if not isinstance(key, Scalar):
                self.report(event, "bad-syntax", "a key must be text", "did you mean quotes around {{ or [ ?")
            elif key.text in found:
                first = found[key.text][0].where
                self.report(
                    event,
                    "duplicate-key",
                    f"{_short(key.text)} stands twice in one mapping, first in line {first.line}",
                    "keep one of the two",
                )
            else:
                found[key.text] = (key, value)
        return Mapping(where=where, entries=tuple(found.values()))

    def where(self, event: Any) -> Where:
        """The place where a node begins."""
        return Where(file=self.file, line=event.start_mark.line + 1, column=event.start_mark.column + 1)

    def report(self, event: Any, reference: str, message: str, hint: str) -> None:
        """Note one finding; too many of them end the reading."""
        self.issues.append(Issue(message=message, reference=reference, where=self.where(event), hint=hint))
        if len(self.issues) >= MOST_FINDINGS:
            raise InvalidInput.of(tuple(self.issues))


def _short(value: str) -> str:
    return repr(value if len(value) <= 60 else beginning(value, 57) + "...")
