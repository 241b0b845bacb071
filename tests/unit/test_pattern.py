"""Regular expressions that are compiled when they are first used."""

from __future__ import annotations

import re

import pytest

from envbuild.pattern import pattern


def test_a_pattern_does_what_a_compiled_one_does() -> None:
    word = pattern(r"(?P<word>[a-z]+)", re.IGNORECASE)
    assert word.fullmatch("Word")
    assert word.fullmatch("w1") is None
    assert word.sub("x", "a-b") == "x-x"
    assert word.groupindex == {"word": 1}
    assert [found["word"] for found in word.finditer("a B")] == ["a", "B"]
    assert pattern(rb"\d+").findall(b"1 22") == [b"1", b"22"]


def test_a_pattern_is_compiled_at_first_use_and_not_before() -> None:
    broken = pattern("(")
    with pytest.raises(re.error):
        broken.match("")


def test_a_pattern_has_no_more_than_a_compiled_one() -> None:
    with pytest.raises(AttributeError):
        _ = pattern("a").nothing  # type: ignore[attr-defined]
