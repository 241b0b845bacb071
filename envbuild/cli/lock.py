"""``lock`` and ``plan``."""

from __future__ import annotations

from pathlib import Path

import click

from envbuild.cli.options import as_json, locking_mode, offline, option, platform, quiet, recipes_argument


@click.command("lock")
@recipes_argument
@option("--upgrade", is_flag=True, help="Take the newest of everything that the recipe allows.")
@option(
    "--upgrade-package",
    "upgrade_packages",
    multiple=True,
    metavar="NAME[==V]",
    help="Take the newest of this package, or this version; repeatable.",
)
@platform
@option("--check", is_flag=True, help="Write nothing, use no network: exit 10 when a lock does not fit its recipe.")
@offline
@as_json
@quiet
def lock_command(
    recipes: tuple[Path, ...],
    upgrade: bool,
    upgrade_packages: tuple[str, ...],
    platforms: tuple[str, ...],
    check: bool,
    offline: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Solve recipes and write their locks (default: every recipe of the project).

    A lock that fits its recipe is left alone. One that does not keeps its versions as far as the recipe allows.
    """
    from envbuild.cli.screen import Screen
    from envbuild.locking import LockOptions
    from envbuild.package import Platform
    from envbuild.session import Session

    screen = Screen(quiet=quiet, as_json=as_json)
    session = Session(reporter=screen.reporter, offline=offline)
    chosen = recipes or session.recipes()
    if check:
        screen.checked(session.check(*chosen))
        return
    options = LockOptions(
        platforms=tuple(Platform(item) for item in platforms),
        upgrade=upgrade,
        upgrade_packages=upgrade_packages,
    )
    screen.locked(session.lock(*chosen, options=options))


@click.command("plan")
@recipes_argument
@locking_mode
@offline
@as_json
@quiet
def plan_command(
    recipes: tuple[Path, ...], locked: bool, frozen: bool, offline: bool, as_json: bool, quiet: bool
) -> None:
    """Say what realizing would do: every derivation, whether it is here, and the bytes to fetch. Does nothing.

    A recipe without a fitting lock is solved to say so, and its lock is not written.
    """
    from envbuild.cli.screen import Screen
    from envbuild.session import Session, mode

    screen = Screen(quiet=quiet, as_json=as_json)
    session = Session(reporter=screen.reporter, offline=offline)
    screen.planned(session.plan(*(recipes or session.recipes()), mode=mode(locked=locked, frozen=frozen)))
