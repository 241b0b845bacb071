"""What a recipe's lock depends on, written from a merge into a folder: the recipe, its bases, their locks, their files.

Rules of the file: what is not in the merge is left out; whoever locks says that it is missing.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from envbuild.errors import InvalidInput
from envbuild.locks.place import lock_path
from envbuild.projects.config_files import PROJECT_FILE, find_root
from envbuild.projects.project import find_project, recipe_from
from envbuild.projects.recipe_files import recipe_of
from envbuild.recipe import PathSource, Recipe
from envbuild.review.merged_tree import MergedTree

_LOCK = ".lock.yaml"
_TEXTS = (".txt", ".in", ".toml", ".yml", ".yaml", ".cfg", ".lock")
"""Files beside an included one that it may name."""


def place_for(place: Path, root: Path, path: str) -> Path:
    """The folder for the repository's files, so that the recipe's project is found as in the working tree.

    A project's file that git does not have (it lies above the repository, or is not committed) is copied.

    Args:
        place: An empty folder.
        root: The repository's root.
        path: The recipe's lock, as git has it.

    Raises:
        InvalidInput: ``bad-path`` when temporary files lie in a project themselves.
    """
    if (find_root(place) / PROJECT_FILE).exists():
        raise InvalidInput(
            f"the folder for temporary files lies in the project {find_root(place)}",
            reference="bad-path",
            hint="set TMPDIR to another folder",
        )
    project = find_root((root / path).parent)
    above = root.relative_to(project) if root.is_relative_to(project) else Path()
    top = place / above
    top.mkdir(parents=True, exist_ok=True)
    if (project / PROJECT_FILE).is_file():
        inside = Path() if root.is_relative_to(project) else project.relative_to(root)
        own = (place if above != Path() else top / inside) / PROJECT_FILE
        own.parent.mkdir(parents=True, exist_ok=True)
        own.write_bytes((project / PROJECT_FILE).read_bytes())
    return top


def write_family(tree: MergedTree, path: str, environ: Mapping[str, str]) -> Path:
    """Write a recipe and all that its lock depends on.

    Args:
        tree: The merge.
        path: The recipe's lock, as git has it.
        environ: For the configuration.

    Returns:
        The recipe's file; its lock is not written.

    Raises:
        InvalidInput: ``missing-file`` when there is no recipe; ``merge-conflict`` when one is in conflict.
    """
    own = recipe_of(path)
    own = own if tree.has(own) else f"{own.removesuffix('.yaml')}.yml"
    first = tree.write(own)
    if first is None:
        raise InvalidInput(f"the merge has no recipe {recipe_of(path)}", reference="missing-file")
    folder = posixpath.dirname(own)
    while True:
        tree.write(posixpath.join(folder, PROJECT_FILE))
        if not folder:
            break
        folder = posixpath.dirname(folder)
    project = find_project(first, environ)

    def whole(path: str) -> str:
        """A path from the project's root, as git has it."""
        return Path(os.path.relpath(project.root / path, tree.folder)).as_posix()

    _write_below(tree, whole, [item for item in project.config.channels or () if item.startswith("./")])
    todo, done = [own], set[str]()
    while todo:
        name = todo.pop()
        if name in done or (file := tree.write(name)) is None:
            continue  # whoever locks says that it is not there
        done.add(name)
        recipe = recipe_from(project, file, file.read_bytes())
        bases = [whole(base.path) for base in recipe.extends if base.is_file]
        for base in bases:
            tree.write(lock_path(Path(base)).as_posix())
        todo += bases
        for item in recipe.include:
            included = whole(item.path)
            tree.write(included)
            for beside in tree.below(posixpath.dirname(included)):
                if beside.endswith(_TEXTS) and not beside.endswith(_LOCK):
                    tree.write(beside)
        _write_below(tree, whole, _places(recipe))
    return first


def _write_below(tree: MergedTree, whole: Callable[[str], str], places: Iterable[str]) -> None:
    for place in places:
        for inside in tree.below(whole(place)):
            tree.write(inside)


def _places(recipe: Recipe) -> list[str]:
    """The project's own folders and files that a recipe names, from the project's root."""
    found: list[str] = []
    for conda, pypi in ((recipe.conda, recipe.pypi), *((item.conda, item.pypi) for item in recipe.targets)):
        addresses = [*(conda.channels or ()), *pypi.find_links, *(item.url for item in pypi.extra_indices)]
        addresses += [item.url for item in conda.packages if item.url is not None]
        addresses += [pypi.index.url] if pypi.index else []
        found += [item for item in addresses if item.startswith("./")]
        found += [item.source.path for item in pypi.packages if isinstance(item.source, PathSource)]
    return found
