"""``verify`` and ``gc``: keeping what is kept whole, and no more of it than needed."""

from __future__ import annotations

import sys

import click

from envbuild.cli.options import as_json, offline, option, quiet


@click.command("verify", short_help="Check every blob and every prefix.")
@option("--repair", is_flag=True, help="Fetch or link again what is damaged.")
@option("--rebuild", metavar="NAME", help="Build this package again instead, and name the files that differ.")
@offline
@as_json
@quiet
def verify_command(repair: bool, rebuild: str | None, offline: bool, as_json: bool, quiet: bool) -> None:
    """Check every blob against its name and every prefix against its packages. Any finding is exit 4.

    With --rebuild, build one package (or the build of a key) again in other scratch, and compare.
    """
    from envbuild.cli.screen import Screen
    from envbuild.session import Session

    if repair and rebuild:
        raise click.UsageError("--repair mends what is kept, --rebuild compares with a new build: choose one")
    screen = Screen(quiet=quiet, as_json=as_json)
    if rebuild is not None:
        from envbuild.cli.builds import show_rebuilt

        rebuilt = Session(reporter=screen.reporter, offline=offline).rebuild(rebuild)
        show_rebuilt(screen, rebuilt)
        sys.exit(0 if rebuilt.same else 4)
    report = Session(reporter=screen.reporter).verify(repair=repair)
    screen.verified(report)
    if not report.sound:
        sys.exit(4)


@click.command("gc", short_help="Remove what nothing needs any more.")
@option("--dry-run", is_flag=True, help="Say what would go; remove nothing.")
@option(
    "--keep-days",
    type=click.IntRange(min=0),
    default=14,
    show_default=True,
    help="Keep what was used within so many days, also without a link.",
)
@option("--caches", is_flag=True, help="Empty the engines' caches too; they fill again when they are needed.")
@as_json
@quiet
def gc_command(dry_run: bool, keep_days: int, caches: bool, as_json: bool, quiet: bool) -> None:
    """Remove prefixes that no out-link points to and nobody used lately, and blobs that no prefix needs."""
    from envbuild.cli.screen import Screen
    from envbuild.session import Session

    screen = Screen(quiet=quiet, as_json=as_json)
    garbage = Session(reporter=screen.reporter).gc(dry_run=dry_run, keep_days=keep_days, caches=caches)
    screen.collected(garbage, dry_run=dry_run)
