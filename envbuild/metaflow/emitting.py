"""The recipes of a flow as files: those that a run makes for itself, and those that are committed.

A run makes its recipes in a folder beside the out-links, which Git does not see. When the folder of committed recipes
holds any, a run uses exactly these, with their locks, and what the code says must be what they say. What the code
leaves unsaid they may say as they like.

Rules of the file: reads and writes recipes; locks are ``making``'s.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path

from envbuild.errors import InvalidInput, Issue, StaleError, Where
from envbuild.metaflow.asked import By
from envbuild.metaflow.carrying import MADE, carried
from envbuild.metaflow.collecting import Flow, Locate
from envbuild.metaflow.drift import differences
from envbuild.metaflow.environments import Needed, needed
from envbuild.metaflow.folders import own_folder
from envbuild.metaflow.writing import Standing, Surroundings, Written, written
from envbuild.names import parse_name
from envbuild.projects.checkout import replace_file
from envbuild.projects.project import Project, load_recipe, make_request, recipe_from, shown_path
from envbuild.projects.recipe_files import LINKS
from envbuild.recipe import Recipe
from envbuild.request import INHERITED
from envbuild.value import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeFile:
    """The recipe of one environment of a flow.

    Attributes:
        file: Where it is, absolute.
        committed: Whether it is in the checkout, and the truth.
        said: The decorator behind each of its lines, when the file is what the code says.
        moving: Whether it stands on a name that may mean another environment tomorrow.
    """

    file: Path
    needed: Needed
    committed: bool
    said: Mapping[int, By] = field(default_factory=dict, compare=False)
    moving: bool = False


def committed_folder(project: Project, flow: Flow) -> Path:
    """Where a flow's committed recipes are."""
    return project.root / os.path.normpath(project.config.recipes) / "flows" / flow.name


def recipe_files(
    project: Project, flow: Flow, surroundings: Surroundings, here: str, locate: Locate
) -> tuple[RecipeFile, ...]:
    """The recipes of a flow: the committed ones if there are any, else new ones, which are written.

    Args:
        project: The flow's.
        flow: What its steps ask for.
        surroundings: What decides besides.
        here: This machine's platform.
        locate: Gives decorators their places.

    Raises:
        StaleError: ``recipe-drift`` when the code says otherwise than the committed recipes, with each difference.
        NoSpaceError: When a recipe cannot be written.
    """
    folder = committed_folder(project, flow)
    if names_in(folder):
        return _committed(project, folder, flow, surroundings, here, locate)
    if not (project.root / LINKS).exists():
        (project.root / LINKS).mkdir()
        (project.root / LINKS / ".gitignore").write_text("*\n", encoding="utf-8")
    folder = own_folder(project, flow)
    found = []
    for item in needed(flow, here):
        text = recipe_of(project, item, surroundings, folder, flow, locate, emitted=False)
        file = folder / f"{item.name}.yaml"
        _write(file, text.text)
        found.append(
            RecipeFile(
                file=file,
                needed=item,
                committed=False,
                said=text.said,
                moving=_moving(item),
            )
        )
    return tuple(found)


def names_in(folder: Path) -> tuple[str, ...]:
    """The names of the recipes in a folder, without ending."""
    if not folder.is_dir():
        return ()
    return tuple(sorted(file.stem for file in folder.glob("*.yaml") if not file.name.endswith(".lock.yaml")))


