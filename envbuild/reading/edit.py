"""Adding and removing requirements in a recipe's text: comments, order, quotes and line ends of all else stay.

Theory: the text is never written anew. The place to edit is found through the spans of its nodes, a few characters are
put in or taken out, and the result is read again: when it says anything but the old recipe with exactly the change
asked for, the edit is refused, and the person is told to make it.

Rules of the file: text in, text out. A text's line ends must be intact (open files with ``newline=""``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from envbuild.errors import InvalidInput, UsageError, Where
from envbuild.package import PLATFORMS
from envbuild.reading import spelling
from envbuild.reading.document import parse, plain
from envbuild.reading.schema import check, closest
from envbuild.reading.spans import Span, spans
from envbuild.reading.typed_requirement import TypedRequirement, parse_typed


def add_requirements(
    content: str, requirements: Sequence[str], *, ecosystem: str, platform: str | None = None, file: str = "recipe"
) -> str:
    """A recipe's text with requirements added; a package that is there gets the new version.

    Args:
        content: The recipe.
        requirements: As on a command line: ``numpy``, ``numpy>=1.2``, ``conda-forge::numpy``, ``requests[socks]>=2``.
        ecosystem: ``conda`` or ``pypi``.
        platform: Add under ``targets`` for this platform only.
        file: The recipe's name, for messages.

    Raises:
        InvalidInput: When the recipe is wrong, or ``edit-by-hand``.
        UsageError: ``bad-requirement``.
    """
    path = _path(ecosystem, platform)
    for words in requirements:
        wish = parse_typed(words, ecosystem)
        content = _edited(content, file, path, partial(_add, path=path, wish=wish, ecosystem=ecosystem))
    return content


def remove_requirements(
    content: str,
    names: Sequence[str],
    *,
    ecosystem: str | None = None,
    platform: str | None = None,
    file: str = "recipe",
) -> str:
    """A recipe's text without some packages; their section stays, empty, when they were all.

    Args:
        content: The recipe.
        names: Names, without versions.
        ecosystem: ``conda`` or ``pypi``; where the name stands when not given.
        platform: Remove under ``targets`` for this platform only.
        file: The recipe's name, for messages.

    Raises:
        InvalidInput: When the recipe is wrong, ``edit-by-hand``, or ``not-in-recipe``.
    """
    sections = [ecosystem] if ecosystem else ["conda", "pypi"]
    for name in names:
        hits = [kind for kind in sections if _find(spans(_checked(content, file)), _path(kind, platform), name, kind)]
        if not hits:
            known = [key.text for kind in sections for key, _ in _entries(spans(content), _path(kind, platform))]
            raise InvalidInput(
                f"{file} does not ask for {name[:60]!r}",
                reference="not-in-recipe",
                where=Where(file=file),
                hint=closest(name, known) or "packages that others need are not removed by name",
            )
        for kind in hits:
            path = _path(kind, platform)
            content = _edited(content, file, path, partial(_remove, path=path, name=name, ecosystem=kind))
    return content


def _path(ecosystem: str, platform: str | None) -> tuple[str, ...]:
    if ecosystem not in {"conda", "pypi"}:
        raise UsageError(f"{ecosystem!r} is neither conda nor pypi", reference="bad-requirement")
    if platform is not None and platform not in PLATFORMS:
        raise UsageError(
            f"{platform!r} is not a platform", reference="bad-requirement", hint=f"one of {', '.join(PLATFORMS)}"
        )
    return (*(("targets", platform) if platform else ()), ecosystem, "packages")


def _checked(content: str, file: str) -> str:
    check(parse(content.encode(), file), "recipe")
    return content


def _edited(
    content: str, file: str, path: tuple[str, ...], edit: Callable[[str], tuple[str, Callable[[Any], None]]]
) -> str:
    """The text after one edit, when reading it again shows that edit and no other."""
    wanted: Any = plain(parse(_checked(content, file).encode(), file))
    result, expect = edit(content)
    expect(wanted)
    try:
        after: Any = plain(parse(_checked(result, file).encode(), file))
    except InvalidInput:
        after = None
    if _settled(after, path) != _settled(wanted, path):
        raise _by_hand(Where(file=file), "the way this recipe is written")
    return result


def _settled(tree: Any, path: tuple[str, ...]) -> Any:
    """A tree in which an empty section along a path and an absent one are the same."""
    if not isinstance(tree, dict) or not path:
        return tree
    below = _settled(tree.get(path[0]), path[1:])
    rest = {name: item for name, item in tree.items() if name != path[0]}
    return {**rest, path[0]: below} if below else rest


def _by_hand(where: Where, what: str) -> InvalidInput:
    return InvalidInput(
        f"{what} cannot be edited safely", reference="edit-by-hand", where=where, hint="edit the recipe by hand"
    )


def _entries(root: Span, path: tuple[str, ...]) -> tuple[tuple[Span, Span], ...]:
    node = root
    for step in path:
        found = node.find(step)
        if found is None:
            return ()
        node = found[1]
    return node.entries


def _find(root: Span, path: tuple[str, ...], name: str, ecosystem: str) -> tuple[Span, Span] | None:
    """The entry of a package, however its name is spelled."""
    wanted = _normal(name, ecosystem)
    return next((entry for entry in _entries(root, path) if _normal(entry[0].text, ecosystem) == wanted), None)


def _normal(key: str, ecosystem: str) -> str:
    try:
        if ecosystem == "conda":
            return spelling.conda_name(key.rpartition("::")[2])
        return spelling.pypi_requirement_name(key)[0]
    except InvalidInput:
        return key


def _at(tree: Any, path: tuple[str, ...]) -> dict[str, Any]:
    """The mapping that a path leads to, made on the way where there is nothing."""
    for step in path:
        if tree.get(step) is None:
            tree[step] = {}
        tree = tree[step]
    found: dict[str, Any] = tree
    return found


def _add(
    content: str, path: tuple[str, ...], wish: TypedRequirement, ecosystem: str
) -> tuple[str, Callable[[Any], None]]:
    root = spans(content)
    if entry := _find(root, path, wish.name, ecosystem):
        return _change(content, entry, path, wish, ecosystem)
    node, rest = root, list(path)
    key: Span | None = None
    while rest and (found := node.find(rest[0])) is not None:
        key, node = found
        rest.pop(0)

    def expect(tree: Any) -> None:
        _at(tree, path)[wish.key] = wish.value()

    if node.is_mapping and node.flow:
        return _insert_flow(content, node, rest, wish), expect
    if node.is_mapping:
        return _insert_block(content, node, rest, wish, root), expect
    assert key is not None
    parent = _parent(root, path[: len(path) - len(rest) - 1])
    if parent.flow:
        body = _flow_text(rest, wish)
        return content[: node.start] + _after_colon(content, node, f"{{{body}}}") + content[node.end :], expect
    step = _step(root)
    content = content[: node.start] + content[node.end :]
    return _insert_lines(content, node.start, key.column + step, step, rest, wish), expect


def _after_colon(content: str, value: Span, text: str) -> str:
    """A value's new text, with the space that an absent value lacks."""
    return f" {text}" if value.start == value.end and content[value.start - 1] == ":" else text


