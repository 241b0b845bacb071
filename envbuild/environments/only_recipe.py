"""The recipe that is meant where none is named: the project's, when it has only one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from envbuild.errors import UsageError
from envbuild.projects.recipe_files import shown_path


def only_recipe(recipes: Sequence[Path], command: str, *more: str) -> Path:
    """A project's only recipe.

    Args:
        recipes: All of them, at least one.
        command: What would name one.
        more: What would follow it.

    Raises:
        UsageError: ``which-recipe``.
    """
    first, *others = recipes
    if others:
        raise UsageError(
            f"the project has {len(recipes)} recipes, and none is named",
            reference="which-recipe",
            hint=" ".join(["envbuild", command, shown_path(first), *more]),
        )
    return first