def emit(
    project: Project, flow: Flow, surroundings: Surroundings, folder: Path, here: str, locate: Locate
) -> list[tuple[Path, bool]]:
    """Write the recipes of a flow into a folder; one that says what the code says already stays as it is.

    Args:
        project: The flow's.
        flow: What its steps ask for.
        surroundings: What decides besides.
        folder: Where to.
        here: This machine's platform.
        locate: Gives decorators their places.

    Returns:
        Each recipe, and whether it was written.

    Raises:
        StaleError: ``recipe-drift`` when what people have added to a recipe could not be kept.
        NoSpaceError: When one cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for item in needed(flow, here, names_in(folder)):
        file = folder / f"{item.name}.yaml"
        around = _with_those_of(project, file, surroundings) if file.is_file() else surroundings
        text = recipe_of(project, item, around, folder, flow, locate, emitted=True)
        if not file.is_file():
            found.append((file, _write(file, text.text)))
        elif _differences(project, file, item, text, surroundings):
            found.append((file, _write(file, _with_additions(project, file, item, text, surroundings))))
        else:
            found.append((file, False))
    return found


def _with_those_of(project: Project, file: Path, surroundings: Surroundings) -> Surroundings:
    """What Metaflow needs, and what it needs with other datastores as far as a recipe has that already."""
    there = load_recipe(project, file).names()
    kept = {name: version for name, version in surroundings.known.items() if name in there}
    return replace(surroundings, needs={**kept, **surroundings.needs} if surroundings.needs else {})


def _with_additions(project: Project, file: Path, item: Needed, text: Written, surroundings: Surroundings) -> str:
    """The text of a recipe that is there already, with what people have added to it.

    Raises:
        StaleError: ``recipe-drift`` when it is written in a way in which that cannot be told apart.
    """
    asked = item.asked
    said = {"python": asked.python, "conda.channels": asked.channels, "pypi.extra-indices": asked.indices}
    result = carried(text.text, file.read_text(encoding="utf-8"), {key for key, value in said.items() if value})
    try:
        new, wanted = (recipe_from(project, file, words.encode()) for words in (result, text.text))
        issues = differences(wanted, new, item, surroundings.known, shown_path(file))
        kept = not issues and _besides(new) == _besides(recipe_from(project, file, file.read_bytes()))
    except InvalidInput:
        kept = False
    if not kept:
        raise StaleError(
            "what was added to this recipe cannot be kept: it is not written in the way in which recipes are emitted",
            reference="recipe-drift",
            where=Where(file=shown_path(file)),
            hint="change the recipe by hand to what the code says, or remove it and emit again",
        )
    return result


def _besides(recipe: Recipe) -> Recipe:
    """What a recipe says of that the code says nothing."""
    return replace(
        recipe,
        python=None,
        bytecode=None,
        platforms=None,
        interpreter=None,
        extends=(),
        conda=replace(recipe.conda, packages=(), channels=None),
        pypi=replace(recipe.pypi, packages=(), extra_indices=()),
    )


def recipe_of(
    project: Project,
    item: Needed,
    surroundings: Surroundings,
    folder: Path,
    flow: Flow,
    locate: Locate,
    *,
    emitted: bool,
    looked: bool = True,
) -> Written:
    """The text of a recipe of a flow.

    Args:
        project: The flow's.
        item: The environment.
        surroundings: What decides besides.
        folder: The recipe's.
        flow: The flow.
        locate: Gives decorators their places.
        emitted: Whether it is for the checkout, and so for the project's platforms too.
        looked: Whether bases that are environments may be asked for, which decides where Metaflow's needs stand.
    """
    platforms = item.platforms
    if emitted:
        configured = project.config.platforms or ()
        platforms = () if set(platforms) <= set(configured) else tuple(sorted({*platforms, *configured}))
    return written(
        item.asked,
        surroundings,
        folder=str(folder),
        platforms=platforms,
        base=_standing(project, item, surroundings if looked else replace(surroundings, standing=None), locate),
        comments=(f"{item.said} of {flow.name}, {MADE}",),
    )


def _standing(project: Project, item: Needed, surroundings: Surroundings, locate: Locate) -> Standing | None:
    """What a base has; an environment that nobody is asked for is taken for one on conda.

    Raises:
        InvalidInput: ``missing-file`` with the decorator's place; whatever is wrong with the base.
    """
    base = item.asked.base
    if base is None:
        return None
    if base.kind != "recipe":
        return surroundings.standing(base) if surroundings.standing is not None else Standing(interpreter="conda")
    try:
        interpreter = make_request(project, Path(base.text))[0].interpreter
    except InvalidInput as error:
        if error.reference not in {"missing-file", "bad-path"} or error.issues or base.by is None:
            raise
        by = locate(base.by)
        raise InvalidInput(f"{by}: {error.message}", reference=error.reference, where=by.where) from None
    return Standing(interpreter="conda" if interpreter == INHERITED else interpreter)


def _committed(
    project: Project, folder: Path, flow: Flow, surroundings: Surroundings, here: str, locate: Locate
) -> tuple[RecipeFile, ...]:
    """The committed recipes of a flow, once they say what the code says."""
    there = names_in(folder)
    issues: list[Issue] = []
    found = []
    for item in needed(flow, here, there):
        file = folder / f"{item.name}.yaml"
        if item.name not in there:
            message = f"there is no recipe for {item.said}: no step that asks for the same has one"
            issues.append(Issue(message=message, reference="recipe-drift", where=Where(file=shown_path(folder))))
            continue
        text = recipe_of(project, item, surroundings, folder, flow, locate, emitted=True, looked=False)
        issues += _differences(project, file, item, text, surroundings)
        found.append(RecipeFile(file=file, needed=item, committed=True))
    if issues:
        raise StaleError(
            f"the code of {flow.name} says otherwise than its recipes in {shown_path(folder)}",
            reference="recipe-drift",
            hint=f"python {shown_path(flow.file)} --environment=envbuild environment emit",
            issues=tuple(issues),
        )
    return tuple(found)


def _differences(
    project: Project, file: Path, item: Needed, text: Written, surroundings: Surroundings
) -> tuple[Issue, ...]:
    """How a recipe that is there differs from what the code says."""
    data = text.text.encode()
    if file.read_bytes() == data:
        return ()
    wanted, there = recipe_from(project, file, data), load_recipe(project, file)
    found = differences(wanted, there, item, surroundings.known, shown_path(file))
    return (*found, *_lacking(file, wanted.names() & surroundings.needs.keys() - there.names(), item))


def _lacking(file: Path, needs: frozenset[str], item: Needed) -> tuple[Issue, ...]:
    """What Metaflow itself needs and neither a recipe nor its lock has: the datastore is another one now."""
    from envbuild.locks.locking import read_lock

    lock = read_lock(file) if needs else None
    held = set[str]().union(*(part.names() for part in lock.platforms)) if lock is not None else needs
    return tuple(
        Issue(
            message=f"Metaflow itself needs {name} in a step, which neither the recipe nor its lock has ({item.said})",
            reference="recipe-drift",
            where=Where(file=shown_path(file)),
        )
        for name in sorted(needs - held)
    )


def _moving(item: Needed) -> bool:
    base = item.asked.base
    return base is not None and base.kind == "name" and parse_name(base.text).movable


def _write(file: Path, text: str) -> bool:
    """Write a recipe in one step unless it is there already; whether it was written."""
    data = text.encode()
    if file.is_file() and file.read_bytes() == data:
        return False
    replace_file(file, data)
    return True
