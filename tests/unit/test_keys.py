"""docs/keys.md against the dataclasses: each field has a row, and each row is true.

Every golden case is taken, one field (or field of a field, where the page goes that deep) is changed, and the key must
move exactly when the row says so.
"""

from __future__ import annotations

import dataclasses
import re
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from envbuild.derivations import KINDS
from envbuild.errors import Where
from tests import golden

PAGE = Path(__file__).parents[2] / "docs" / "keys.md"


def page_rows() -> dict[str, dict[str, tuple[str, ...]]]:
    """Kind -> field -> what the page says: one answer, or for ``solve`` one each for conda and PyPI."""
    rows: dict[str, dict[str, tuple[str, ...]]] = {}
    kind = ""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if heading := re.match(r"## `([\w-]+)`", line):
            kind = heading[1]
            rows[kind] = {}
        elif line.startswith("| `"):
            names, *answers, why = (cell.strip() for cell in line.strip("|").split(" | "))
            assert len(answers) == (2 if kind == "solve" else 1), line
            assert set(answers) <= {"yes", "no", "any"}, line
            assert len(why) > 5, line
            for name in re.findall(r"`([\w.:]+)`", names):
                assert name not in rows[kind], f"{kind}: {name} stands twice"
                rows[kind][name] = tuple(answers)
    return rows


def answer(kind: str, row: str, made: Any) -> str:
    """What the page says about a field of this derivation."""
    answers = ROWS[kind][row]
    return answers[-1] if kind == "solve" and made.ecosystem == "pypi" else answers[0]


ROWS = page_rows()
PLACE = typing.Optional[Where]  # noqa: UP045  the form in which get_type_hints gives it


def nested(hint: Any) -> Any | None:
    """The one dataclass that a field holds, directly, or as optional, or in a tuple; None for anything else."""
    if dataclasses.is_dataclass(hint):
        return hint
    parts = [part for part in typing.get_args(hint) if part not in (type(None), Ellipsis)]
    origin = typing.get_origin(hint)
    if origin in (tuple, typing.Union, types.UnionType) and len(parts) == 1:
        return nested(parts[0])
    return None


def wanted_rows(kind: Any, rows: set[str], prefix: str = "") -> Iterator[str]:
    """The rows that must stand there: one for each field, or one for each of its fields where the page goes deeper."""
    hints = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        if not field.init:
            continue
        name = prefix + field.name
        inner = nested(hints[field.name])
        if any(row.startswith(name + ":") for row in rows):
            for each in typing.get_args(hints[field.name]):
                typed = f"{name}:{each.__name__}"
                deeper = any(row.startswith(typed + ".") for row in rows)
                yield from wanted_rows(each, rows, typed + ".") if deeper else [typed]
        elif inner is not None and any(row.startswith(name + ".") for row in rows):
            yield from wanted_rows(inner, rows, name + ".")
        else:
            yield name


def other_values(value: Any, hint: Any) -> Iterator[Any]:
    """Values of a type that differ from this one in one way each."""
    if hasattr(hint, "__supertype__"):
        hint = hint.__supertype__
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        for part in parts:
            if part is type(None):
                if value is not None:
                    yield None
            elif fits(value, part):
                yield from other_values(value, part)
            else:
                yield from samples(part)
    elif origin is typing.Literal:
        yield from (part for part in parts if part != value)
    elif origin is tuple and parts[-1] is Ellipsis:
        yield from ((*value, extra) for extra in samples(parts[0]))
        if value:
            yield value[:-1]
            yield from ((other, *value[1:]) for other in other_values(value[0], parts[0]))
    elif origin is tuple:
        for index, part in enumerate(parts):
            yield from ((*value[:index], other, *value[index + 1 :]) for other in other_values(value[index], part))
    elif dataclasses.is_dataclass(hint):
        hints = typing.get_type_hints(hint)
        for field in dataclasses.fields(hint):
            if field.init and hints[field.name] != PLACE:
                for other in other_values(getattr(value, field.name), hints[field.name]):
                    yield dataclasses.replace(value, **{field.name: other})
    elif hint is bool:
        yield not value
    else:
        yield value + (1 if hint is int else "x")


