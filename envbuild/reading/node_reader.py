"""The tools of a document's reader: one grammar on one node, and every finding kept at the node's place.

Theory: ``NodeReader.take`` calls a grammar on a node; when the grammar refuses, the finding is noted and reading goes
on with a stand-in, which never leaves the reader, for findings end in one error.

Rules of the file: no file is opened; knows nothing of what a recipe holds.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from envbuild.digest import Digest, parse_digest
from envbuild.errors import InvalidInput, Issue, Where
from envbuild.reading import places
from envbuild.reading.document import Mapping, Node, Scalar, entries, text
from envbuild.recipe import CondaRequirement, PypiRequirement

Pairs = tuple[tuple[str, str], ...]
_Value = TypeVar("_Value")


class NodeReader:
    """Reads nodes of one document; ``issues`` holds what was wrong so far."""

    def __init__(self, *, file: Path, project: Path, outside: bool) -> None:
        self.file = file
        self.project = project
        self.outside = outside
        self.issues: list[Issue] = []

    def note(self, where: Where, reference: str, message: str, hint: str | None = None) -> None:
        """Keep one finding."""
        self.issues.append(Issue(message=message, reference=reference, where=where, hint=hint))

    def take(self, node: Node, grammar: Callable[[str], str]) -> str:
        """A node's text in its one spelling; the text itself after a finding."""
        try:
            return grammar(text(node))
        except InvalidInput as error:
            self.note(node.where, error.reference, error.message, error.hint)
            return text(node)

    def take_optional(self, node: Node | None, grammar: Callable[[str], str]) -> str | None:
        """As ``take``; None for an absent node."""
        return None if node is None else self.take(node, grammar)

    def taken(self, node: Node | None, grammar: Callable[[str], _Value]) -> _Value | None:
        """What a node's text means; None for an absent node, and after a finding."""
        if node is None:
            return None
        try:
            return grammar(text(node))
        except InvalidInput as error:
            self.note(node.where, error.reference, error.message, error.hint)
            return None

    def pairs(self, node: Node | None, name: Callable[[str], str], value: Callable[[str], str]) -> Pairs:
        """A mapping of texts, sorted by name."""
        return tuple(sorted((self.take(key, name), self.take(item, value)) for key, item in entries(node)))

    def relative(self, node: Node) -> str:
        """A path from the project's root."""
        return self.take(node, lambda it: places.check_path(it, self.file, self.project, self.outside))

    def place(self, node: Node) -> str:
        """An address or a folder."""
        return self.take(node, lambda it: places.check_place(it, self.file, self.project, self.outside))

    def channel(self, node: Node) -> str:
        """A conda channel."""
        return self.take(node, lambda it: places.check_channel(it, self.file, self.project, self.outside))

    def sha256(self, node: Node | None) -> Digest | None:
        """A sha256, or None when it is absent."""
        found = self.take_optional(node, parse_digest)
        return None if found is None else Digest(found)

    def is_new(self, name: str, other: CondaRequirement | PypiRequirement | None, key: Scalar) -> bool:
        """Whether a name stands for the first time; a finding when another spelling of it came before."""
        if other is None:
            return True
        line = other.where.line if other.where else None
        self.note(key.where, "duplicate-key", f"{name} stands twice, first in line {line}", "keep one of the two")
        return False

    def excluded(self, node: Mapping, word: str, others: tuple[str, ...]) -> None:
        """Note each key that cannot stand beside another."""
        for other in others:
            if (key := node.key(other)) and node.get(other) is not None:
                self.note(
                    key.where, "bad-value", f"`{other}` cannot stand beside `{word}`", f"remove `{other}` or `{word}`"
                )
