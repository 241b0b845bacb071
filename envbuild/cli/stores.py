"""``store init|info|copy``, ``push`` and ``pull``: a team's memory."""

from __future__ import annotations

import sys

import click

from envbuild.cli.options import as_json, closure, offline, option, quiet, source_argument, stores
from envbuild.cli.trusting import sign_command


@click.group("store", short_help="Make, look at and copy shared stores.")
def store_command() -> None:
    """Make, look at and copy shared stores: a folder, s3://, gs://, az://, or https:// to read.

    envbuild store init s3://bucket/envbuild
    """


@store_command.command("init")
@click.argument("url")
@option("--shared", is_flag=True, help="Of a folder: several users of this machine may write it.")
@as_json
@quiet
def init_command(url: str, shared: bool, as_json: bool, quiet: bool) -> None:
    """Make a store at an address, once it is proven that one can be kept there."""
    from envbuild.cli.screen import Screen
    from envbuild.session import Session

    screen = Screen(quiet=quiet, as_json=as_json)
    address, made = Session(reporter=screen.reporter).store_init(url, shared=shared)
    if screen.document({"address": address, "made": made}):
        return
    screen.result(address)
    screen.say(
        "Made a store; name it under `stores:` in envbuild.yaml or in your own configuration"
        if made
        else "There is a store already"
    )


@store_command.command("info")
@click.argument("store", required=False)
@offline
@as_json
@quiet
def info_command(store: str | None, offline: bool, as_json: bool, quiet: bool) -> None:
    """Say what the configured stores (or one) hold, and what they are trusted with here."""
    from envbuild.cli.screen import Screen
    from envbuild.cli.screen_stores import show_info
    from envbuild.session import Session

    screen = Screen(quiet=quiet, as_json=as_json)
    show_info(screen, Session(reporter=screen.reporter, offline=offline).store_info(store))


@store_command.command("copy")
@click.argument("source")
@click.argument("target")
@option("--environment", metavar="SOURCE", help="Only this one: a name, an id, a recipe or a lock.")
@option("--names", is_flag=True, help="Copy names too, with their past; none is replaced.")
@as_json
@quiet
def copy_command(source: str, target: str, environment: str | None, names: bool, as_json: bool, quiet: bool) -> None:
    """Copy what a store holds into another; what is there already is not sent: envbuild store copy team /mnt/disk/store

    A name that means something else there is exit 6, once everything else is copied.
    """  # noqa: D415  an example is no sentence
    from envbuild.cli.screen import Screen
    from envbuild.cli.screen_stores import Told, show_copied
    from envbuild.session import Session

    screen = Screen(quiet=quiet, as_json=as_json)
    with Told(screen) as told:
        copied = Session(reporter=screen.reporter).store_copy(
            source, target, environment=environment, names=names, progress=told.progress
        )
    show_copied(screen, copied)
    sys.exit(4 if copied.damaged else 6 if copied.diverged else 0)


@click.command("push", short_help="Send an environment to a store.")
@source_argument
@option("--to", metavar="STORE", help="The store, by name or address (default: all that are written).")
@as_json
@quiet
def push_command(source: str, to: str | None, as_json: bool, quiet: bool) -> None:
    """Send a realized environment, whole, to shared stores: envbuild push recipes/train.yaml --to team"""  # noqa: D415  an example is no sentence
    from envbuild.cli.screen import Screen
    from envbuild.cli.screen_stores import show_moved
    from envbuild.session import Session

    screen = Screen(quiet=quiet, as_json=as_json)
    show_moved(screen, Session(reporter=screen.reporter).push(source, to), "Pushed", "to")


@click.command("pull", short_help="Bring an environment's packages from the stores.")
@source_argument
@offline
@stores
@closure
@as_json
@quiet
def pull_command(
    source: str, offline: bool, stores: tuple[str, ...], closure: str | None, as_json: bool, quiet: bool
) -> None:
    """Bring all packages of an environment from shared stores, and link nothing."""
    from envbuild.cli.screen import Screen
    from envbuild.cli.screen_stores import show_moved
    from envbuild.session import Session

    screen = Screen(quiet=quiet, as_json=as_json)
    session = Session(reporter=screen.reporter, offline=offline, stores=stores)
    show_moved(screen, session.pull(source, closure), "Pulled", "from")


store_command.add_command(sign_command)