def _parent(root: Span, path: tuple[str, ...]) -> Span:
    for step in path:
        found = root.find(step)
        assert found is not None
        root = found[1]
    return root


def _step(root: Span) -> int:
    """By how much this recipe indents."""
    for key, value in root.entries:
        if value.is_mapping and not value.flow and value.column > key.column:
            return value.column - key.column
    return 2


def _insert_block(content: str, node: Span, rest: list[str], wish: TypedRequirement, root: Span) -> str:
    blank = node is root and re.search(r"\n[ \t]*\r?\n", content) is not None
    return _insert_lines(content, node.end, node.column, _step(root), rest, wish, blank=blank)


def _insert_lines(
    content: str, offset: int, column: int, step: int, rest: list[str], wish: TypedRequirement, *, blank: bool = False
) -> str:
    """New lines after the one that holds an offset."""
    lines = [f"{' ' * (column + step * depth)}{word}:" for depth, word in enumerate(rest)]
    value = _value_text(wish, flow=False)
    lines.append(f"{' ' * (column + step * len(rest))}{_scalar(wish.key)}:{' ' + value if value else ''}")
    if blank:
        lines.insert(0, "")
    ending = "\r\n" if "\r\n" in content else "\n"
    stop = content.find("\n", offset)
    stop = len(content) if stop < 0 else stop
    if stop > 0 and content[stop - 1 : stop] == "\r":
        stop -= 1
    return content[:stop] + "".join(ending + line for line in lines) + content[stop:]


