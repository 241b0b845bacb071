"""Documents held against their JSON Schemas: every error at its line, an unknown key with the closest known one.

Theory: a good document must cost next to nothing (200 recipes in a second) and ``jsonschema`` takes 94 ms to import,
so a schema is first compiled to closures that answer only *yes* or *perhaps not*. Whatever they do not accept, and
whatever schema they cannot compile, goes to ``jsonschema``, which alone may find a document wrong. A test proves on
random documents that both say the same.

Rules of the file: schemas use no keyword that reads better in JSON than in a message; what a schema cannot say well
(one of three keys, a name's grammar) is said by the reader of that document.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from envbuild.errors import InvalidInput, Issue, Where, beginning
from envbuild.reading.document import Mapping, Node, Scalar, Sequence, at, plain
from envbuild.value import replace

Check = Callable[[Any], bool]

_NOTES = {"$schema", "$id", "$defs", "title", "description", "default", "examples", "$comment"}
_TYPES: dict[str, Check] = {
    "null": lambda value: value is None,
    "boolean": lambda value: isinstance(value, bool),
    "string": lambda value: isinstance(value, str),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, int) and not isinstance(value, bool),
}
_WORDS = {
    "null": "nothing",
    "boolean": "true or false",
    "string": "text",
    "array": "a list",
    "object": "a mapping",
    "integer": "a whole number",
    "number": "",
}


@cache
def load_schema(name: str) -> dict[str, Any]:
    """A schema by its name, such as ``recipe``: from the installed package, else from the checkout.

    Raises:
        FileNotFoundError: When it is in neither place: a broken installation.
    """
    package = Path(__file__).parents[1]
    for folder in (package / "schemas", package.parent / "schemas"):
        file = folder / f"{name}.json"
        if file.is_file():
            schema: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
            return schema
    raise FileNotFoundError(f"the schema {name}.json is missing from this installation of envbuild")


def check(node: Node, schema_name: str) -> None:
    """Refuse a document that its schema does not allow.

    Args:
        node: The document's root.
        schema_name: ``recipe``, ``project`` or another file of ``schemas/`` without its suffix.

    Raises:
        InvalidInput: All findings: ``unknown-key``, ``bad-type``, ``bad-value``, ``missing-key``.
    """
    issues = findings(node, schema_name)
    if issues:
        raise InvalidInput.of(issues)


def findings(node: Node, schema_name: str) -> tuple[Issue, ...]:
    """What a schema does not allow in a document, in the order of the file; see ``check``."""
    value = plain(node)
    if _quick(schema_name)(value):
        return ()
    errors = _validator(schema_name).iter_errors(value)
    return tuple(sorted((issue for error in errors for issue in _issues(error, node, schema_name)), key=_place))


def without(node: Node, issues: tuple[Issue, ...]) -> Node | None:
    """The rest of a document, so that a reader can look for more: no key and no value that an issue is about.

    Returns:
        A tree that the schema accepts; None when the root itself is wrong.
    """
    keys = {issue.where for issue in issues if issue.reference == "unknown-key"}
    values = {issue.where for issue in issues if issue.reference != "unknown-key"}
    return _without(node, keys, values) if isinstance(node, Mapping) else None


def _without(node: Node, keys: set[Where | None], values: set[Where | None]) -> Node:
    if isinstance(node, Mapping):
        kept = tuple(
            (key, _without(item, keys, values))
            for key, item in node.entries
            if key.where not in keys and item.where not in values
        )
        return replace(node, entries=kept)
    if isinstance(node, Sequence):
        return replace(node, items=tuple(_without(i, keys, values) for i in node.items if i.where not in values))
    return node


def _place(issue: Issue) -> tuple[int, int]:
    where = issue.where
    return (where.line or 0, where.column or 0) if where else (0, 0)


@cache
def _validator(schema_name: str) -> Any:
    import jsonschema  # 94 ms: only for documents that are wrong

    return jsonschema.Draft202012Validator(load_schema(schema_name))


@cache
def _quick(schema_name: str) -> Check:
    schema = load_schema(schema_name)
    try:
        return _compile(schema, schema)
    except _CannotCompile:
        return lambda _value: False


class _CannotCompile(Exception):  # noqa: N818  never leaves this file
    """The schema uses a keyword that only ``jsonschema`` knows."""


def _compile(schema: Any, root: dict[str, Any]) -> Check:
    """A schema as one function; ``$ref`` is followed when it is called, so schemas may be recursive."""
    if isinstance(schema, bool):
        return lambda _value: schema
    checks: list[Check] = []
    for keyword, argument in schema.items():
        if keyword in _NOTES:
            continue
        if keyword == "type":
            checks.append(_type_check([argument] if isinstance(argument, str) else argument))
        elif keyword == "enum":
            checks.append(_enum_check(argument))
        elif keyword == "pattern":
            checks.append(_pattern_check(argument))
        elif keyword == "items":
            checks.append(_items_check(_compile(argument, root)))
        elif keyword == "required":
            checks.append(_required_check(frozenset(argument)))
        elif keyword == "$ref" and argument.startswith("#/"):
            checks.append(_reference(argument, root))
        elif keyword not in {"properties", "additionalProperties"}:
            raise _CannotCompile(keyword)
    if "properties" in schema or "additionalProperties" in schema:
        checks.append(_object_check(schema, root))
    return lambda value: all(one(value) for one in checks)


def _type_check(names: list[str]) -> Check:
    kinds = [_TYPES[name] for name in names]
    return lambda value: any(kind(value) for kind in kinds)


def _enum_check(allowed: list[str]) -> Check:
    return lambda value: isinstance(value, str) and value in allowed


def _pattern_check(pattern: str) -> Check:
    found = re.compile(pattern).search
    return lambda value: not isinstance(value, str) or found(value) is not None


def _items_check(item: Check) -> Check:
    return lambda value: not isinstance(value, list) or all(map(item, value))


def _required_check(names: frozenset[str]) -> Check:
    return lambda value: not isinstance(value, dict) or names <= value.keys()


def _reference(pointer: str, root: dict[str, Any]) -> Check:
    found: list[Check] = []

    def follow(value: Any) -> bool:
        if not found:
            target: Any = root
            for step in pointer[2:].split("/"):
                target = target[step]
            found.append(_compile(target, root))
        return found[0](value)

    return follow


def _object_check(schema: dict[str, Any], root: dict[str, Any]) -> Check:
    known = {name: _compile(item, root) for name, item in schema.get("properties", {}).items()}
    other = _compile(schema.get("additionalProperties", True), root)

    def verdict(value: Any) -> bool:
        if not isinstance(value, dict):
            return True
        return all(known.get(name, other)(item) for name, item in value.items())

    return verdict


def _issues(error: Any, root: Node, schema_name: str) -> list[Issue]:
    """One finding of ``jsonschema`` in words, each at the place to edit."""
    path = tuple(error.absolute_path)
    node = at(root, path)
    name = next((step for step in reversed(path) if isinstance(step, str)), schema_name)
    if error.validator == "additionalProperties":
        known = list(error.schema.get("properties", ()))
        assert isinstance(node, Mapping)
        return [_unknown(key, known, path, schema_name) for key, _ in node.entries if key.text not in known]
    if error.validator == "required":
        missing = [key for key in error.validator_value if key not in error.instance]
        return [
            Issue(
                message=f"`{name}` lacks `{key}`", reference="missing-key", where=node.where, hint=f"add `{key}: ...`"
            )
            for key in missing
        ]
    if error.validator == "type":
        return [_wrong_type(error, node, name)]
    if error.validator == "enum":
        allowed = [str(item).lower() if isinstance(item, bool) else str(item) for item in error.validator_value]
        hint = closest(str(error.instance), allowed)
        message = f"`{name}` is one of {', '.join(allowed)}, not {error.instance!r}"
        return [Issue(message=message, reference="bad-value", where=node.where, hint=hint)]
    message = f"{error.instance!r} does not fit `{name}`"
    hint = error.schema.get("description") or f"it must match {error.validator_value}"
    return [Issue(message=message, reference="bad-value", where=node.where, hint=hint)]


def _unknown(key: Scalar, known: list[str], path: tuple[str | int, ...], schema_name: str) -> Issue:
    place = ".".join(str(step) for step in path)
    message = f"`{beginning(key.text)}` is not known" + (f" in `{place}`" if place else " here")
    hint = closest(key.text, known) or _belongs(key.text, schema_name) or f"known are: {', '.join(known)}"
    return Issue(message=message, reference="unknown-key", where=key.where, hint=hint)


def _belongs(key: str, schema_name: str) -> str | None:
    """A hint for a key that is known one level below the root, or in another tool's file."""
    if schema_name == "recipe" and key == "dependencies":
        return 'conda\'s own files say that; here write `conda: {packages: {numpy: ">=1.26"}}`, one package a line'
    schema = load_schema(schema_name)
    for name, part in schema["properties"].items():
        target: Any = part
        for step in part["$ref"][2:].split("/") if "$ref" in part else ():
            target = schema if target is part else target
            target = target[step]
        if key in target.get("properties", {}):
            return f"`{key}` belongs under `{name}:`"
    return None


