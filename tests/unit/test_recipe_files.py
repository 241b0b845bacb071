"""Recipes as files: which are recipes, what their links are called, what a wrong name may have meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from envbuild.projects.recipe_files import first_recipe, hint_instead, instead_of, link_name, recipes_below


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in (
        "envbuild.yaml",
        "loose.yaml",
        "loose.lock.yaml",
        ".pre-commit-config.yaml",
        ".envs/x/share/data.yaml",
        "recipes/train.yaml",
        "recipes/bases/science.yml",
        "recipes/train.lock.yaml",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def test_which_files_are_recipes(root: Path) -> None:
    below = {str(path.relative_to(root)) for path in recipes_below(root)}
    assert below == {"loose.yaml", "recipes/train.yaml", "recipes/bases/science.yml"}
    assert recipes_below(root / "none") == ()


def test_links_of_one_name_in_two_folders_differ(root: Path) -> None:
    names = [link_name(path, root, "recipes/") for path in recipes_below(root)]
    assert names == ["loose", "bases.science", "train"]
    assert link_name(root / "a" / "x.yaml", root, "recipes") != link_name(root / "b" / "x.yaml", root, "recipes")
    assert link_name(root.parent / "x.yaml", root, "recipes/") == "x"


def test_what_a_wrong_name_may_have_meant(root: Path) -> None:
    assert instead_of(root / "loose", root, "recipes/") == root / "loose.yaml"
    assert instead_of(root / "train.yaml", root, "recipes/") == root / "recipes" / "train.yaml"
    assert instead_of(root / "train", root, "recipes/") == root / "recipes" / "train.yaml"
    assert instead_of(root / "other", root, "recipes/") is None


def test_a_slip_is_told_the_recipe_that_is_spelt_like_it(root: Path) -> None:
    assert hint_instead(root / "recipes" / "trian.yaml", root).startswith("did you mean ")
    assert hint_instead(root / "recipes" / "trian.yaml", root).endswith("recipes/train.yaml?")
    assert hint_instead(root / "lose.yml", root).endswith("loose.yaml?")
    assert hint_instead(root / "trian", root).endswith("recipes/train.yaml?")
    assert hint_instead(root / "nowhere" / "quite-another.yaml", root) == "check the path, or `envbuild init`"
    assert hint_instead(root / "quite-another", root) == "name a recipe's file, which ends with .yaml"


def test_a_recipe_of_a_folder(root: Path) -> None:
    assert first_recipe(root / "recipes").name == "train.yaml"
    assert first_recipe(root / "empty").name == "train.yaml"
