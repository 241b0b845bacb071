"""``show``, ``list``, ``tree``, ``why`` and ``why-depends``: what there is, and who asked for it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from envbuild.cli.options import Command, as_json, offline, option, source_argument, stores

if TYPE_CHECKING:
    from envbuild.cli.screen import Screen
    from envbuild.session import Session

platform = option("--platform", metavar="PLATFORM", help="Of this platform (default: this machine's).")


def looking(command: Command) -> Command:
    """What commands have that look into an environment: ``--platform``, and where names and ids are looked up."""
    return platform(offline(stores(as_json(command))))


@click.command("show", short_help="Show a locked environment.")
@source_argument
@looking
def show_command(source: str, platform: str | None, offline: bool, stores: tuple[str, ...], as_json: bool) -> None:
    """Show a locked environment: its packages, where they come from, and where it is present."""
    screen, session = _looking(as_json, offline, stores)
    screen.shown(session.show(source, platform=platform))


@click.command("list", short_help="List environments and names.")
@offline
@stores
@as_json
def list_command(offline: bool, stores: tuple[str, ...], as_json: bool) -> None:
    """List the environments on this machine, and the names that there are.

    With --store also the environments that this store holds.
    """
    from envbuild.cli.screen_list import show_list
    from envbuild.environments.look_verbs import Stored
    from envbuild.errors import UnreachableError
    from envbuild.store.generation import Generation

    screen, session = _looking(as_json, offline, stores)
    names: tuple[Generation, ...] = ()
    stored: tuple[Stored, ...] | None = None
    try:
        names = session.names()
    except UnreachableError as error:  # what is on this machine is here all the same
        screen.reporter.note(f"names are not listed: {error}")
    try:
        stored = session.stored() if stores else None
    except UnreachableError as error:
        screen.reporter.note(f"what the store holds is not listed: {error}")
    show_list(screen, session.environments(), names, stored)


@click.command("tree", short_help="Show which package requires which.")
@source_argument
@click.argument("packages", nargs=-1)
@option("--invert", "-i", is_flag=True, help="Show who requires each package instead.")
@option("--depth", type=click.IntRange(min=0), help="Levels below the roots.")
@looking
def tree_command(
    source: str,
    packages: tuple[str, ...],
    invert: bool,
    depth: int | None,
    platform: str | None,
    offline: bool,
    stores: tuple[str, ...],
    as_json: bool,
) -> None:
    """Show which package requires which, from what the recipe asked for (or from PACKAGES)."""
    screen, session = _looking(as_json, offline, stores)
    screen.tree(session.tree(source, packages, platform=platform, invert=invert, depth=depth))


@click.command("why", short_help="Say why a package is there.")
@source_argument
@click.argument("package")
@looking
def why_command(
    source: str, package: str, platform: str | None, offline: bool, stores: tuple[str, ...], as_json: bool
) -> None:
    """Say why a package is in an environment: the chains from what the recipe asked for.

    Of a conda package it also says what it counts as on PyPI, and on whose word.
    """
    screen, session = _looking(as_json, offline, stores)
    screen.why(session.why(source, package, platform=platform))


@click.command("why-depends", short_help="Say why one package needs another.")
@click.argument("words", nargs=-1, metavar="[SOURCE] PACKAGE NEEDED")
@option("--all", "every", is_flag=True, help="Every chain that is as short as the shortest.")
@looking
def why_depends_command(
    words: tuple[str, ...], every: bool, platform: str | None, offline: bool, stores: tuple[str, ...], as_json: bool
) -> None:
    """Say why one package needs another: the chain between them, and the files behind each step.

    envbuild why-depends recipes/train.yaml numpy libgfortran

    Without SOURCE: in the project's recipe, when it has only one.
    """
    from envbuild.cli.screen_depends import show_why_depends

    if not 2 <= len(words) <= 3 or (len(words) == 2 and Path(words[0]).is_file()):
        raise click.UsageError("Which two packages? For example: envbuild why-depends recipes/train.yaml numpy openssl")
    *source, package, needs = words
    screen, session = _looking(as_json, offline, stores)
    answer = session.why_depends(package, needs, *source, platform=platform, every=every)
    show_why_depends(screen, answer, " ".join(source))


def _looking(as_json: bool, offline: bool, stores: tuple[str, ...]) -> tuple[Screen, Session]:
    from envbuild.cli.screen import Screen
    from envbuild.session import Session

    screen = Screen(as_json=as_json)
    return screen, Session(reporter=screen.reporter, offline=offline, stores=stores)
