"""Recipes as files: which files are recipes, what their out-links are called, what a wrong name may have meant.

Rules of the file: looks at names and at what is there; opens nothing.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from envbuild.projects.config_files import PROJECT_FILE

SUFFIXES = (".yaml", ".yml")

LINKS = ".envs"
"""The folder of out-links at a project's root; recipes that were made for a run lie in it too."""


def is_recipe_name(path: Path) -> bool:
    """Whether a path may lead to a recipe: a YAML file; no lock, no project file; nothing on the way is hidden.

    Args:
        path: Relative to the folder of recipes.
    """
    lock_or_project = path.name.endswith(".lock.yaml") or path.name == PROJECT_FILE
    return path.suffix in SUFFIXES and not lock_or_project and not any(part.startswith(".") for part in path.parts)


def recipes_below(folder: Path) -> tuple[Path, ...]:
    """Every recipe of a folder, sorted."""
    return tuple(path for path in sorted(folder.rglob("*.y*ml")) if is_recipe_name(path.relative_to(folder)))


def is_folder(word: Path | str) -> bool:
    """Whether a word is a folder; one that cannot be looked at, or be a path at all, is none."""
    return os.path.isdir(word)  # noqa: PTH112  a Path raises where it is too long


def is_there(word: Path | str) -> bool:
    """Whether a word is a file or a folder; likewise."""
    return os.path.exists(word)  # noqa: PTH110


def recipes_of_pattern(pattern: str) -> tuple[Path, ...] | None:
    """The recipes that a pattern leads to, sorted; None for a word that is none, or a file."""
    import glob

    if not glob.has_magic(pattern) or os.path.lexists(pattern):
        return None
    found = map(Path, sorted(glob.glob(pattern, recursive=True)))  # noqa: PTH207  a Path has no pattern of its own
    return tuple(path for path in found if is_recipe_name(Path(path.name)))


def link_name(recipe: Path, root: Path, recipes: str) -> str:
    """What the out-link of a recipe is called: ``train``, or ``bases.science`` for one in a folder of recipes.

    Two recipes of one name in different folders have different links. A recipe that was made beside the links has the
    link that it would have in the folder of recipes.

    Args:
        recipe: The recipe's file.
        root: The project's root.
        recipes: The folder of recipes, relative to the root.
    """
    inside = Path(os.path.relpath(recipe, root))
    for folder in (Path(os.path.normpath(recipes)), Path(LINKS)):
        if inside.is_relative_to(folder):
            inside = inside.relative_to(folder)
            break
    parts = [part for part in (*inside.parent.parts, inside.stem) if part != os.pardir]
    return ".".join(parts)


def first_recipe(folder: Path) -> Path:
    """A recipe of a folder, for a hint."""
    found = [path for path in sorted(folder.glob("*.y*ml")) if is_recipe_name(path.relative_to(folder))]
    return found[0] if found else folder / "train.yaml"


def instead_of(file: Path, root: Path, recipes: str) -> Path | None:
    """The recipe that somebody may have meant who named a file that is not there."""
    close = [file.with_name(file.name + suffix) for suffix in SUFFIXES]
    close += [root / recipes / path.name for path in (file, *close)]
    return next((path for path in close if path.suffix in SUFFIXES and path.is_file()), None)


def hint_instead(file: Path, root: Path, recipes: str = "recipes/") -> str:
    """What to type instead of the name of a file that is not there: a recipe that is meant, or spelt much like it."""
    meant = instead_of(file, root, recipes) or _spelt_like(file, root, recipes)
    if meant is not None:
        return f"did you mean {shown_path(meant)}?"
    if file.suffix not in SUFFIXES:
        return "name a recipe's file, which ends with .yaml"
    return "check the path, or `envbuild init`"


def _spelt_like(file: Path, root: Path, recipes: str) -> Path | None:
    import difflib

    near: dict[str, Path] = {}
    for folder in (root / recipes, file.parent):
        with suppress(OSError, ValueError):
            near |= {path.stem: path for path in sorted(folder.glob("*.y*ml")) if is_recipe_name(Path(path.name))}
    close = difflib.get_close_matches(file.stem[:60], near, n=1, cutoff=0.7)
    return near[close[0]] if close else None


def shown_path(file: Path) -> str:
    """A file as a message names it: from the working folder when it lies below, else whole."""
    try:
        relative = os.path.relpath(file)
    except (OSError, ValueError):  # the working folder is gone, or on another drive
        return str(file)
    return str(file) if relative.startswith("..") else relative


def recipe_of(lock: str) -> str:
    """The recipe's name for a lock's name."""
    return lock.removesuffix(".lock.yaml") + ".yaml"
