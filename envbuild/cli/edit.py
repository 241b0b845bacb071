"""``add`` and ``remove-package``: edit a recipe, keep its comments, lock."""

from __future__ import annotations

from pathlib import Path

import click

from envbuild.cli.options import as_json, offline, option, quiet, recipe_argument


@click.command("add", short_help="Add requirements to a recipe, and lock it.")
@recipe_argument
@click.argument("requirements", nargs=-1, required=True)
@option("--pypi", is_flag=True, help="From the package index (default where the recipe has no conda packages).")
@option("--conda", is_flag=True, help="From a conda channel.")
@option("--target", metavar="PLATFORM", help="For this platform only.")
@option("--no-lock", is_flag=True, help="Edit the recipe and stop.")
@offline
@as_json
@quiet
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

    if pypi and conda:
        raise click.UsageError("--pypi or --conda, not both")
    screen = Screen(quiet=quiet, as_json=as_json)
    session = Session(reporter=screen.reporter, offline=offline)
    section = "pypi" if pypi else "conda" if conda else None
    screen.edited(
        recipe,
        session.add(recipe, requirements, section=section, target=target, lock=not no_lock),
        "Added",
        requirements,
    )


@click.command("remove-package", short_help="Remove requirements, and lock again.")
@recipe_argument
@click.argument("names", nargs=-1, required=True)
@option("--pypi", is_flag=True, help="Only from the PyPI packages.")
@option("--conda", is_flag=True, help="Only from the conda packages.")
@option("--target", metavar="PLATFORM", help="For this platform only.")
@option("--no-lock", is_flag=True, help="Edit the recipe and stop.")
@offline
@as_json
@quiet
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

    if pypi and conda:
        raise click.UsageError("--pypi or --conda, not both")
    screen = Screen(quiet=quiet, as_json=as_json)
    session = Session(reporter=screen.reporter, offline=offline)
    section = "pypi" if pypi else "conda" if conda else None
    screen.edited(
        recipe,
        session.remove_package(recipe, names, section=section, target=target, lock=not no_lock),
        "Removed",
        names,
    )
