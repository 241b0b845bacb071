"""Environments that are asked for on the command line: files and an environment to stand on become a recipe.

The recipe lies in ``.envs/environments/`` of the project, beside those of runs, and is named after what it says: who
asks for the same again finds its lock. It includes the files that were named, which are read in place, and says what
is said for a step: the Python of whoever asks, channels where one is needed, and Metaflow's own needs.

Rules of the file: text is made here; what files ask for is ``projects.included``'s.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from envbuild.errors import InvalidInput, UsageError, Where
from envbuild.metaflow.writing import DEFAULT_CHANNEL, NEEDS_HEADING, Surroundings
from envbuild.names import parse_name, source_of
from envbuild.projects.checkout import replace_file
from envbuild.projects.included import with_includes
from envbuild.projects.project import Project, shown_path
from envbuild.projects.recipe_files import LINKS
from envbuild.recipe import Include, Recipe
from envbuild.value import dataclass

if TYPE_CHECKING:
    from envbuild.package import Platform


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is asked for.

    Attributes:
        requirements: Files as pip writes them.
        files: ``environment.yml`` and the like.
        python: Versions of Python, as typed.
        platforms: Empty for this machine's.
        using: A name, an id or a recipe that it stands on.
    """

    requirements: tuple[Path, ...] = ()
    files: tuple[Path, ...] = ()
    python: str | None = None
    platforms: tuple[Platform, ...] = ()
    using: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Adhoc:
    """The recipe of a wish.

    Attributes:
        file: Where it lies.
        said: What stands behind each of its lines, by number, in words of who asked: the file is nobody's.
    """

    file: Path
    said: Mapping[int, str]


def adhoc_folder(project: Project) -> Path:
    """Where such recipes lie."""
    return project.root / LINKS / "environments"


def make_folder(project: Project, folder: Path) -> None:
    """Make a folder of such recipes; Git does not see those of a project."""
    links = project.root / LINKS
    if folder.is_relative_to(links) and not links.exists():
        links.mkdir(exist_ok=True)
        (links / ".gitignore").write_text("*\n", encoding="utf-8")
    folder.mkdir(parents=True, exist_ok=True)


def write_adhoc(project: Project, wish: Wish, surroundings: Surroundings, folder: Path, here: Platform) -> Adhoc:
    """Write the recipe of what is asked for; the same text is the same file.

    Args:
        project: Of whoever asks.
        wish: What is asked for.
        surroundings: What decides besides.
        folder: Where it goes.
        here: This machine's platform.

    Raises:
        UsageError: ``no-requirements`` when nothing is asked for.
        InvalidInput: Every finding of the files.
        NoSpaceError: When it cannot be written.
    """
    if not (wish.requirements or wish.files or wish.using):
        raise UsageError(
            "nothing says what is wanted",
            reference="no-requirements",
            hint="-r requirements.txt, -f environment.yml, or --using NAME",
        )
    if wish.using and wish.python:
        raise UsageError("--using takes the Python of what it stands on: leave --python out")
    lines = list(_lines(project, wish, surroundings, folder, here))
    text = "".join(f"{line}\n" for line, _ in lines)
    make_folder(project, folder)
    file = folder / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.yaml"
    if not file.is_file():
        replace_file(file, text.encode())
    return Adhoc(file=file, said={number: said for number, (_, said) in enumerate(lines, 1)})


def _lines(
    project: Project, wish: Wish, surroundings: Surroundings, folder: Path, here: Platform
) -> Iterator[tuple[str, str]]:
    """Each line, and what stands behind it."""
    asked = _read(project, wish)
    yield f"platforms: [{', '.join(wish.platforms or (here,))}]", "--arch" if wish.platforms else "this machine"
    conda, pypi = bool(_named(asked)), bool(asked.pypi.packages)
    conda_python = not wish.using and (conda or surroundings.interpreter == "conda")
    if wish.python is not None:
        yield f"python: {json.dumps(wish.python)}", f"--python {wish.python}"
    elif asked.python is None and not wish.using:
        yield f"python: {json.dumps(surroundings.python)}", "the Python that asks"
    if conda_python and surroundings.interpreter != "conda":
        yield "interpreter: conda", "conda packages among what is asked for"
    if wish.using:
        yield f"extends: {{{_base(wish.using, folder)}}}", f"--using {wish.using}"
    includes = [
        f"{{path: {json.dumps(os.path.relpath(file, folder))}, format: {kind}}}"
        for kind, files in (("requirements", wish.requirements), ("environment-yml", wish.files))
        for file in files
    ]
    if includes:
        yield f"include: [{', '.join(includes)}]", "what is asked for"
    channels = (
        () if surroundings.channels or asked.conda.channels else surroundings.conda_channels or (DEFAULT_CHANNEL,)
    )
    names = asked.names()
    needs = {name: version for name, version in surroundings.needs.items() if name not in names}
    if wish.using and not (conda or pypi):
        needs = {}
    in_conda = conda or (conda_python and not pypi)
    yield from _section("conda", channels if conda_python or conda else (), needs if in_conda else {})
    yield from _section("pypi", (), {} if in_conda else needs)


def _section(name: str, channels: Sequence[str], needs: dict[str, str]) -> Iterator[tuple[str, str]]:
    if channels or needs:
        yield f"{name}:", NEEDS_HEADING
    if channels:
        yield f"  channels: {json.dumps(list(channels))}", "the channels of your settings"
    if needs:
        yield "  packages:", NEEDS_HEADING
        yield f"    # {NEEDS_HEADING}", NEEDS_HEADING
        for package, version in sorted(needs.items()):
            line = f"    {package}: {json.dumps(version)}" if version else f"    {package}:"
            yield line, f"{NEEDS_HEADING} ({package})"


def _read(project: Project, wish: Wish) -> Recipe:
    """What the files ask for together."""
    for file in (*wish.requirements, *wish.files):
        if not file.is_file():
            raise InvalidInput(
                f"there is no file {shown_path(file)}",
                reference="missing-file",
                where=Where(file=shown_path(file)),
                hint="check the path",
            )
    includes = tuple(
        Include(path=os.path.relpath(file, project.root).replace(os.sep, "/"), format=kind, chosen=())
        for kind, files in (("requirements", wish.requirements), ("environment-yml", wish.files))
        for file in files
    )
    return with_includes(Recipe(path="environment.yaml", include=includes), project.root, True, shown_path).recipe


def _named(recipe: Recipe) -> list[str]:
    """The conda packages but Python itself."""
    return [item.name for item in recipe.conda.packages if item.name != "python"]


def _base(using: str, folder: Path) -> str:
    """What stands behind ``extends``.

    Raises:
        InvalidInput: ``bad-alias``.
    """
    meant = source_of(using, os.path.isfile)
    if meant.kind == "id":
        return f"id: {json.dumps(meant.text)}"
    if meant.kind == "recipe":
        return f"path: {json.dumps(os.path.relpath(os.path.abspath(meant.text), folder))}"
    return f"name: {json.dumps(str(parse_name(meant.text)))}"
