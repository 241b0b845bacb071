"""This project: its configuration, its recipes and their locks, what Git was told of them, and out-links.

Rules of the file: reads; no recipe is solved, and nothing is asked over a network.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from shlex import quote

from envbuild.doctor.finding import Finding, good, note, of_error, problem
from envbuild.environments.roots import read_roots
from envbuild.errors import EnvbuildError
from envbuild.locks.place import lock_path
from envbuild.machine.home import Home, find_home
from envbuild.projects.config_files import PROJECT_FILE
from envbuild.projects.project import Project, load_recipe, shown_path
from envbuild.projects.recipe_files import recipes_below

SHOWN = 3
"""Names that one sentence holds."""


def recipes(project: Project) -> Iterator[Finding]:
    """Recipes that cannot be read, and those without a lock."""
    if not (project.root / PROJECT_FILE).is_file():
        yield note("project", f"there is no {PROJECT_FILE} in {project.root} or above", "envbuild init")
        return
    for text in project.config.warnings:
        yield note("project", text)
    folder = project.root / project.config.recipes
    found = recipes_below(folder) if folder.is_dir() else ()
    sound, bare = [], []
    for recipe in found:
        try:
            load_recipe(project, recipe)
        except EnvbuildError as error:
            yield from (of_error("project", one) for one in (error.issues or (error,)))
            continue
        sound.append(recipe)
        if not lock_path(recipe).exists():
            bare.append(recipe)
    if bare:
        yield note("project", f"without a lock: {_few(bare)}", f"envbuild lock {quote(shown_path(bare[0]))}")
    yield good("project", f"{len(sound)} of {len(found)} recipes in {shown_path(folder)} can be read")


def _few(paths: list[Path]) -> str:
    names = [shown_path(path) for path in paths]
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def git(project: Project, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Whether this clone merges and shows locks as its ``.gitattributes`` wants."""
    from envbuild.review.git import Repository
    from envbuild.review.installing import LINE, program, settings

    try:
        repository = Repository(project.root, environ)
        repository.needed("a look at git's settings")
    except EnvbuildError:
        return  # no repository: nothing to be told
    attributes = project.root / ".gitattributes"
    told = attributes.is_file() and LINE in attributes.read_text(encoding="utf-8", errors="replace").splitlines()
    if not told:
        text = "git merges and compares locks line by line here"
        yield note("project", text, "envbuild init --git")
        return
    missing = [
        name
        for name, value in settings(program())
        if repository.ask("config", "--local", "--null", "--get", name) != value.encode() + b"\0"
    ]
    if missing:
        text = f"this clone lacks, or has for another envbuild: {', '.join(missing)}"
        yield problem("project", f"{text}; merges of locks end in conflicts", "envbuild init --git")
    else:
        yield good("project", "git merges and compares locks by envbuild")


def links(project: Project, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Out-links of this project that lead nowhere."""
    home = Home(path=find_home(environ))
    gone = [
        Path(root.link)
        for _, root in read_roots(home.roots)
        if Path(root.link).is_relative_to(project.root)
        and Path(root.link).is_symlink()
        and not Path(root.link).exists()
    ]
    if gone:
        text = f"{_few(gone)} leads to an environment that is gone"
        yield note("project", text, "realize its recipe again, or remove the link")
