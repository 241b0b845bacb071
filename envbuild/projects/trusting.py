"""``trusted`` of the user's own configuration file, edited as text: addresses come and go, all else stays as it is.

Rules of the file: the list is written as one block; what is written is read again before it takes the file's place.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping as Map
from pathlib import Path

from envbuild.errors import InvalidInput, UsageError
from envbuild.machine.disk import writing
from envbuild.projects.config import check_document, user_file
from envbuild.reading.document import Mapping, Node, Sequence, parse, text
from envbuild.reading.document import items as items_of

_KEY = "trusted"


def trusted_by_user(environ: Map[str, str]) -> tuple[str, ...]:
    """What the user's own file trusts.

    Raises:
        InvalidInput: When the file is wrong.
    """
    file = _file(environ)
    return _entries(_document(_read(file), file))


def change_trusted(environ: Map[str, str], *, add: str | None = None, remove: str | None = None) -> tuple[str, ...]:
    """Add or remove an address; gives what is trusted then. The file is made when there is none.

    Raises:
        InvalidInput: When the file is wrong, or cannot be edited as text.
        UsageError: ``not-trusted`` when what is to be removed is not there.
        NoSpaceError: When it cannot be written.
    """
    file = _file(environ)
    before = _read(file)
    document = _document(before, file)
    entries = _entries(document)
    if remove is not None and remove not in entries:
        known = ", ".join(entries) or "nothing"
        raise UsageError(f"{remove} is not trusted: {file} names {known}", reference="not-trusted")
    after = tuple(entry for entry in entries if entry != remove)
    after = (*after, add) if add is not None and add not in after else after
    if after == entries:
        return entries
    written = _with(before, document, after)
    now = _read_again(written, file)
    if _entries(now) != after or _rest(now) != _rest(document):
        raise InvalidInput(
            f"`{_KEY}` in {file} cannot be edited", reference="bad-type", hint=f"write {_KEY}: {json.dumps(after)}"
        )
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    with writing(file):
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary.write_text(written, "utf-8")
        temporary.replace(file)
    return after


def _read_again(content: str, file: Path) -> Mapping | None:
    try:
        return _document(content, file)
    except InvalidInput:
        return None


def _rest(document: Mapping | None) -> object:
    """Everything but the list, without places."""
    return [(key.text, _bare(node)) for key, node in document.entries if key.text != _KEY] if document else []


def _bare(node: Node) -> object:
    if isinstance(node, Mapping):
        return [(key.text, _bare(item)) for key, item in node.entries]
    return [_bare(item) for item in node.items] if isinstance(node, Sequence) else node.text


def _file(environ: Map[str, str]) -> Path:
    file = user_file(environ)
    if file is None:
        raise UsageError("there is no place for your configuration: HOME is not set", reference="no-home")
    return file


def _read(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{file} cannot be read: {error}", reference="unsafe-file") from error


def _document(content: str, file: Path) -> Mapping | None:
    try:
        document = parse(content.encode(), str(file))
    except InvalidInput as error:
        if error.reference == "empty-file":
            return None
        raise
    if not isinstance(document, Mapping):
        raise InvalidInput("a configuration file is a mapping", reference="bad-type", where=document.where)
    check_document(document, file, is_project=False, user=file)
    return document


def _entries(document: Mapping | None) -> tuple[str, ...]:
    node = document.get(_KEY) if document is not None else None
    return tuple(text(item) for item in items_of(node)) if isinstance(node, Sequence) else ()


def _with(content: str, document: Mapping | None, entries: tuple[str, ...]) -> str:
    """The text with another list: its lines are replaced, all others stay."""
    lines = content.splitlines()
    block = [f"{_KEY}:", *(f"  - {json.dumps(entry)}" for entry in entries)] if entries else []
    key = document.key(_KEY) if document is not None else None
    if key is None or document is None:
        return "\n".join([*lines, *block]) + "\n"
    start = (key.where.line or 1) - 1
    node = document.get(_KEY)
    last = start
    if isinstance(node, Sequence) and node.items:
        last = max((item.where.line or 1) - 1 for item in node.items)
        while last + 1 < len(lines) and lines[last + 1].strip() in {"]", "],"}:
            last += 1
    return "\n".join([*lines[:start], *block, *lines[last + 1 :]]) + "\n"
