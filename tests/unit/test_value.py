"""Frozen values: the same to users and to the standard library as its own frozen dataclasses."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from dataclasses import FrozenInstanceError, field
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envbuild.value import dataclass, fields, is_value, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A point."""

    kind: ClassVar[str] = "point"

    x: int
    y: int = 2
    names: list[str] = field(default_factory=list)
    note: str = field(default="", compare=False)
    hidden: str = field(default="", repr=False)
    total: int = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "total", self.x + self.y)

    @property
    def double(self) -> int:
        """Twice the total."""
        return 2 * self.total


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Theirs:
    """The same by the standard library."""

    x: int
    y: int = 2
    names: list[str] = field(default_factory=list)
    note: str = field(default="", compare=False)
    hidden: str = field(default="", repr=False)
    total: int = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "total", self.x + self.y)


@dataclass(frozen=True, slots=True, kw_only=True)
class Empty:
    """Nothing at all."""


def test_defaults_factories_and_computed_fields() -> None:
    one, two = Point(x=1), Point(x=1)
    assert (one.x, one.y, one.names, one.total, one.double, Point.kind) == (1, 2, [], 3, 6, "point")
    assert one.names is not two.names


def test_it_does_not_change() -> None:
    point: Any = Point(x=1)
    with pytest.raises(FrozenInstanceError):
        point.x = 2
    with pytest.raises(FrozenInstanceError):
        point.other = 2
    with pytest.raises(FrozenInstanceError):
        del point.x
    assert not hasattr(point, "__dict__")


@pytest.mark.parametrize(
    ("given", "said"),
    [({}, "no 'x'"), ({"x": 1, "z": 2}, "unexpected 'z'"), ({"x": 1, "total": 2}, "unexpected 'total'")],
)
def test_wrong_fields_are_named(given: dict[str, int], said: str) -> None:
    with pytest.raises(TypeError, match=said):
        Point(**given)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        Point(1)  # type: ignore[misc]


@given(
    st.integers(), st.integers(), st.text(max_size=3), st.text(max_size=3), st.integers(0, 1), st.text("ab", max_size=1)
)
def test_it_compares_and_shows_as_the_standard_library_s(
    x: int, y: int, note: str, hidden: str, other_x: int, other_note: str
) -> None:
    told = {"x": x, "y": y, "note": note, "hidden": hidden}
    other = told | {"x": other_x, "note": other_note}
    ours, theirs = (Point(**told), Point(**other)), (Theirs(**told), Theirs(**other))  # type: ignore[arg-type]
    assert (ours[0] == ours[1]) == (theirs[0] == theirs[1])
    assert ours[0] == Point(**told)  # type: ignore[arg-type]
    assert repr(ours[0]).partition("(")[2] == repr(theirs[0]).partition("(")[2]
    assert ours[0] != theirs[0]


def test_equal_values_hash_alike_and_unhashable_fields_say_so() -> None:
    assert hash(Empty()) == hash(Empty())
    assert Empty() == Empty()
    assert repr(Empty()).endswith("Empty()")
    with pytest.raises(TypeError, match="unhashable"):
        hash(Point(x=1))


def test_it_is_pickled_and_copied() -> None:
    point = Point(x=1, names=["a"], note="n")
    for again in (pickle.loads(pickle.dumps(point)), copy.copy(point), copy.deepcopy(point)):
        assert again == point
        assert (again.note, again.total) == ("n", 3)


def test_the_standard_library_takes_it_for_one_of_its_own() -> None:
    point = Point(x=1, names=["a"])
    assert dataclasses.is_dataclass(point)
    assert dataclasses.replace(point, x=5) == replace(point, x=5) == Point(x=5, names=["a"])
    assert replace(point, x=5).total == 7
    assert dataclasses.asdict(point) == dataclasses.asdict(Theirs(x=1, names=["a"]))
    for found in (fields(Point), dataclasses.fields(Point)):
        theirs = dataclasses.fields(Theirs)
        assert [(item.name, item.compare) for item in found] == [(item.name, item.compare) for item in theirs]
    assert is_value(point)
    assert not is_value(Point)


def test_what_it_would_not_keep_is_refused() -> None:
    with pytest.raises(AssertionError):
        dataclass(frozen=False, slots=True, kw_only=True)
