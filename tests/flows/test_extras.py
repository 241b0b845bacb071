"""Extras of packages that conda provides: what stands behind them comes from PyPI, as the wheels of them tell."""

from __future__ import annotations

from pathlib import Path

from tests.case import Case
from tests.flows.test_names import wheels, world  # noqa: F401  a fixture
from tests.support.wheels import make_sdist, make_wheel

World = tuple[Path, Path, str]


def test_an_extra_of_a_conda_package_brings_what_is_behind_it(case: Case, world: World) -> None:  # noqa: F811
    _, index, text = world
    make_wheel(index, "plain", "1.0", extras={"colour": ["paint>=1", "torch>=2"]}, requires=["never-needed"])
    make_wheel(index, "paint", "1.2")
    case.recipe(text.replace("PYPI", "'plain[colour]': ")).run("lock", "x.yaml")
    assert wheels(case) == {"paint": "1.2"}  # plain and torch are conda's; what plain itself needs is conda's business
    case.run("why", "x.yaml", "paint").mentions("paint: an extra of a conda package brings it")
    # Also when another package asks for the extra.
    make_wheel(index, "asks", "1.0", requires=["plain[colour]"])
    case.recipe(text.replace("PYPI", "asks: ")).run("lock", "x.yaml")
    assert wheels(case) == {"asks": "1.0", "paint": "1.2"}
    case.run("tree", "x.yaml", "asks").mentions("plain")


def test_an_extra_that_no_wheel_tells_of_is_said(case: Case, world: World) -> None:  # noqa: F811
    _, index, text = world
    case.recipe(text.replace("PYPI", "'plain[colour]': ")).run("lock", "x.yaml")  # the index has no plain at all
    assert wheels(case) == {}
    case.mentions("plain 1.0 comes from conda; its extras are not known and left out")
    make_wheel(index, "plain", "1.0", extras={"sound": []})
    case.recipe(text.replace("PYPI", "'plain[colour]': , vision: ")).run("lock", "x.yaml")
    case.mentions("plain has no extra named colour")


def test_an_extra_of_which_the_index_has_only_an_sdist(case: Case, world: World) -> None:  # noqa: F811
    _, index, text = world
    make_sdist(index, "plain", "1.0", requires=["never-needed"])
    make_wheel(index, "paint", "1.2")
    case.recipe(text.replace("PYPI", "'plain[colour]': ")).run("lock", "x.yaml")
    assert wheels(case) == {}
    case.mentions("plain 1.0 comes from conda; its extras are not known and left out")
