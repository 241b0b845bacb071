"""``lock`` and ``plan``."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import click

from envbuild.cli.options import (
    as_json,
    executor,
    keep_going,
    locking_mode,
    offline,
    option,
    platform,
    quiet,
    recipes_argument,
    stores,
)
from envbuild.errors import UsageError


@click.command("lock", short_help="Solve recipes and write their locks.")
@recipes_argument
@option("--upgrade", is_flag=True, help="Take the newest of everything that the recipe allows.")
@option(
    "--upgrade-package",
    "upgrade_packages",
    multiple=True,
    metavar="NAME[==V]",
    help="Take the newest of this package, or this version; repeatable.",
)
@option("--upgrade-base", is_flag=True, help="Take what the names of bases mean now (`extends: {name: …}`).")
@option("--set-default", is_flag=True, help="Let these locks be what `reuse-latest` finds for their requests.")
@platform
@option("--check", is_flag=True, help="Write nothing, use no network: exit 10 when a lock does not fit its recipe.")
@keep_going
@offline
@stores
@executor
@as_json
@quiet
def lock_command(
    recipes: tuple[Path, ...],
    upgrade: bool,
    upgrade_packages: tuple[str, ...],
    upgrade_base: bool,
    set_default: bool,
    platforms: tuple[str, ...],
    check: bool,
    keep_going: bool,
    offline: bool,
    stores: tuple[str, ...],
    executor: str | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Solve recipes and write their locks (default: every recipe of the project).

    A RECIPE may be a folder, which stands for every recipe in it, or a pattern such as 'recipes/*.yaml'.

    A lock that fits its recipe is left alone. One that does not keeps its versions as far as the recipe allows.
    """
    from envbuild.base_session import BaseSession
    from envbuild.cli.screen import Screen
    from envbuild.locks.locking import LockOptions
    from envbuild.package import Platform, normalize_pypi_name

    free = _names(upgrade_packages)
    if check and (upgrade or upgrade_packages or upgrade_base or set_default or platforms):
        raise click.UsageError("--check only looks: it goes with no --upgrade…, --set-default or --platform")
    screen = Screen(quiet=quiet, as_json=as_json)
    session = BaseSession(
        reporter=screen.reporter, offline=offline, stores=stores, executor=executor, keep_going=keep_going
    )
    chosen = session.recipes(*recipes)
    if check:
        checked = session.check_each(*chosen)
        if len(checked.ended) == 1:
            checked.check()
        if code := screen.checked(checked):
            sys.exit(code)
        return
    options = LockOptions(
        platforms=tuple(Platform(item) for item in platforms),
        upgrade=upgrade,
        upgrade_packages=upgrade_packages,
        upgrade_base=upgrade_base,
        set_default=set_default,
    )
    many = session.lock_each(*chosen, options=options)
    if len(many.ended) == 1:
        many.check()
    code = screen.locked(many)
    locked = [item.locked for item in many.ended if item.locked is not None] if free else []
    known = {name.lower() for item in locked for platform in item.lock.platforms for name in platform.names()}
    for name in free:
        if name.lower() not in known and normalize_pypi_name(name) not in known:
            screen.say(f"note: {name} is in none of these locks")
    if code:
        sys.exit(code)


def _names(words: tuple[str, ...]) -> tuple[str, ...]:
    """The names in ``--upgrade-package``: anything but ``NAME`` and ``NAME==V`` would be passed over without a word."""
    for text in words:
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*( *== *[A-Za-z0-9][A-Za-z0-9._+!-]*)?", text):
            name = re.split(r"[^A-Za-z0-9._-]", text, maxsplit=1)[0]
            raise UsageError(
                f"--upgrade-package takes NAME or NAME==VERSION, not {text!r}",
                hint=f"--upgrade-package {name}; a range belongs into the recipe" if name else None,
            )
    return tuple(text.partition("==")[0].strip() for text in words)


@click.command("plan", short_help="Say what realizing would do.")
@recipes_argument
@locking_mode
@offline
@stores
@keep_going
@as_json
@quiet
def plan_command(
    recipes: tuple[Path, ...],
    locked: bool,
    frozen: bool,
    offline: bool,
    stores: tuple[str, ...],
    keep_going: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Say what realizing would do: every derivation, whether it is here, and the bytes to fetch. Does nothing.

    A recipe without a fitting lock is solved to say so, and its lock is not written.
    """
    from envbuild.base_session import BaseSession
    from envbuild.cli.screen import Screen
    from envbuild.environments.realized import mode

    screen = Screen(quiet=quiet, as_json=as_json)
    session = BaseSession(reporter=screen.reporter, offline=offline, stores=stores, keep_going=keep_going)
    sys.exit(screen.planned(*session.plan_each(*session.recipes(*recipes), mode=mode(locked=locked, frozen=frozen))))
