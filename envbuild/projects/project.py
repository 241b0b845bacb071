"""A project: the folder of ``envbuild.yaml``, its recipes, and what each of them requests once all is applied.

Theory: a recipe's request is a pure function of the recipe's file, its bases' files and the configuration; it is the
same wherever the checkout lies. The order of saying is: recipe, its bases, the configuration, the platform's
defaults. A request never depends on the machine, but for a recipe that says nowhere which platforms it is for.

Rules of the file: reads recipe files and what they include, and nothing else; each once for a ``Project``.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING

from envbuild.errors import InvalidInput, Where
from envbuild.machine.virtual import current_platform, default_system
from envbuild.package import Platform
from envbuild.projects.config import Config, load_config
from envbuild.projects.config_files import PROJECT_FILE, find_root
from envbuild.projects.impossible import impossible
from envbuild.projects.merge import Merger, fold_target, over
from envbuild.projects.recipe_files import first_recipe, hint_instead, recipe_of, shown_path
from envbuild.reading.cutoff import cut_off
from envbuild.reading.document import LARGEST_FILE, parse
from envbuild.reading.places import check_path
from envbuild.reading.recipe_reader import read_recipe
from envbuild.reading.schema import closest, findings, without
from envbuild.recipe import Recipe
from envbuild.request import INHERITED, BaseRequest, PlatformRequest, Request
from envbuild.value import dataclass, replace

if TYPE_CHECKING:
    from envbuild.projects.included import WithIncludes

__all__ = [
    "Project",
    "cut_off",
    "find_project",
    "load_recipe",
    "make_request",
    "project_files",
    "recipe_from",
    "request_notes",
    "shown_path",
]

LARGEST_FAMILY = 64
"""How deep bases may extend bases."""

_FAMILY = {"__glibc": "linux", "__musl": "linux", "__linux": "linux", "__osx": "osx", "__win": "win"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A project's root (absolute) and its configuration. Recipes that were read stay in ``_recipes``."""

    root: Path
    config: Config
    _recipes: dict[str, Recipe] = field(default_factory=dict, compare=False, repr=False)
    _requests: dict[str, tuple[Request, tuple[Path, ...]]] = field(default_factory=dict, compare=False, repr=False)
    _included: dict[str, WithIncludes] = field(default_factory=dict, compare=False, repr=False)


def find_project(
    start: Path, environ: Mapping[str, str] | None = None, flags: Mapping[str, str] | None = None
) -> Project:
    """The project of a recipe or folder: the nearest folder above with ``envbuild.yaml``, else the folder itself.

    Args:
        start: A recipe's file, or a folder.
        environ: Environment variables; those of this process when not given.
        flags: Settings of the command line.

    Raises:
        InvalidInput: When a configuration file is wrong.
        UsageError: When a variable or flag is.
    """
    folder = start if start.is_dir() else start.parent
    config = load_config(folder, os.environ if environ is None else environ, flags or {})
    return Project(root=find_root(folder), config=config)


def project_files(folder: Path) -> tuple[Path, ...]:
    """Every file that would make a folder part of a project: an ``envbuild.yaml`` that appears nearer changes it."""
    root = find_root(folder)
    above = (folder, *folder.parents)
    reach = above[: above.index(root) + 1] if (root / PROJECT_FILE).exists() else above
    return tuple(place / PROJECT_FILE for place in reach)


def load_recipe(project: Project, path: Path) -> Recipe:
    """The recipe of one file, with the foreign files that it includes: no bases, no defaults.

    Args:
        project: The project that it belongs to.
        path: The file; a relative one is relative to the working folder.

    Raises:
        InvalidInput: With every finding of the file.
    """
    file = Path(os.path.abspath(path))
    label = os.path.relpath(file, project.root).replace(os.sep, "/")
    if label not in project._recipes:
        project._recipes[label] = _read(project, file, label)
    return project._recipes[label]


def _read(project: Project, file: Path, label: str) -> Recipe:
    shown = shown_path(file)
    here = Where(file=shown)
    if file.name.endswith(".lock.yaml"):
        raise InvalidInput(
            f"{shown} is a lock, not a recipe", reference="bad-path", where=here, hint=f"name {recipe_of(shown)}"
        )
    outside = project.config.allow_outside_paths
    check_path(label if label.startswith("..") else "./" + label, project.root / PROJECT_FILE, project.root, outside)
    try:
        state = file.stat()
        if stat.S_ISDIR(state.st_mode):
            hint = f"name a recipe in it, such as {shown_path(first_recipe(file))}"
            raise InvalidInput(f"{shown} is a folder", reference="bad-path", where=here, hint=hint)
        if not stat.S_ISREG(state.st_mode):
            raise InvalidInput(f"{shown} is not a file", reference="bad-path", where=here)
        with file.open("rb") as stream:
            data = stream.read(LARGEST_FILE + 1)
    except FileNotFoundError:
        raise InvalidInput(
            f"there is no recipe {shown}",
            reference="missing-file",
            where=here,
            hint=hint_instead(file, project.root, project.config.recipes),
        ) from None
    except OSError as error:
        raise InvalidInput(f"{shown} cannot be read: {error.strerror}", reference="bad-path", where=here) from error
    recipe = recipe_from(project, file, data)
    if recipe.include:
        from envbuild.projects.included import with_includes

        project._included[label] = with_includes(recipe, project.root, outside, shown_path)
        return project._included[label].recipe
    return recipe