def _insert_flow(content: str, node: Span, rest: list[str], wish: TypedRequirement) -> str:
    body = _flow_text(rest, wish)
    if not node.entries:
        return content[: node.start + 1] + body + content[node.start + 1 :]
    end = node.entries[-1][1].end
    return content[:end] + ", " + body + content[end:]


def _flow_text(rest: list[str], wish: TypedRequirement) -> str:
    body = f"{_scalar(wish.key)}: {_value_text(wish, flow=True)}"
    for word in reversed(rest):
        body = f"{word}: {{{body}}}"
    return body


def _value_text(wish: TypedRequirement, *, flow: bool) -> str:
    value = wish.value()
    if value is None:
        return "null" if flow else ""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {json.dumps(item, ensure_ascii=False)}" for key, item in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False)


def _scalar(text: str) -> str:
    """A key, in quotes when flow mappings or YAML's own words need them."""
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9._-]*(?:::[A-Za-z0-9_][A-Za-z0-9._-]*)?", text) and text.lower() not in {
        *("true", "false", "null", "y", "n", "yes", "no", "on", "off")
    }:
        return text
    return json.dumps(text)


def _change(
    content: str, entry: tuple[Span, Span], path: tuple[str, ...], wish: TypedRequirement, ecosystem: str
) -> tuple[str, Callable[[Any], None]]:
    """The text with another version (and more extras) of a package that is there."""
    key, value = entry
    new_key = key.text
    if ecosystem == "pypi":
        name, extras = spelling.pypi_requirement_name(key.text)
        more = spelling.pypi_requirement_name(wish.key)[1]
        if set(more) - set(extras):
            new_key = f"{name}[{','.join(sorted({*extras, *more}))}]"
    elif "::" in wish.key:
        new_key = wish.key
    where = Where(file="recipe", line=content.count("\n", 0, key.start) + 1)
    if wish.extra or (value.is_mapping and wish.version) or value.style in {"|", ">"}:
        raise _by_hand(where, f"the requirement {key.text!r}")
    edits = []
    if wish.version:
        text = json.dumps(wish.version, ensure_ascii=False)
        edits.append((value.start, value.end, _after_colon(content, value, text)))
    if new_key != key.text:
        edits.append((key.start, key.end, _scalar(new_key)))
    for start, end, text in edits:
        content = content[:start] + text + content[end:]

    def expect(tree: Any) -> None:
        section = _at(tree, path)
        old = {name: section.pop(name) for name in list(section)}
        for name, item in old.items():
            changed = name == key.text
            section[new_key if changed else name] = wish.version if changed and wish.version else item

    return content, expect


def _remove(content: str, path: tuple[str, ...], name: str, ecosystem: str) -> tuple[str, Callable[[Any], None]]:
    section = _parent(spans(content), path)
    found = _find(spans(content), path, name, ecosystem)
    assert found is not None
    position = next(index for index, (key, _) in enumerate(section.entries) if key.start == found[0].start)
    key, value = section.entries[position]

    def expect(tree: Any) -> None:
        del _at(tree, path)[key.text]

    if section.flow:
        start, end = key.start, value.end
        if position + 1 < len(section.entries):
            end = section.entries[position + 1][0].start
        elif position:
            start = section.entries[position - 1][1].end
        return content[:start] + content[end:], expect
    start = content.rfind("\n", 0, key.start) + 1
    stop = content.find("\n", max(value.end, key.end))
    stop = len(content) if stop < 0 else stop + 1
    return content[:start] + content[stop:], expect
