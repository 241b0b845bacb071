"""Extras newly asked of what a base builds: what stands behind them comes in, the source stays the base's."""

from __future__ import annotations

import shutil

import pytest

from envbuild.recipe import PathSource
from tests.support.sdists import make_project
from tests.support.source_world import HERE, World, found, need, only

MINE = PathSource(path="libs/mine")
EXTRAS = {"more": ["paint>=1"], "loud": ["horn"]}


@pytest.fixture
def offering(world: World) -> World:
    """A world whose index has what the extras need."""
    for name in ("leaf", "paint", "horn"):
        world.wheel(name, "1.0")
    return world


def mine(world: World, *, static: bool = True, **options: object) -> None:
    make_project(
        world.project / "libs" / "mine",
        "mine",
        "1.0",
        requires=["leaf"],
        static=static,
        **{"extras": EXTRAS, **options},  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("static", [True, False])
def test_an_extra_of_a_base_s_folder_brings_what_is_behind_it(offering: World, static: bool) -> None:
    mine(offering, static=static)
    base = offering.solve(need("mine", source=MINE))
    assert found(base) == {"mine": "1.0", "leaf": "1.0"}
    derived = offering.extended(base, need("mine", extras=("more",)))
    assert found(derived) == {"mine": "1.0", "leaf": "1.0", "paint": "1.0"}
    source = only(derived)
    assert (source.sha256, source.path) == (only(base).sha256, "libs/mine")
    assert (source.requires, source.extras) == (("leaf", "paint"), ("more",))
    again = offering.extended(derived, need("mine", extras=("more", "loud")))
    assert found(again) == {"mine": "1.0", "leaf": "1.0", "paint": "1.0", "horn": "1.0"}
    assert only(again).extras == ("loud", "more")
    assert not offering.notes


def test_it_is_read_from_the_store_when_the_folder_is_gone(offering: World) -> None:
    mine(offering)
    base = offering.solve(need("mine", source=MINE))
    shutil.rmtree(offering.project / "libs")
    derived = offering.extended(base, need("mine", extras=("more",)))
    assert found(derived) == {"mine": "1.0", "leaf": "1.0", "paint": "1.0"}


def test_what_cannot_be_read_any_more_is_an_error_and_not_an_extra_less(offering: World) -> None:
    mine(offering)
    base = offering.solve(need("mine", source=MINE))
    shutil.rmtree(offering.project / "libs")
    elsewhere = World(
        folder=offering.folder, home=offering.folder / "home-2", server=offering.server, index=offering.index
    )
    elsewhere.home.mkdir(mode=0o700)
    fields = {"pins_wheels": base.wheels, "pins_sources": base.sources, "pins_build": base.build}
    error = elsewhere.refused(need("mine", extras=("more",)), fields=fields)
    assert error.where == HERE
    assert "mine[more] is asked for, and the base has mine without it" in error.message
    assert error.hint == "ask for mine[more] in the base, and lock it again"
    assert found(elsewhere.solve(need("mine"), fields=fields)) == {"mine": "1.0", "leaf": "1.0"}, (
        "without it, all is known"
    )


def test_another_package_may_ask_for_the_extra(offering: World) -> None:
    offering.wheel("top", "1.0", requires=["mine[loud]"])
    mine(offering)
    base = offering.solve(need("mine", source=MINE))
    derived = offering.extended(base, need("top"))
    assert found(derived) == {"mine": "1.0", "leaf": "1.0", "top": "1.0", "horn": "1.0"}
    assert only(derived).extras == ("loud",)


def test_an_extra_of_one_source_may_ask_for_that_of_another(offering: World) -> None:
    mine(offering)
    make_project(
        offering.project / "libs" / "other",
        "other",
        "1.0",
        static=True,
        requires=["mine"],
        extras={"all": ["mine[loud]"]},
    )
    other = need("other", source=PathSource(path="libs/other"))
    base = offering.solve(need("mine", source=MINE), other)
    derived = offering.extended(base, need("other", extras=("all",)))
    assert found(derived) == {"mine": "1.0", "other": "1.0", "leaf": "1.0", "horn": "1.0"}
    assert {item.name: item.extras for item in derived.sources} == {"mine": ("loud",), "other": ("all",)}


def test_an_sdist_of_an_index_is_read_again_with_the_base_s_tools(offering: World) -> None:
    offering.wheel("tool", "1.0")
    offering.sdist("mine", "1.0", requires=["leaf"], extras=EXTRAS, build_requires=["tool"])
    base = offering.solve(need("mine"))
    offering.wheel("tool", "2.0")
    offering.sdist("mine", "2.0", extras=EXTRAS, build_requires=["tool"])
    derived = offering.extended(base, need("mine", extras=("more",)))
    assert found(derived) == {"mine": "1.0", "leaf": "1.0", "paint": "1.0"}
    assert derived.build == base.build


def test_an_extra_that_there_is_not_is_said_and_changes_nothing(offering: World) -> None:
    mine(offering)
    base = offering.solve(need("mine", source=MINE))
    derived = offering.extended(base, need("mine", extras=("quiet",)))
    assert derived.sources == base.sources
    assert derived.wheels == base.wheels
    assert offering.notes == ["mine has no extra named quiet"]


def test_an_extra_that_names_an_address_belongs_into_the_base(offering: World) -> None:
    far = {"far": ["paint @ https://x.example/paint-1.0-py3-none-any.whl"], "more": ["paint"]}
    mine(offering, extras=far)
    base = offering.solve(need("mine", source=MINE))
    fields = {"pins_wheels": base.wheels, "pins_sources": base.sources}
    error = offering.refused(need("mine", extras=("far",)), fields=fields)
    assert (error.exit_code, error.reference, error.where) == (11, "address-in-metadata", HERE)
    assert "mine[far] is asked for" in error.message
    assert "it wants paint from an address" in error.message
