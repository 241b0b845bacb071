"""``add`` and ``remove-package``: edit a recipe, keep its comments, lock."""

from __future__ import annotations

from pathlib import Path

import click

from envbuild.cli.options import Command, as_json, offline, option, quiet, recipe_argument


def editing(command: Command) -> Command:
    """The options of both commands."""
    for decorate in (
        quiet,
        as_json,
        offline,
        option("--no-lock", is_flag=True, help="Edit the recipe and stop."),
        option("--target", metavar="PLATFORM", help="For this platform only."),
        option(
            "--conda", is_flag=True, help="Among the conda packages (default where the recipe takes Python from conda)."
        ),
        option("--pypi", is_flag=True, help="Among the PyPI packages."),
    ):
        command = decorate(command)
    return command


def section_of(*, pypi: bool, conda: bool) -> str | None:
    """The section that two flags mean; None for neither."""
    if pypi and conda:
        raise click.UsageError("--pypi or --conda, not both")
    return "pypi" if pypi else "conda" if conda else None


@click.command("add", short_help="Add requirements to a recipe, and lock it.")
@recipe_argument
@click.argument("requirements", nargs=-1, required=True)
@editing
def add_command(
    recipe: Path,
    requirements: tuple[str, ...],
    pypi: bool,
    conda: bool,
    target: str | None,
    no_lock: bool,
    offline: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Add requirements to a recipe, or change their versions, and lock it.

    envbuild add recipes/train.yaml "numpy>=1.26" --conda
    """
    from envbuild.cli.screen import Screen
    from envbuild.session import Session

    section = section_of(pypi=pypi, conda=conda)
    screen = Screen(quiet=quiet, as_json=as_json)
    session = Session(reporter=screen.reporter, offline=offline)
    locked = session.add(recipe, requirements, section=section, target=target, lock=not no_lock)
    screen.edited(recipe, locked, "Added", requirements)


@click.command("remove-package", short_help="Remove requirements, and lock again.")
@recipe_argument
@click.argument("names", nargs=-1, required=True)
@editing
def remove_package_command(
    recipe: Path,
    names: tuple[str, ...],
    pypi: bool,
    conda: bool,
    target: str | None,
    no_lock: bool,
    offline: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Remove requirements from a recipe and lock it."""
    from envbuild.cli.screen import Screen
    from envbuild.session import Session

    section = section_of(pypi=pypi, conda=conda)
    screen = Screen(quiet=quiet, as_json=as_json)
    session = Session(reporter=screen.reporter, offline=offline)
    locked = session.remove_package(recipe, names, section=section, target=target, lock=not no_lock)
    screen.edited(recipe, locked, "Removed", names)
