"""``publish``: names of the store become what the checkout's recipes declare."""

from __future__ import annotations

from pathlib import Path

import click

from envbuild.cli.options import as_json, executor, jobs, keep_going, offline, option, quiet, recipes_argument, stores
from envbuild.errors import StaleError, UsageError, gravest


@click.command("publish", short_help="Let the store's names mean what Git declares.")
@recipes_argument
@option("--promote", is_flag=True, help="Move the tag stable too, once the tests have passed on every platform.")
@option("--dry-run", is_flag=True, help="Show what would move; change nothing.")
@option("--check", is_flag=True, help="Show how names differ from what Git declares (exit 10 when they do).")
@option("--force", is_flag=True, help="Move names backwards too, and over what was done by hand.")
@option("--allow-dirty", is_flag=True, help="Publish what no commit has; the history tells it.")
@keep_going
@jobs
@executor
@offline
@stores
@as_json
@quiet
def publish_command(
    recipes: tuple[Path, ...],
    promote: bool,
    dry_run: bool,
    check: bool,
    force: bool,
    allow_dirty: bool,
    keep_going: bool,
    jobs: int | None,
    executor: str | None,
    offline: bool,
    stores: tuple[str, ...],
    as_json: bool,
    quiet: bool,
) -> None:
    """Let the names of the store mean what the recipes of this checkout declare: envbuild publish recipes/train.yaml

    Without RECIPE: every recipe of the project that has a `name`. The environment goes to the store, its test is run,
    then `candidate` moves; `latest` moves when the test has passed on every platform, `stable` when you say --promote.
    """  # noqa: D415  an example is no sentence
    from envbuild.cli.screen import Screen
    from envbuild.cli.screen_publish import show_drift, show_publication
    from envbuild.review.publishing import PublishOptions
    from envbuild.session import Session

    screen = Screen(quiet=quiet, as_json=as_json)
    session = Session(
        reporter=screen.reporter, offline=offline, stores=stores, jobs=jobs, executor=executor, keep_going=keep_going
    )
    recipes = session.recipes(*recipes) if recipes else ()
    if check:
        if promote or dry_run or force or allow_dirty:
            raise UsageError("--check looks and changes nothing: it goes with no other of these flags")
        if show_drift(screen, session.drift(*recipes)):
            raise click.exceptions.Exit(StaleError.exit_code)
        return
    options = PublishOptions(promote=promote, force=force, allow_dirty=allow_dirty, dry_run=dry_run)
    publication = session.publish(*recipes, options=options)
    show_publication(screen, publication)
    if publication.failed:
        raise click.exceptions.Exit(gravest([item.error for item in publication.failed]).exit_code)
    if publication.kept:
        raise click.exceptions.Exit(StaleError.exit_code)
