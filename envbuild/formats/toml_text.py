"""TOML with places: the tree that the standard library reads, and where in the text a thing of it stands.

Theory: Python's parser gives no positions, and a second parser would be one more opinion on what TOML is. So a place is
looked up afterwards: in the table's own lines, the next one that holds the text in question. It is for messages; where
two equal texts stand in one table, it may be the other one's.

Rules of the file: reads no meaning; asks of a value only what type it has.
"""

from __future__ import annotations

import re
import sys
from typing import Any

from envbuild.errors import InvalidInput, Where
from envbuild.formats import Document
from envbuild.formats.asked import Asked
from envbuild.pattern import pattern

LARGEST_TOML = 4 << 20
"""Bytes that a file of requirements may have; locks are read elsewhere."""

DEEPEST_KEY = 64
"""Parts that a dotted key may have."""

_RUN = pattern(r"[\w.\"' \t-]+")
_HEADER = pattern(r"^[ \t]*\[{1,2}([^\]\n]*)\]{1,2}", re.MULTILINE)
_PLACE = pattern(r"\(at line (\d+), column (\d+)\)")


class Toml:
    """One file: ``tree`` is what it says."""

    def __init__(self, document: Document, asked: Asked) -> None:
        """Read the file.

        Raises:
            InvalidInput: ``bad-syntax``, ``bad-encoding``, ``too-large``.
        """
        self.document = document
        self.asked = asked
        self.text = _decoded(document)
        self.tree = _parsed(self.text, document)
        found = [(_bare(match[1]), match.start()) for match in _HEADER.finditer(self.text)]
        ends = [*(start for _, start in found), len(self.text)]
        self._tables = [(name, start, ends[index + 1]) for index, (name, start) in enumerate(found)]
        self._last: dict[str, int] = {}

    def where(self, table: str, text: str) -> Where:
        """Where a text stands in a table, such as a key or a requirement; the table's header else.

        Args:
            table: Dotted; what stands in tables below it, or in a table above it, counts too.
            text: What is looked for, as it is written.
        """
        near = [part for part in self._tables if part[0] == table or part[0].startswith(table + ".")]
        above = [part for part in self._tables if table.startswith(part[0] + ".")]
        for name, start, end in (*near, *reversed(above)):
            begin = max(self._last.get(name, start), start)
            for first in (begin, start):
                position = self._find(text, first, end)
                if position >= 0:
                    self._last[name] = position + 1
                    return self._at(position)
        position = self.text.find(text)
        if position < 0 and near:
            position = near[0][1]
        return self._at(max(position, 0))

    def _find(self, text: str, start: int, end: int) -> int:
        """The first position of a text, as whole words where it is one; -1 for none."""
        position = self.text.find(text, start, end)
        while position >= 0 and text.isidentifier():
            around = (
                self.text[max(position - 1, 0) : position] + self.text[position + len(text) : position + len(text) + 1]
            )
            if not re.search(r"[\w-]", around):
                break
            position = self.text.find(text, position + 1, end)
        return position

    def _at(self, position: int) -> Where:
        line = self.text.count("\n", 0, position) + 1
        return self.document.where(line, position - (self.text.rfind("\n", 0, position) + 1) + 1)

    def table(self, path: str) -> dict[str, Any]:
        """The table of a dotted path; empty when there is none, or after a finding."""
        found: Any = self.tree
        for step in path.split("."):
            found = found.get(step) if isinstance(found, dict) else None
        if found is None:
            return {}
        if not isinstance(found, dict):
            self.wrong(path, path.rpartition(".")[2], "a table")
            return {}
        return found

    def wrong(self, table: str, text: str, expected: str) -> None:
        """Note that something is of another type than it must be."""
        self.asked.issue(self.where(table, text), "bad-type", f"`{text[:60]}` must be {expected}")

    def texts(self, value: Any, table: str, key: str) -> tuple[str, ...]:
        """The texts of a list; those that are none are findings."""
        if value is None:
            return ()
        if not isinstance(value, list):
            self.wrong(table, key, "a list")
            return ()
        if not all(isinstance(item, str) for item in value):
            self.wrong(table, key, "a list of texts")
        return tuple(item for item in value if isinstance(item, str))

    def one_text(self, value: Any, table: str, key: str) -> str | None:
        """A text; None when it is absent, or after a finding."""
        if value is None or isinstance(value, str):
            return value
        self.wrong(table, key, "text")
        return None

    def flag(self, value: Any, table: str, key: str) -> bool | None:
        """True or false; None when it is absent, or after a finding."""
        if value is None or isinstance(value, bool):
            return value
        self.wrong(table, key, "true or false")
        return None

    def tables(self, value: Any, table: str, key: str) -> tuple[dict[str, Any], ...]:
        """The tables of a list of tables, or the one that stands alone."""
        found = value if isinstance(value, list) else [] if value is None else [value]
        if not all(isinstance(item, dict) for item in found):
            self.wrong(table, key, "tables")
        return tuple(item for item in found if isinstance(item, dict))


def _bare(header: str) -> str:
    return re.sub(r"[\s\"']", "", header)


def _decoded(document: Document) -> str:
    data = document.data.removeprefix(b"\xef\xbb\xbf")
    if len(data) > LARGEST_TOML:
        raise InvalidInput(
            f"the file has {len(data):,} bytes; {LARGEST_TOML:,} are allowed",
            reference="too-large",
            where=document.where(),
            hint="split it, or ask for less",
        )
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"byte 0x{data[error.start]:02x} is not UTF-8",
            reference="bad-encoding",
            where=document.where(data[: error.start].count(b"\n") + 1),
            hint="save the file as UTF-8",
        ) from None


def _parsed(text: str, document: Document) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    for run in _RUN.finditer(text):
        if run[0].count(".") > DEEPEST_KEY:  # the parser takes a time for these that grows with their square
            line = text.count("\n", 0, run.start()) + 1
            raise InvalidInput(
                "a key is nested too deeply", reference="too-large", where=document.where(line), hint="say it flatter"
            )
    try:
        return tomllib.loads(text.replace("\r\n", "\n"))
    except tomllib.TOMLDecodeError as error:
        found = _PLACE.search(str(error))
        where = document.where(int(found[1]), int(found[2])) if found else document.where()
        said = _PLACE.sub("", str(error)).strip()
        raise InvalidInput(
            f"this is not TOML: {said}", reference="bad-syntax", where=where, hint="check the quotes and brackets here"
        ) from None
    except (RecursionError, ValueError) as error:
        raise InvalidInput(
            f"this cannot be read as TOML: {str(error)[:80]}", reference="bad-syntax", where=document.where()
        ) from None
