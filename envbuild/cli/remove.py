"""``remove``: names in their store, environments on this machine."""

from __future__ import annotations

import click

from envbuild.cli.options import as_json, offline, option, quiet, stores


@click.command("remove", short_help="Remove a name, or an environment from this machine.")
@click.argument("sources", nargs=-1, required=True, metavar="NAME|ID|PREFIX...")
@option("--dry-run", is_flag=True, help="Say what would go; remove nothing.")
@option(
    "--expect",
    type=click.IntRange(min=1),
    metavar="GENERATION",
    help="Of a name: fail (exit 6) unless it is at this generation.",
)
@offline
@stores
@as_json
@quiet
def remove_command(
    sources: tuple[str, ...],
    dry_run: bool,
    expect: int | None,
    offline: bool,
    stores: tuple[str, ...],
    as_json: bool,
    quiet: bool,
) -> None:
    """Remove a name, or an environment from this machine: envbuild remove shop/train:stable

    A name means nothing from then on; its past stays, and `rollback` brings it back. An id, a prefix or a link to one
    is removed from this machine with its links; packages stay in the store until `gc`. What a process uses is refused
    (exit 7).
    """  # noqa: D415  an example is no sentence
    from envbuild.cli.screen import Screen
    from envbuild.cli.screen_removed import show_removed
    from envbuild.session import Session

    if expect is not None and len(sources) > 1:
        raise click.UsageError("--expect is for one name")
    screen = Screen(quiet=quiet, as_json=as_json)
    session = Session(reporter=screen.reporter, offline=offline, stores=stores)
    show_removed(screen, session.remove(*sources, expect=expect, dry_run=dry_run), dry_run=dry_run)
