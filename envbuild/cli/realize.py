"""``realize``: the main job. With nothing to do it answers from a stamp and imports no engine."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from envbuild.cli.options import (
    as_json,
    closure,
    executor,
    jobs,
    keep_going,
    locking_mode,
    offline,
    option,
    quiet,
    sources_argument,
    stores,
)

if TYPE_CHECKING:
    from envbuild.cli.screen import Screen
    from envbuild.environments.stamp import Stamp

_BEGAN = time.monotonic()


@click.command("realize", short_help="Make environments exist; print where.")
@sources_argument
@locking_mode
@offline
@stores
@closure
@option(
    "--out-link", type=click.Path(path_type=Path), help="Where the link to the prefix goes (default: .envs/RECIPE)."
)
@option("--no-out-link", is_flag=True, help="Make no link; `gc` may then remove the prefix.")
@option("--prefix", type=click.Path(path_type=Path), help="Put the environment into this folder instead.")
@option("--writable", is_flag=True, help="With --prefix: a private copy that may be changed.")
@option(
    "--editable",
    "editables",
    multiple=True,
    metavar="NAME[=PATH]",
    help="With --prefix: use this package where it lies, so that edits count at once; repeatable.",
)
@option("--dry-run", is_flag=True, help="Show the plan; do nothing.")
@jobs
@executor
@keep_going
@as_json
@quiet
def realize_command(
    sources: tuple[str, ...],
    locked: bool,
    frozen: bool,
    offline: bool,
    stores: tuple[str, ...],
    closure: str | None,
    out_link: Path | None,
    no_out_link: bool,
    prefix: Path | None,
    writable: bool,
    editables: tuple[str, ...],
    dry_run: bool,
    jobs: int | None,
    executor: str | None,
    keep_going: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Make environments exist on this machine, and print their folders.

    A SOURCE is a recipe, a folder of recipes, a pattern such as 'recipes/*.yaml', a lock, a name (team/train:stable),
    an id, whole or its first digits, a step of a past Metaflow run (Train/12/train), or the path of an environment. A
    recipe that has no lock, or one that does not fit, is locked first.
    """
    if prefix and out_link:
        raise click.UsageError("--prefix puts the environment into a folder, --out-link makes a link: choose one")
    if no_out_link and out_link:
        raise click.UsageError("--out-link or --no-out-link, not both")
    if not sources:
        raise click.UsageError("Which recipe? For example: envbuild realize recipes/train.yaml")
    if dry_run and editables:
        raise click.UsageError("--dry-run shows the plan of a lock, which --editable is no part of")
    if writable and prefix is None:
        raise click.UsageError("--writable makes a private copy, so it needs --prefix DIR")
    if len(sources) > 1:
        _refuse_for_several(prefix or out_link, closure)
    plain = not (prefix or writable or editables or dry_run or as_json)
    options = stamp_options(locked=locked, frozen=frozen, out_link=out_link, no_out_link=no_out_link, closure=closure)
    if plain and len(sources) == 1 and answer_from_stamp(sources[0], options, quiet=quiet):
        return

    ready_engines(tuple(map(recipe_of, sources)), solving=not (frozen or offline))
    from envbuild.base_session import BaseSession
    from envbuild.cli.screen import Screen
    from envbuild.environments.realized import RealizeOptions, mode

    screen = Screen(quiet=quiet, as_json=as_json)
    session = BaseSession(
        reporter=screen.reporter,
        offline=offline,
        jobs=jobs,
        keep_going=keep_going,
        stores=stores,
        executor=executor,
    )
    chosen = mode(locked=locked, frozen=frozen)
    meant = session.sources(*sources)
    if len(meant) > 1:
        _refuse_for_several(prefix or out_link, closure)
    if dry_run:
        raise click.exceptions.Exit(screen.planned(*session.plan_each(*meant, mode=chosen, closure=closure)))
    if plain and len(meant) > 1 and _all_from_stamps(screen, tuple(map(str, meant)), options):
        return
    many = session.realize_each(
        *meant,
        mode=chosen,
        options=RealizeOptions(
            out_link=out_link,
            link=not no_out_link and prefix is None,
            prefix=prefix,
            writable=writable,
            editable=tuple(map(_editable, editables)),
            stamp=options if plain else None,
            closure=closure,
        ),
    )
    if len(many.ended) == 1:
        many.check()
    if code := screen.realized(many):
        raise click.exceptions.Exit(code)


