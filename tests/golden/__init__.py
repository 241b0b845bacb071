"""Golden keys: ``<kind>/<case>.yaml`` (a derivation's fields) and ``<case>.key.json`` (its document and its key).

A key that moves makes every store of every team forget what it knows, so it moves on purpose or not at all. When it is
on purpose: raise the kind's version, say so in docs/keys.md, and run ``python -m tests.golden --update``.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import types
import typing
from pathlib import Path
from typing import Any

import yaml

from envbuild.derivations import KINDS, Derivation

FOLDER = Path(__file__).parent


def kind_class(kind: str) -> type[Any]:
    """The dataclass of a kind: the one in its module that names it."""
    module = importlib.import_module(KINDS[kind])
    (found,) = (
        value
        for value in vars(module).values()
        if isinstance(value, type) and value.__module__ == module.__name__ and getattr(value, "kind", None) == kind
    )
    return typing.cast("type[Any]", found)


def read_case(path: Path) -> Derivation:
    """The derivation that a case describes; its folder is its kind."""
    tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    return typing.cast(Derivation, build(kind_class(path.parent.name), tree, path.stem))


def encoded(derivation: Derivation) -> str:
    """The text of a ``.key.json``: readable, and one per derivation."""
    tree = {
        "kind": derivation.kind,
        "version": derivation.version,
        "key": derivation.key,
        "document": derivation.document(),
    }
    return json.dumps(tree, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def cases(folder: Path = FOLDER) -> list[Path]:
    """Every case, sorted."""
    return sorted(folder.glob("*/*.yaml"))


def cases_of(kind: str) -> list[Path]:
    """The cases of one kind, sorted."""
    return sorted((FOLDER / kind).glob("*.yaml"))


def expected_path(case: Path) -> Path:
    """Where the key of a case stands."""
    return case.with_suffix(".key.json")


def update(folder: Path = FOLDER) -> list[Path]:
    """Write every key file anew; returns those that changed, and removes those without a case."""
    changed: list[Path] = []
    for case in cases(folder):
        path, text = expected_path(case), encoded(read_case(case))
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            changed.append(path)
    for path in sorted(folder.glob("*/*.key.json")):
        if not path.with_name(path.name.replace(".key.json", ".yaml")).is_file():
            path.unlink()
            changed.append(path)
    return changed


def build(hint: Any, tree: Any, place: str) -> Any:
    """A typed value from YAML: dataclasses from mappings, tuples from lists, nothing converted.

    Raises:
        TypeError: When the tree does not fit the type, with the place.
    """
    if hasattr(hint, "__supertype__"):
        return build(hint.__supertype__, tree, place)
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return _build_union(typing.get_args(hint), tree, place)
    if origin is typing.Literal:
        if tree in typing.get_args(hint):
            return tree
    elif origin is tuple:
        parts = typing.get_args(hint)
        if isinstance(tree, list):
            kinds = [parts[0]] * len(tree) if parts[-1] is Ellipsis else parts
            return tuple(build(part, item, f"{place}[]") for part, item in zip(kinds, tree, strict=True))
    elif dataclasses.is_dataclass(hint):
        if isinstance(tree, dict):
            return _build_dataclass(hint, tree, place)
    elif hint is type(None):
        if tree is None:
            return None
    elif type(tree) is hint:
        return tree
    raise TypeError(f"{place}: {tree!r} is not a {hint}")


def _build_union(hints: tuple[Any, ...], tree: Any, place: str) -> Any:
    built: list[Any] = []
    for hint in hints:
        try:
            built.append(build(hint, tree, place))
        except (TypeError, ValueError):
            continue
    if len(built) > 1 and isinstance(tree, dict):
        # A wheel and what a wheel is built from say the same of themselves; their files tell them apart.
        built = [item for item in built if str(item.file).endswith(".whl") == (type(item).__name__ == "Wheel")]
    if len(built) != 1:
        raise TypeError(f"{place}: {tree!r} fits {len(built)} of {hints}")
    return built[0]


def _build_dataclass(kind: Any, tree: dict[str, Any], place: str) -> Any:
    hints = typing.get_type_hints(kind)
    known = {field.name for field in dataclasses.fields(kind) if field.init}
    if unknown := set(tree) - known:
        raise TypeError(f"{place}: {kind.__name__} has no {', '.join(sorted(unknown))}")
    return kind(**{name: build(hints[name], item, f"{place}.{name}") for name, item in tree.items()})