def recipe_from(project: Project, file: Path, data: bytes) -> Recipe:
    """The recipe that a text would be in a file (absolute), without what it includes.

    Raises:
        InvalidInput: With every finding.
    """
    label = os.path.relpath(file, project.root).replace(os.sep, "/")
    root = parse(data, shown_path(file))
    issues = findings(root, "recipe")
    rest = without(root, issues) if issues else root
    if rest is None:
        raise InvalidInput.of(issues)
    outside = project.config.allow_outside_paths
    return read_recipe(rest, issues, path=label, file=file, project=project.root, outside=outside)


def make_request(project: Project, recipe_path: Path) -> tuple[Request, tuple[Path, ...]]:
    """What a recipe requests, with bases, defaults and platforms applied.

    Args:
        project: The recipe's project.
        recipe_path: The recipe's file; a relative one is relative to the working folder.

    Returns:
        The request, and every file that it was made of: the recipe, its bases, what they include, the project's file.

    Raises:
        InvalidInput: When a file is wrong, bases make a circle or disagree, or the whole cannot be locked.
    """
    recipe = load_recipe(project, recipe_path)
    request, files = _request(project, recipe)
    issues = impossible(request, recipe.path, Where(file=shown_path(Path(os.path.abspath(recipe_path)))))
    if issues:
        raise InvalidInput.of(issues)
    root_file = project.root / PROJECT_FILE
    return request, (*files, *((root_file,) if root_file in project.config.read else ()))


def request_notes(project: Project, recipe_path: Path) -> tuple[str, ...]:
    """What a recipe's included files say that has no meaning here, or is lost, one line each."""
    recipe = load_recipe(project, recipe_path)
    found = [
        note for path in _family(project, recipe) if path in project._included for note in project._included[path].notes
    ]
    return tuple(
        f"{note.where}: {note.message}" + (f" ({note.hint})" if note.hint else "") for note in dict.fromkeys(found)
    )


def _request(project: Project, recipe: Recipe) -> tuple[Request, tuple[Path, ...]]:
    """The request of a recipe that is locked, or of a base, which may be too little to be locked alone."""
    if recipe.path in project._requests:
        return project._requests[recipe.path]
    family = _family(project, recipe)
    merger = Merger()
    whole = _flat(family, recipe.path, None, merger)
    platforms = whole.platforms or project.config.platforms or (current_platform(),)
    parts = {platform: _flat(family, recipe.path, platform, merger) for platform in platforms}
    _check_platforms(recipe, family, platforms, merger)
    for part in parts.values():
        _check_indices(part, merger)
    if merger.issues:
        raise InvalidInput.of(tuple(merger.issues))
    inherits = any(not base.is_file for member in family.values() for base in member.extends)
    interpreter = whole.interpreter or (INHERITED if inherits else project.config.interpreter)
    request = Request(
        recipe=recipe.path,
        interpreter=interpreter,
        exclude_newer=whole.exclude_newer or project.config.exclude_newer,
        platforms=tuple(
            _platform_request(project.config, platform, parts[platform], interpreter) for platform in sorted(platforms)
        ),
        bases=tuple(
            BaseRequest(
                path=base.path,
                request=_request(project, family[base.path])[0].id if base.is_file else None,
                pin=base.pin,
            )
            for base in recipe.extends
        ),
        build=whole.build,
        variables=whole.variables,
        bytecode=bool(whole.bytecode),
        inherits=inherits,
    )
    included = [file for path in family if path in project._included for file in project._included[path].files]
    files = (*(project.root / path for path in family), *included)
    project._requests[recipe.path] = (request, files)
    return request, files


