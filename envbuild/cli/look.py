"""``show``, ``list``, ``tree`` and ``why``: what there is, and who asked for it."""

from __future__ import annotations

from pathlib import Path

import click

from envbuild.cli.options import as_json, offline, option, recipe_argument, stores

platform = option("--platform", metavar="PLATFORM", help="Of this platform (default: this machine's).")


@click.command("show", short_help="Show a locked environment.")
@recipe_argument
@platform
@as_json
def show_command(recipe: Path, platform: str | None, as_json: bool) -> None:
    """Show a locked environment: its packages, where they come from, and where it is present."""
    from envbuild.cli.screen import Screen
    from envbuild.session import Session

    Screen(as_json=as_json).shown(Session().show(recipe, platform=platform))


@click.command("list", short_help="List environments and names.")
@offline
@stores
@as_json
def list_command(offline: bool, stores: tuple[str, ...], as_json: bool) -> None:
    """List the environments on this machine, and the names that there are."""
    from envbuild.cli.screen import Screen
    from envbuild.errors import UnreachableError
    from envbuild.session import Session
    from envbuild.store.names import Generation

    screen = Screen(as_json=as_json)
    session = Session(reporter=screen.reporter, offline=offline, stores=stores)
    names: tuple[Generation, ...] = ()
    try:
        names = session.names()
    except UnreachableError as error:  # what is on this machine is here all the same
        screen.reporter.note(f"names are not listed: {error}")
    screen.listed(session.environments(), names)


@click.command("tree", short_help="Show which package requires which.")
@recipe_argument
@click.argument("packages", nargs=-1)
@platform
@option("--invert", "-i", is_flag=True, help="Show who requires each package instead.")
@option("--depth", type=click.IntRange(min=0), help="Levels below the roots.")
@as_json
def tree_command(
    recipe: Path, packages: tuple[str, ...], platform: str | None, invert: bool, depth: int | None, as_json: bool
) -> None:
    """Show which package requires which, from what the recipe asked for (or from PACKAGES)."""
    from envbuild.cli.screen import Screen
    from envbuild.session import Session

    Screen(as_json=as_json).tree(Session().tree(recipe, packages, platform=platform, invert=invert, depth=depth))


@click.command("why", short_help="Say why a package is there.")
@recipe_argument
@click.argument("package")
@platform
@as_json
def why_command(recipe: Path, package: str, platform: str | None, as_json: bool) -> None:
    """Say why a package is in an environment: the chains from what the recipe asked for.

    Of a conda package it also says what it counts as on PyPI, and on whose word.
    """
    from envbuild.cli.screen import Screen
    from envbuild.session import Session

    Screen(as_json=as_json).why(Session().why(recipe, package, platform=platform))
