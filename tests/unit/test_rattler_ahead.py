"""The engine's process is started ahead exactly where it will be needed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from envbuild.linkers import rattler_process
from envbuild.linkers.rattler_ahead import start_for

LOCK = "lock: 1\nplatforms:\n  linux-64:\n    conda:\n    - {}\n"


@pytest.fixture(autouse=True)
def _ended() -> Iterator[None]:
    rattler_process.end()
    yield
    rattler_process.end()


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """A recipe with a lock, in a folder of its project."""
    folder = tmp_path / "project" / "recipes" / "team"
    folder.mkdir(parents=True)
    (folder / "train.yaml").write_text("conda:\n  packages: {x: }\n")
    (folder / "train.lock.yaml").write_text(LOCK)
    return folder / "train.yaml"


def started() -> bool:
    return rattler_process._current is not None


@pytest.mark.parametrize("before", [(), ("--locked",), ("-q", "--jobs=2")])
def test_where_there_is_no_environment_yet_it_starts(recipe: Path, before: tuple[str, ...]) -> None:
    start_for([*before, str(recipe)])
    assert started()


def test_a_recipe_is_found_from_the_working_folder(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(recipe.parent)
    start_for(["recipe:train.yaml"])
    assert started()


def test_a_link_that_leads_nowhere_is_no_environment(recipe: Path) -> None:
    links = recipe.parents[2] / ".envs"
    links.mkdir()
    (links / "team.train").symlink_to("gone")
    start_for([str(recipe)])
    assert started()


@pytest.mark.parametrize(("above", "name"), [(0, "train"), (2, "team.train"), (2, "recipes.team.train"), (2, "train")])
def test_beside_an_environment_nothing_starts(recipe: Path, above: int, name: str) -> None:
    links = recipe.parents[above] / ".envs"
    links.mkdir()
    (links / name).symlink_to(recipe.parent)
    start_for([str(recipe)])
    assert not started()


@pytest.mark.parametrize("option", ["--help", "--dry-run", "--no-out-link", "--prefix=x", "--out-link"])
def test_where_no_link_would_tell_nothing_starts(recipe: Path, option: str) -> None:
    start_for([option, str(recipe)])
    assert not started()


def test_without_conda_packages_nothing_starts(recipe: Path) -> None:
    recipe.with_name("train.lock.yaml").write_text(LOCK.replace("conda", "pypi"))
    start_for([str(recipe)])
    assert not started()


@pytest.mark.parametrize("arguments", [[], ["team/train:stable"], ["other.yaml"], ["--locked"], ["a\0b.yaml"]])
def test_without_a_lock_nothing_starts(arguments: list[str]) -> None:
    start_for(arguments)
    assert not started()
