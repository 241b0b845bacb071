"""``alias``, ``get``, ``history``, ``rollback`` and ``affected``: names of environments."""

from __future__ import annotations

import click

from envbuild.cli.options import (
    as_json,
    complete_source,
    name_argument,
    offline,
    option,
    quiet,
    source_argument,
    stores,
)


@click.command("alias", short_help="Name an environment.")
@source_argument
@name_argument
@option(
    "--expect",
    type=click.IntRange(min=0),
    metavar="GENERATION",
    help="Fail (exit 6) unless the name is at this generation; 0 for a name that is not there.",
)
@offline
@stores
@as_json
@quiet
def alias_command(
    source: str, name: str, expect: int | None, offline: bool, stores: tuple[str, ...], as_json: bool, quiet: bool
) -> None:
    """Name what a recipe is locked to, for all its platforms: envbuild alias recipes/train.yaml team/train:stable

    The tags latest (when none is said), candidate and stable move; any other is written once. SOURCE may also be an id
    or another name.
    """  # noqa: D415  an example is no sentence
    from envbuild.cli.screen import Screen
    from envbuild.cli.screen_names import show_moved
    from envbuild.session import Session

    screen = Screen(quiet=quiet, as_json=as_json)
    show_moved(
        screen, Session(reporter=screen.reporter, offline=offline, stores=stores).alias(source, name, expect=expect)
    )


@click.command("get", short_help="Say what a name or an id means.")
@source_argument
@offline
@stores
@as_json
def get_command(source: str, offline: bool, stores: tuple[str, ...], as_json: bool) -> None:
    """Say what a name or an id means: its request, and its environment on each platform, as whole ids."""
    from envbuild.cli.screen import Screen
    from envbuild.cli.screen_names import show_meant
    from envbuild.session import Session

    screen = Screen(as_json=as_json)
    show_meant(screen, Session(reporter=screen.reporter, offline=offline, stores=stores).get(source))


@click.command("history", short_help="List what a name has meant, or a recipe's lock was.")
@click.argument("name", metavar="NAME|RECIPE", type=click.Path(), shell_complete=complete_source)
@offline
@stores
@as_json
def history_command(name: str, offline: bool, stores: tuple[str, ...], as_json: bool) -> None:
    """List what a name has meant, the newest first; of a recipe's file, the revisions of Git that changed its lock."""
    from envbuild.cli.screen import Screen
    from envbuild.cli.screen_names import show_history
    from envbuild.session import Session

    screen = Screen(as_json=as_json)
    if name.startswith("recipe:") or name.endswith((".yaml", ".yml")):
        from envbuild.cli.screen_lock_history import show_lock_history

        path = name.removeprefix("recipe:")
        show_lock_history(screen, path, Session(reporter=screen.reporter).lock_history(path))
        return
    session = Session(reporter=screen.reporter, offline=offline, stores=stores)
    show_history(screen, name, session.history(name))


@click.command("rollback", short_help="Let a name mean what it meant before.")
@name_argument
@option("--to", type=click.IntRange(min=1), metavar="GENERATION", help="This one (default: the last that differs).")
@offline
@stores
@as_json
@quiet
def rollback_command(
    name: str, to: int | None, offline: bool, stores: tuple[str, ...], as_json: bool, quiet: bool
) -> None:
    """Let a name mean what it meant before: a new generation, so that nothing of its past is lost."""
    from envbuild.cli.screen import Screen
    from envbuild.cli.screen_names import show_moved
    from envbuild.session import Session

    screen = Screen(quiet=quiet, as_json=as_json)
    session = Session(reporter=screen.reporter, offline=offline, stores=stores)
    show_moved(screen, session.rollback(name, to))


@click.command("affected", short_help="List what holds a package, or stands on a base.")
@option("--package", metavar="NAME[VERSIONS]", help="What holds this package: 'openssl<3.3'.")
@option("--base", metavar="SOURCE", help="What stands on this base: a name, an id or a recipe.")
@offline
@stores
@as_json
def affected_command(
    package: str | None, base: str | None, offline: bool, stores: tuple[str, ...], as_json: bool
) -> None:
    """List the project's recipes, and the names, whose locked packages a change touches: --package 'openssl<3.3'."""
    from envbuild.cli.screen import Screen
    from envbuild.cli.screen_names import show_affected
    from envbuild.session import Session

    screen = Screen(as_json=as_json)
    session = Session(reporter=screen.reporter, offline=offline, stores=stores)
    show_affected(screen, session.affected(package=package, base=base))