def _family(project: Project, recipe: Recipe) -> dict[str, Recipe]:
    """The recipe and all that it extends, by path: itself first, then in the order of saying.

    Raises:
        InvalidInput: ``extends-cycle`` with the whole circle.
    """
    family: dict[str, Recipe] = {}

    def visit(member: Recipe, trail: tuple[str, ...]) -> None:
        family.setdefault(member.path, member)
        for base in member.extends:
            if not base.is_file:
                continue
            if base.path in (*trail, member.path):
                circle = (*trail, member.path, base.path)
                shown = " -> ".join(circle[circle.index(base.path) :])
                raise InvalidInput(
                    f"recipes extend each other in a circle: {shown}",
                    reference="extends-cycle",
                    where=base.where,
                    hint="remove one of these `extends`",
                )
            if len(trail) >= LARGEST_FAMILY:
                raise InvalidInput("bases extend bases too often", reference="too-large", where=base.where)
            if base.path not in family:
                visit(_load_base(project, base.path, base.where), (*trail, member.path))

    visit(recipe, ())
    return family


def _load_base(project: Project, path: str, where: Where | None) -> Recipe:
    file = Path(os.path.normpath(project.root / path))
    try:
        return load_recipe(project, file)
    except InvalidInput as error:
        if error.reference in {"missing-file", "bad-path"} and not error.issues:
            raise InvalidInput(
                f"the base {path}: {error.message}", reference=error.reference, where=where, hint=error.hint
            ) from None
        raise


def _flat(family: Mapping[str, Recipe], path: str, platform: Platform | None, merger: Merger) -> Recipe:
    """A recipe merged with its bases, theirs first; with its ``targets`` entry when a platform is given."""
    done: dict[str, Recipe] = {}

    def flat(member: Recipe) -> Recipe:
        if member.path not in done:
            files = tuple(base for base in member.extends if base.is_file)  # others have no lines to merge
            mine = replace(member, targets=()) if platform is None else fold_target(member, platform)
            done[member.path] = merger.merge(
                replace(mine, extends=files) if files != mine.extends else mine,
                [flat(family[base.path]) for base in files],
            )
        return done[member.path]

    return flat(family[path])


def _check_platforms(
    recipe: Recipe, family: Mapping[str, Recipe], platforms: tuple[Platform, ...], merger: Merger
) -> None:
    """Note each platform of a recipe that a pinned base has not: there is nothing there to pin."""
    for base in recipe.extends:
        if not base.is_file:
            continue
        have = family[base.path].platforms
        missing = [platform for platform in platforms if have is not None and platform not in have]
        if base.pin and missing:
            merger.note(
                "bases-disagree",
                f"{recipe.path} is for {', '.join(missing)}, which its base {base.path} is not",
                base.where,
                f"add it to `platforms` in {base.path}, or extend with `pin: false`",
            )


def _check_indices(recipe: Recipe, merger: Merger) -> None:
    """Note each requirement that names an index which nobody defines."""
    pypi = recipe.pypi
    indices = (*pypi.extra_indices, *((pypi.index,) if pypi.index else ()))
    known = ["default", *(index.name for index in indices)]
    for requirement in (*pypi.packages, *pypi.constraints, *pypi.overrides):
        index = requirement.index
        if index is not None and index not in known and index not in {item.url for item in indices}:
            hint = closest(index, known) or "add `{name: " + index + ", url: ...}` to `pypi: extra-indices`"
            merger.note("unknown-index", f"{requirement.name} names the index {index!r}", requirement.where, hint)


def _platform_request(config: Config, platform: Platform, recipe: Recipe, interpreter: str) -> PlatformRequest:
    conda, pypi = recipe.conda, recipe.pypi
    channels = conda.channels or config.channels or ()
    said = _system(platform, over(config.system, recipe.system))
    conda_python = interpreter in {"conda", INHERITED}
    return PlatformRequest(
        platform=platform,
        python=recipe.python or config.python,
        python_where=recipe.python_where,
        system=default_system(platform, said),
        system_said=tuple(said),
        channels=channels if conda_python or conda.packages else (),
        conda=conda.packages,
        conda_constraints=conda.constraints if conda_python or conda.packages else (),
        index=pypi.index,
        extra_indices=pypi.extra_indices,
        no_index=bool(pypi.no_index),
        find_links=pypi.find_links,
        prereleases=pypi.prereleases or False,
        no_build=pypi.no_build or False,
        pypi=pypi.packages,
        pypi_constraints=pypi.constraints,
        pypi_overrides=pypi.overrides,
        provides=tuple(sorted({**dict(config.conda_provides), **dict(conda.provides)}.items())),
        provides_where=conda.provides_where,
    )


def _system(platform: Platform, given: tuple[tuple[str, str], ...]) -> dict[str, str]:
    """The virtual packages that can be there on a platform; ``__archspec`` as (version, build)."""
    found = {name: version for name, version in given if platform.startswith(_FAMILY.get(name, ""))}
    if "__cuda" in found and platform.startswith("osx"):
        del found["__cuda"]
    if (architecture := found.get("__archspec")) and " " not in architecture:
        found["__archspec"] = f"1 {architecture}"
    return found