def _wrong_type(error: Any, node: Node, name: str) -> Issue:
    wanted = error.validator_value
    words = [_WORDS[kind] for kind in ([wanted] if isinstance(wanted, str) else wanted) if _WORDS[kind]]
    words = [word for word in words if word != "nothing" and not (word == "true or false" and "text" in words)] or words
    given = "a mapping" if isinstance(node, Mapping) else "a list"
    hint = f"write {' or '.join(words)} after `{name}:`"
    if not error.absolute_path:
        hint = "begin with a key, such as `python: 3.12`"
    elif isinstance(node, Sequence) and name in {"packages", "constraints", "overrides"}:
        hint = 'write one package a line, without a dash: `numpy: ">=1.26"`'
    if isinstance(node, Scalar):
        given = "nothing" if node.empty else repr(node.text)
        if words == ["text"] and not node.empty:
            hint = f'put it in quotes: "{node.text}"'
        elif "true or false" in words and not node.plain:
            hint = "write true or false without quotes"
    message = f"`{name}` takes {' or '.join(words)}, not {given}"
    return Issue(message=message, reference="bad-type", where=node.where, hint=hint)


def closest(word: str, known: list[str]) -> str | None:
    """A hint with the known word that is most like another one; None when none is."""
    import difflib

    found = difflib.get_close_matches(word[:60], known, n=1, cutoff=0.6)
    return f"did you mean `{found[0]}`?" if found else None
