"""Asking for METADATA while the engine resolves: what is heard, what is read, and that it is a hint and no more."""

from __future__ import annotations

import time
from typing import Any

import pytest

from envbuild.errors import UnreachableError
from envbuild.solvers.metadata_ahead import MOST, MetadataAhead, without_hints

TOLD = b"Metadata-Version: 2.1\nName: toy\nVersion: 1.0\nRequires-Dist: other >= 2\n"


class Reading:
    """A context that reads, and remembers what."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def read(self, url: str, *, limit: int, span: Any = None) -> bytes | None:
        self.asked.append(url)
        if "gone" in url:
            return None
        if "dead" in url:
            raise UnreachableError("no answer")
        time.sleep(0.01)
        return TOLD


def asked(url: str) -> str:
    return f"DEBUG No cache entry for: {url}"


def test_what_the_engine_asks_for_is_read_once_beside_it():
    context: Any = Reading()
    with MetadataAhead(context) as ahead:
        for _ in range(3):
            ahead.hear(asked("http://127.0.0.1/files/toy-1.0-py3-none-any.whl.metadata"))
        found = ahead.metadata("http://127.0.0.1/files/toy-1.0-py3-none-any.whl.metadata")
    assert found is not None
    assert (found.name, found.version, found.requires) == ("toy", "1.0", ("other >= 2",))
    assert len(context.asked) == 1


@pytest.mark.parametrize("word", ["gone", "dead"])
def test_what_cannot_be_read_is_nothing(word: str):
    with MetadataAhead(Reading()) as ahead:  # type: ignore[arg-type]
        ahead.hear(asked(f"http://127.0.0.1/{word}.whl.metadata"))
        assert ahead.metadata(f"http://127.0.0.1/{word}.whl.metadata") is None
        assert ahead.metadata("http://127.0.0.1/never-heard.whl.metadata") is None


@pytest.mark.parametrize(
    "line",
    [
        "DEBUG No cache entry for: http://127.0.0.1/simple/toy/",
        "DEBUG No cache entry for: file:///etc/passwd.metadata",
        "DEBUG No cache entry for: http://a b.metadata",
        "error: No cache entry for: http://127.0.0.1/x.metadata",
        "",
    ],
)
def test_other_lines_mean_nothing(line: str):
    context: Any = Reading()
    with MetadataAhead(context) as ahead:
        ahead.hear(line)
    assert context.asked == []


def test_a_search_is_not_followed_for_ever():
    context: Any = Reading()
    with MetadataAhead(context) as ahead:
        for number in range(3 * MOST):
            ahead.hear(asked(f"http://127.0.0.1/gone-{number}.whl.metadata"))
        assert ahead.metadata(f"http://127.0.0.1/gone-{MOST - 1}.whl.metadata") is None
    assert len(context.asked) <= MOST


def test_hints_are_not_what_the_engine_says():
    assert without_hints("DEBUG a\nwarning: b\n  DEBUG c\nDEBUG d") == "warning: b\n  DEBUG c\n"
