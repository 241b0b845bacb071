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
    envvar="ENVBUILD_VERIFY_STORE",  # `ENVBUILD_STORE` names stores to be asked: it must not turn us from the home
    help="Check this shared store instead, by name or address.",
)
@option(
    "--sample",
    type=click.FloatRange(min=0, max=100),
    metavar="PERCENT",
    help="With --store: hash only this share of its blobs, others each time; records are all read.",
)
@option("--resume", is_flag=True, help="With --store: go on where a verification with --resume was interrupted.")
@option("--repair", is_flag=True, help="Fetch or link again what is damaged; in a store, mend it or remove it.")
@option("--rebuild", metavar="NAME", help="Build this package again instead, and name the files that differ.")
@offline
@as_json
@quiet
def verify_command(
    source: str | None,
    store: str | None,
    sample: float | None,
    resume: bool,
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
    if resume and (store is None or source is not None or sample is not None):
        raise click.UsageError("--resume is for a whole shared store, which takes long: say which, with --store")
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
                resume=resume,
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
@option(
    "--store",
    "store",
    metavar="STORE",
    envvar="ENVBUILD_GC_STORE",  # as of `verify`
    help="Collect this shared store instead, by name or address, in two phases.",
)
@option("--dry-run", is_flag=True, help="Say what would go; remove nothing.")
@option(
    "--keep-days",
    type=click.IntRange(min=0),
    help="Keep what was used (of a store: sent) within so many days, too (default: 14; of a store 30).",
)
@option("--max-size", metavar="SIZE", help="Then remove the oldest that has no root until the rest fits: 200GB.")
@option("--caches", is_flag=True, help="Empty the engines' caches too; they fill again when they are needed.")
@option(
    "--keep-revision",
    "revisions",
    multiple=True,
    metavar="REVISION",
    help="With --store: keep what the locks of a Git revision or range (v1..main) hold, too; repeatable.",
)
@option(
    "--keep-generations",
    type=click.IntRange(min=1),
    metavar="N",
    help="With --store: of tags that move, keep what the newest N generations mean (default: all).",
)
@option(
    "--grace",
    type=click.FloatRange(min=0),
    metavar="DAYS",
    help="With --store: days between announcing what goes and deleting it (default: 7).",
)
@option("--nobody-writes", is_flag=True, help="Of a grace below one day: no command that writes there lasts as long.")
@option("--pin", metavar="SOURCE", help="With --store: keep an environment until it is unpinned; collect nothing.")
@option("--unpin", metavar="SOURCE", help="With --store: keep it no longer than others; collect nothing.")
@as_json
@quiet
def gc_command(
    store: str | None,
    dry_run: bool,
    keep_days: int | None,
    max_size: str | None,
    caches: bool,
    revisions: tuple[str, ...],
    keep_generations: int | None,
    grace: float | None,
    nobody_writes: bool,
    pin: str | None,
    unpin: str | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Remove prefixes that no out-link points to and nobody used lately, and blobs that no prefix needs.

    With --store, of a shared store: what no name, pin or lock leads to, a week after it was announced.

    envbuild gc --store team --dry-run
    """
    from envbuild.cli.screen import Screen
    from envbuild.cli.wording import size_of
    from envbuild.session import Session

    largest = None if max_size is None else size_of(max_size)
    screen = Screen(quiet=quiet, as_json=as_json)
    session = Session(reporter=screen.reporter)
    if store is None:
        if revisions or keep_generations or grace is not None or nobody_writes or pin or unpin:
            raise click.UsageError("That is for a shared store: say which, with --store")
        days = 14 if keep_days is None else keep_days
        garbage = session.gc(dry_run=dry_run, keep_days=days, caches=caches, largest=largest)
        screen.collected(garbage, dry_run=dry_run)
        return
    from envbuild.cli.screen_collect import Telling, show_collected, show_pins
    from envbuild.store.collected import Policy

    if caches:
        raise click.UsageError("--caches is for this machine; a store has none")
    if pin or unpin:
        if pin and unpin:
            raise click.UsageError("--pin keeps and --unpin lets go: choose one")
        show_pins(screen, session.pin(pin, store) if pin else session.unpin(unpin or "", store), store, bool(pin))
        return
    if grace is not None and grace < 1 and not nobody_writes:
        raise click.UsageError(
            "A command that is writing now may need what goes: with less than a day's grace, say --nobody-writes too"
        )
    policy = Policy(
        days=30.0 if keep_days is None else float(keep_days),
        grace=7.0 if grace is None else grace,
        keep_generations=keep_generations,
        largest=largest,
    )
    with Telling(screen, dry_run=dry_run) as telling:
        found = session.collect(
            store, policy, revisions=revisions, dry_run=dry_run, tell=telling.tell, step=telling.step
        )
    show_collected(screen, found, store, session.pins(store) if as_json else (), dry_run=dry_run)
