"""``verify`` and ``gc``: keeping what is kept whole, and no more of it than needed."""

from __future__ import annotations

import sys

import click

from envbuild.cli.options import as_json, offline, option, quiet


@click.command("verify", short_help="Check every blob and every prefix, or a shared store.")
@click.argument("source", required=False, type=click.Path())
@option(
    "--store",
    "store",
    metavar="STORE",
    envvar=None,  # `ENVBUILD_STORE` names stores to be asked: it must not turn `verify` away from the home
    help="Check this shared store instead, by name or address.",
)
@option(
    "--sample",
    type=click.FloatRange(min=0, max=100),
    metavar="PERCENT",
    help="With --store: hash only this share of its blobs, others each time; records are all read.",
)
@option("--repair", is_flag=True, help="Fetch or link again what is damaged; in a store, mend it or remove it.")
@option("--rebuild", metavar="NAME", help="Build this package again instead, and name the files that differ.")
@offline
@as_json
@quiet
def verify_command(
    source: str | None,
    store: str | None,
    sample: float | None,
    repair: bool,
    rebuild: str | None,
    offline: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Check every blob against its name and every prefix against its packages. Any finding is exit 4.

    With --store, check a shared store, or what it has of an environment: envbuild verify --store team shop/train:stable

    With --rebuild, build one package (or the build of a key) again in other scratch, and compare.
    """
    from envbuild.cli.screen import Screen
    from envbuild.session import Session

    if repair and rebuild:
        raise click.UsageError("--repair mends what is kept, --rebuild compares with a new build: choose one")
    if store is None and (source is not None or sample is not None):
        raise click.UsageError("What is verified by name, or in part, is a shared store: say which, with --store")
    if store is not None and rebuild is not None:
        raise click.UsageError("--store verifies what a store has, --rebuild compares with a new build: choose one")
    screen = Screen(quiet=quiet, as_json=as_json)
    if rebuild is not None:
        from envbuild.cli.builds import show_rebuilt

        rebuilt = Session(reporter=screen.reporter, offline=offline).rebuild(rebuild)
        show_rebuilt(screen, rebuilt)
        sys.exit(0 if rebuilt.same else 4)
    if store is not None:
        from envbuild.cli.screen_stores import Told, show_verified

        session = Session(reporter=screen.reporter, offline=offline)
        with Told(screen) as told:
            verified = session.verify_store(
                store,
                source,
                repair=repair,
                sample=1.0 if sample is None else sample / 100,
                progress=told.progress,
                tell=told.finding,
            )
        show_verified(screen, store, verified)
        sys.exit(4 if verified.findings else 0)
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
