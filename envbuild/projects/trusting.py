"""``trusted`` and ``trust`` of the user's own configuration file, edited as text: all else stays as it is.

Rules of the file: each is written as one block; what is written is read again before it takes the file's place.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Mapping as Map
from pathlib import Path

from envbuild.errors import InvalidInput, UsageError
from envbuild.machine.disk import writing
from envbuild.projects.config_files import check_document, user_file
from envbuild.projects.trust_settings import read_trust
from envbuild.reading.document import Mapping, Node, parse, text
from envbuild.reading.document import Sequence as Items
from envbuild.reading.document import items as items_of
from envbuild.trust import Trust

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
    block = [f"{_KEY}:", *(f"  - {json.dumps(entry)}" for entry in after)] if after else []
    _write(
        file, before, document, _KEY, block, lambda now: _entries(now) == after, f"write {_KEY}: {json.dumps(after)}"
    )
    return after


def trust_of_user(environ: Map[str, str]) -> Trust:
    """What the user's own file says of ``trust``.

    Raises:
        InvalidInput: When the file is wrong.
    """
    file = _file(environ)
    return _trust(_document(_read(file), file))


def change_trust(environ: Map[str, str], after: Trust) -> Trust:
    """Write ``trust`` anew. The file is made when there is none.

    Args:
        environ: Says where the file is.
        after: What it is to say.

    Raises:
        InvalidInput: When the file is wrong, or cannot be edited as text.
        NoSpaceError: When it cannot be written.
    """
    file = _file(environ)
    before = _read(file)
    document = _document(before, file)
    if after != _trust(document):
        block = _lines(after)
        _write(file, before, document, "trust", block, lambda now: _trust(now) == after, "write it there yourself")
    return after


def _trust(document: Mapping | None) -> Trust:
    node = document.get("trust") if document is not None else None
    return read_trust(node) if node is not None else Trust()


def _lines(trust: Trust) -> list[str]:
    """The setting as YAML."""
    lines = [f"  mode: {trust.said}"] if trust.said is not None else []
    lines += [f"  threshold: {trust.threshold}"] if trust.threshold is not None else []
    lines += ["  keys:"] if trust.keys else []
    for key in trust.keys:
        public = json.dumps(str(key.public))
        until = f", not-after: {json.dumps(key.not_after)}"
        lines.append(f"    {json.dumps(key.name)}: " + (f"{{public: {public}{until}}}" if key.not_after else public))
    lines += ["  scopes:"] if trust.scopes else []
    for scope in trust.scopes:
        words = [f"threshold: {scope.threshold}"] if scope.threshold is not None else []
        words += [f"keys: {json.dumps(list(scope.keys))}"] if scope.keys is not None else []
        lines.append(f"    {json.dumps(scope.pattern)}: {{{', '.join(words)}}}")
    return ["trust:", *lines] if lines else []


def _write(
    file: Path,
    before: str,
    document: Mapping | None,
    key: str,
    block: Sequence[str],
    is_right: Callable[[Mapping | None], bool],
    hint: str,
) -> None:
    """Put a block in the place of a setting, when that changes nothing else."""
    written = _with(before, document, key, block)
    now = _read_again(written, file)
    if not is_right(now) or _rest(now, key) != _rest(document, key):
        raise InvalidInput(f"`{key}` in {file} cannot be edited", reference="bad-type", hint=hint)
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    with writing(file):
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary.write_text(written, "utf-8")
        temporary.replace(file)


def _read_again(content: str, file: Path) -> Mapping | None:
    try:
        return _document(content, file)
    except InvalidInput:
        return None


def _rest(document: Mapping | None, setting: str) -> object:
    """Everything but one setting, without places."""
    return [(key.text, _bare(node)) for key, node in document.entries if key.text != setting] if document else []


def _bare(node: Node) -> object:
    if isinstance(node, Mapping):
        return [(key.text, _bare(item)) for key, item in node.entries]
    return [_bare(item) for item in node.items] if isinstance(node, Items) else node.text


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
    return tuple(text(item) for item in items_of(node)) if isinstance(node, Items) else ()


def _with(content: str, document: Mapping | None, setting: str, block: Sequence[str]) -> str:
    """The text with another block for a setting: its lines are replaced, all others stay."""
    lines = content.splitlines()
    key = document.key(setting) if document is not None else None
    if key is None or document is None:
        return "\n".join([*lines, *block]) + "\n"
    start = (key.where.line or 1) - 1
    node = document.get(setting)
    last = max(start, _last(node) if node is not None else start)
    if isinstance(node, (Items, Mapping)):
        while last + 1 < len(lines) and lines[last + 1].strip(" ,") in {"]", "}"}:
            last += 1
    return "\n".join([*lines[:start], *block, *lines[last + 1 :]]) + "\n"


def _last(node: Node) -> int:
    """The last line that a node begins something on, from 0."""
    inner: Iterable[Node] = ()
    if isinstance(node, Mapping):
        inner = (each for entry in node.entries for each in entry)
    elif isinstance(node, Items):
        inner = node.items
    return max([(node.where.line or 1) - 1, *map(_last, inner)])
