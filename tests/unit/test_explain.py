"""What an engine says, without what means nothing to the user, and with the recipe's own lines."""

from __future__ import annotations

import pytest

from envbuild.errors import Where
from envbuild.package import Platform
from envbuild.solvers.explain import clean, mentions, unsatisfiable


def test_credentials_and_scratch_files_disappear() -> None:
    said = (
        "error: numpy @ file:///tmp/x/stubs/numpy-1.0-py3-none-any.whl conflicts\n"
        "  cause: https://anna:hush@host/simple/?sig=secret is there\n"
        "/home/x/stubs/numpy-1.0-py3-none-any.whl too"
    )
    text = clean(said, {})
    assert "stubs" not in text
    assert "hush" not in text
    assert "secret" not in text
    assert text.startswith("numpy conflicts\nhttps://host/simple/ is there")


def test_configured_addresses_become_the_recipes_words() -> None:
    words = {"https://mirror/forge": "conda-forge", "https://mirror/forge-dev/": "dev", "https://mirror": "top"}
    assert clean("from https://mirror/forge-dev/ and https://mirror/forge/noarch", words) == (
        "from dev/ and conda-forge/noarch"
    )


def test_a_word_of_its_own_stays() -> None:
    assert clean("at https://host/simple", {"https://host/simple": "https://host/simple"}) == "at https://host/simple"


def test_a_novel_is_cut() -> None:
    assert len(clean("a " * 100_000, {})) < 7000


@pytest.mark.parametrize(
    ("text", "name", "named"),
    [
        ("toy-core>=1 is", "toy-core", True),
        ("toy_core 1.0", "toy-core", True),
        ("toy.core", "toy_core", True),
        ("toy-core>=1", "toy", False),
        ("toys", "toy", False),
        ("Because Toy==1", "toy", True),
        ("you require toy.", "toy", True),
        ("└─ toy * cannot", "toy", True),
    ],
)
def test_names_are_found_whole(text: str, name: str, named: bool) -> None:
    assert mentions(text, name) is named


def test_each_line_of_the_recipe_stands_once_with_its_place() -> None:
    here, there = Where(file="r.yaml", line=3, column=5), Where(file="r.yaml", line=9, column=5)
    error = unsatisfiable(
        "Because a<2 and a>=2",
        platform=Platform("linux-64"),
        asked=[("b", "b", there), ("a", "a <2", here), ("a", "a >=2", there), ("a", "a <2", here), ("a", "a 1", None)],
        hint="do this",
    )
    assert error.message.splitlines() == [
        "nothing satisfies the request for linux-64:",
        "Because a<2 and a>=2",
        "what the recipe asks:",
        "  r.yaml:3:5: a <2",
        "  r.yaml:9:5: a >=2",
        "  a 1",
    ]
    assert (error.where, error.hint, error.exit_code) == (here, "do this", 11)
    assert [item.where for item in error.all_issues()] == [here, there]
