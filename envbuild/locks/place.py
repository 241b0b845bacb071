"""Where a recipe's lock lies; a room of its own, because it is asked before anything else is imported."""

from __future__ import annotations

from pathlib import Path


def lock_path(recipe: Path) -> Path:
    """The lock beside a recipe: ``train.yaml`` has ``train.lock.yaml``."""
    return recipe.with_name(recipe.name.removesuffix(".yaml").removesuffix(".yml") + ".lock.yaml")