def fits(value: Any, hint: Any) -> bool:
    if hasattr(hint, "__supertype__"):
        hint = hint.__supertype__
    return type(value) is (typing.get_origin(hint) or hint)


def samples(hint: Any) -> Iterator[Any]:
    """A value of a type, made of nothing; none where a type needs more than that."""
    if hasattr(hint, "__supertype__"):
        hint = hint.__supertype__
    parts = typing.get_args(hint)
    if typing.get_origin(hint) is tuple:
        yield () if parts[-1] is Ellipsis else tuple(next(samples(part)) for part in parts)
    elif typing.get_origin(hint) in (typing.Union, types.UnionType):
        yield from samples(next(part for part in parts if part is not type(None)))
    elif dataclasses.is_dataclass(hint):
        hints = typing.get_type_hints(hint)
        needed = [
            field
            for field in dataclasses.fields(hint)
            if field.init and field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        ]
        yield hint(**{field.name: next(samples(hints[field.name])) for field in needed})
    else:
        yield {str: "sample", int: 7, bool: True}[hint]


def changed(value: Any, path: list[str]) -> Iterator[Any]:
    """The value with the field at a path changed, in each way and each place."""
    (name, _, wanted), *rest = path[0].partition(":"), *path[1:]
    held = getattr(value, name)
    hint = type(held) if wanted else typing.get_type_hints(type(value))[name]
    if wanted and type(held).__name__ != wanted:
        return
    if not rest:
        yield from (dataclasses.replace(value, **{name: other}) for other in other_values(held, hint))
    elif isinstance(held, tuple):
        for index, item in enumerate(held):
            for other in changed(item, rest):
                yield dataclasses.replace(value, **{name: (*held[:index], other, *held[index + 1 :])})
    elif held is not None:
        yield from (dataclasses.replace(value, **{name: other}) for other in changed(held, rest))


def test_the_page_has_every_kind():
    assert set(ROWS) == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_states_the_version_and_purity(kind: str):
    made = golden.read_case(golden.cases_of(kind)[0])
    (heading,) = (line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith(f"## `{kind}`"))
    assert f"version {made.version}," in heading
    assert made.purity in heading


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_has_a_row_and_every_row_a_field(kind: str):
    rows = set(ROWS[kind])
    assert set(wanted_rows(golden.kind_class(kind), rows)) == rows


@pytest.mark.parametrize(("kind", "row"), [(kind, row) for kind in ROWS for row in ROWS[kind]])
def test_the_row_is_true(kind: str, row: str):
    moved: dict[str, set[bool]] = {}
    for case in golden.cases_of(kind):
        made: Any = golden.read_case(case)
        said = answer(kind, row, made)
        for other in changed(made, row.split(".")):
            moves = other.key != made.key
            moved.setdefault(said, set()).add(moves)
            if said == "any":
                assert not moves or bool(held(made, row)) != bool(held(other, row)), f"{case.stem}: {row}: {other}"
            else:
                assert moves == (said == "yes"), f"{case.stem}: {row} became another: {other}"
    assert set(moved) == set(ROWS[kind][row]), f"no golden case of {kind} has a {row} to change"
    assert moved.get("any", {True, False}) == {True, False}, f"no golden case shows that any {row} moves the key"


def held(made: Any, row: str) -> Any:
    for name in row.split("."):
        made = getattr(made, name)
    return made


@pytest.mark.parametrize("kind", KINDS)
def test_places_in_files_never_count(kind: str):
    for case in golden.cases_of(kind):
        made: Any = golden.read_case(case)
        moved = placed(made)
        assert moved.key == made.key
        assert moved == made
        assert kind != "solve" or repr(moved) != repr(made)


def placed(value: Any) -> Any:
    """The value with every place in it set."""
    if isinstance(value, tuple):
        return tuple(placed(item) for item in value)
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return value
    hints = typing.get_type_hints(type(value))
    there = Where(file="other.yaml", line=3)
    named = [field.name for field in dataclasses.fields(value) if field.init]
    return dataclasses.replace(
        value, **{name: there if hints[name] == PLACE else placed(getattr(value, name)) for name in named}
    )