def _all_from_stamps(screen: Screen, sources: tuple[str, ...], options: tuple[str, ...]) -> bool:
    """Print what an earlier realize made of several recipes, when nothing has changed of any since."""
    from envbuild.cli.wording import count

    found = {}
    for source in dict.fromkeys(map(recipe_of, sources)):
        stamp = read_stamp_of(str(source), options)
        if stamp is None:
            return False
        found[source] = stamp
    for stamp in found.values():
        screen.result(stamp.prefix)
    screen.say(f"{count(len(found), 'recipe')}: {len(found)} already there, {screen.elapsed()}")
    return True


def _refuse_for_several(place: Path | None, closure: str | None) -> None:
    """What cannot be asked of several environments."""
    if place is not None:
        raise click.UsageError("--prefix and --out-link are for one environment; several are linked in .envs/")
    if closure:
        raise click.UsageError("--closure is the digest of one environment")


def _editable(text: str) -> tuple[str, Path | None]:
    """``NAME`` or ``NAME=PATH``."""
    name, sign, path = text.partition("=")
    if not name.strip() or (sign and not path):
        raise click.UsageError(f"--editable takes NAME or NAME=PATH, not {text!r}")
    return name.strip(), Path(os.path.abspath(path)) if sign else None


def stamp_options(
    *, locked: bool, frozen: bool, out_link: Path | None, no_out_link: bool, closure: str | None
) -> tuple[str, ...]:
    """The options that a stamp belongs to, as text."""
    link = "none" if no_out_link else str(out_link and Path(os.path.abspath(out_link)))
    options = (f"locked={locked}", f"frozen={frozen}", f"out-link={link}")
    return (*options, f"closure={closure}") if closure else options


def ready_engines(recipes: tuple[Path, ...], *, solving: bool = False) -> None:
    """Let engines get ready in their own processes while our modules load in this one.

    The linking engine when a lock holds conda: loading it takes as long as the rest of the start. The solving engine
    when there is no lock. A lock that cannot be read is somebody else's to complain of.

    Args:
        recipes: What will be realized.
        solving: Whether a missing lock would be made.
    """
    from envbuild.locks.place import lock_path

    for recipe in recipes:
        if recipe.suffix not in {".yaml", ".yml"}:  # a name or an id
            continue
        try:
            text = (recipe if recipe.name.endswith(".lock.yaml") else lock_path(recipe)).read_bytes()
        except FileNotFoundError:
            if solving:
                from envbuild.machine.uv_ahead import meet_python

                meet_python(os.environ)
            continue
        except (OSError, ValueError):  # a path without a name, such as ``.``
            continue
        if b"\n    conda:\n" in text:
            from envbuild.linkers import rattler_process

            rattler_process.start()
            return


def recipe_of(source: str) -> Path:
    """The recipe's file that a source would be."""
    return Path(os.path.abspath(source.removeprefix("recipe:")))


def read_stamp_of(source: str, options: tuple[str, ...]) -> Stamp | None:
    """The stamp of a recipe when it still holds. A name has none that could answer: it may have moved."""
    from envbuild.environments.stamp import read_stamp, stamp_path
    from envbuild.machine.home import find_home

    recipe = recipe_of(source)
    return read_stamp(stamp_path(find_home(os.environ), recipe, options)) if recipe.is_file() else None


def answer_from_stamp(source: str, options: tuple[str, ...], *, quiet: bool) -> bool:
    """Print what an earlier realize made, when nothing has changed since."""
    stamp = read_stamp_of(source, options)
    if stamp is None:
        return False
    click.echo(stamp.prefix)
    if not quiet:
        from envbuild.cli.wording import count

        summary = stamp.summary
        seconds = time.monotonic() - _BEGAN
        with suppress(OSError):  # said to whom it may concern
            click.echo(
                f"Realized {summary['name']} ({summary['platform']}): {count(summary['packages'], 'package')}, "
                f"already there, {seconds:.2f} s",
                err=True,
            )
    return True
