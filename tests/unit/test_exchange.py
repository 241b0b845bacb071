"""Importing's small parts: words for addresses, what is asked for, the text of a recipe."""

from __future__ import annotations

from pathlib import Path

import pytest

from envbuild.addresses import Addresses
from envbuild.digest import Digest
from envbuild.errors import Where
from envbuild.exchange.asking import Asked, asked_names, what_is_asked
from envbuild.exchange.recipe_text import RecipeDraft, recipe_text
from envbuild.exchange.words import Words
from envbuild.formats.foreign_lock import ForeignEnvironment
from envbuild.lock import LockedEnvironment
from envbuild.package import Platform, SourcePackage, Wheel
from envbuild.projects.project import find_project, load_recipe

LINUX, MAC = Platform("linux-64"), Platform("osx-arm64")


@pytest.fixture
def words(tmp_path: Path) -> Words:
    return Words(
        Addresses(
            root=tmp_path.as_posix(),
            channel_alias="https://conda.example.com/",
            mirrors=(
                ("https://conda.example.com/", ("https://mirror.example.com/conda",)),
                ("https://index.example.com/", ("https://anna:hunter2@mirror.example.com/pypi",)),
            ),
            index="https://anna:hunter2@index.example.com/simple/",
        )
    )


@pytest.mark.parametrize(
    ("address", "word"),
    [
        ("https://conda.example.com/forge/", "forge"),
        ("https://mirror.example.com/conda/forge", "forge"),
        ("https://elsewhere.example.com/forge", "https://elsewhere.example.com/forge"),
        ("forge", "forge"),
    ],
)
def test_channels_get_a_recipe_s_words(words: Words, address: str, word: str) -> None:
    assert words.channel(address) == word


def test_a_channel_in_the_project_is_a_folder_of_it(words: Words, tmp_path: Path) -> None:
    assert words.channel((tmp_path / "channel").as_uri()) == "./channel"
    assert words.channel(tmp_path.parent.as_uri()) == tmp_path.parent.as_uri()


@pytest.mark.parametrize(
    ("address", "word"),
    [
        ("https://index.example.com/simple", "default"),
        ("https://mirror.example.com/pypi/simple/", "default"),
        ("https://bob:secret@other.example.com/simple", "https://other.example.com/simple"),
    ],
)
def test_indices_get_a_recipe_s_words(words: Words, address: str, word: str) -> None:
    assert words.index(address) == word


def wheel(name: str, *requires: str, url: str | None = None) -> Wheel:
    file = f"{name}-1-py3-none-any.whl"
    return Wheel(
        name=name,
        version="1",
        file=file,
        sha256=Digest("ab" * 32),
        index=None if url else "default",
        url=url,
        requires=requires,
    )


def environment(
    *wheels: Wheel, platform: Platform = LINUX, sources: tuple[SourcePackage, ...] = ()
) -> LockedEnvironment:
    return LockedEnvironment(
        platform=platform, python="3.12", interpreter="host", system=(), wheels=wheels, sources=sources
    )


def test_what_nothing_needs_is_asked_for() -> None:
    nothing = ForeignEnvironment(platform=LINUX)
    assert asked_names(environment(wheel("a", "b"), wheel("b", "c"), wheel("c")), nothing) == {"a"}
    circle = environment(wheel("a", "b"), wheel("b", "a"), wheel("c", "a"))
    assert asked_names(circle, nothing) == {"c"}
    closed = environment(wheel("a", "b"), wheel("b", "a"), wheel("z"))
    assert asked_names(closed, nothing) == {"a", "z"}, "one of a circle that nobody needs"
    addressed = environment(wheel("a", "b"), wheel("b", url="https://x.example.com/b-1-py3-none-any.whl"))
    assert asked_names(addressed, nothing) == {"a", "b"}, "only a recipe can name an address"


def test_platforms_that_differ_get_targets(tmp_path: Path) -> None:
    several = (environment(wheel("a"), wheel("b", "c"), wheel("c")), environment(wheel("a"), wheel("c"), platform=MAC))
    nothing = [ForeignEnvironment(platform=item.platform) for item in several]
    asked, marked = what_is_asked(several, nothing, Where(file="x.lock"))
    assert list(asked.pypi) == ["a", "c"]
    assert list(asked.targets) == [LINUX]
    assert all(item.asked for one in marked for item in one.wheels)
    text = recipe_text(RecipeDraft(asked=asked, platforms=(LINUX, MAC), interpreter="host", comments=("x" * 300,)))
    path = tmp_path / "x.yaml"
    path.write_text(text)
    recipe = load_recipe(find_project(path), path)
    assert [item.name for item in recipe.pypi.packages] == ["a", "c"]
    assert recipe.targets[0].pypi.packages[0].name == "b"


def test_comments_keep_every_language_and_no_control_character() -> None:
    asked = Asked(conda={}, pypi={"a": None}, targets={})
    said = "Imported from größe-环境.txt\x1b[31m \u202e\ufeff\x85 é"
    text = recipe_text(RecipeDraft(asked=asked, platforms=(LINUX,), comments=(said,)))
    assert text.splitlines()[0] == "# Imported from größe-环境.txt?[31m ?? é"


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    """Whatever a foreign file calls things, what is written says the same when it is read."""
    source = SourcePackage(
        name="no", version="1", file="no-1.tar", sha256=Digest("ab" * 32), path='libs/a: b", {c}', found_on=None
    )
    asked, _ = what_is_asked(
        (environment(wheel("yes"), wheel("null"), sources=(source,)),),
        [ForeignEnvironment(platform=LINUX)],
        Where(file="x.lock"),
    )
    draft = RecipeDraft(
        asked=asked,
        platforms=(LINUX,),
        folder="..",
        interpreter="host",
        variables={"A": "x: {y}\n#", "NO": "no"},
        comments=("evil\npython: 2.7",),
    )
    (tmp_path / "envbuild.yaml").write_text("")
    path = tmp_path / "recipes" / "x.yaml"
    path.parent.mkdir()
    path.write_text(recipe_text(draft))
    recipe = load_recipe(find_project(path), path)
    assert [item.name for item in recipe.pypi.packages] == ["no", "null", "yes"]
    assert recipe.variables == (("A", "x: {y}\n#"), ("NO", "no"))
    assert recipe.python is None
    assert getattr(recipe.pypi.packages[0].source, "path", None) == 'libs/a: b", {c}'
