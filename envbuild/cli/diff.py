"""``diff``: what differs between two states of recipes and locks. Also the two programs that git calls."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from envbuild.cli.options import as_json, complete_source, offline, option, stores

DIFFERENT = 10


@click.command("diff", short_help="Show what differs between locks or revisions.")
@click.argument("sides", nargs=-1, type=click.Path(), metavar="[A [B]]", shell_complete=complete_source)
@option(
    "--format",
    "form",
    type=click.Choice(("text", "markdown", "json")),
    default="text",
    help="As text (default), as a comment of a pull request, or as JSON.",
)
@option("--exit-code", is_flag=True, help="Exit 10 when there is a difference.")
@offline
@stores
@as_json
def diff_command(
    sides: tuple[str, ...], form: str, exit_code: bool, offline: bool, stores: tuple[str, ...], as_json: bool
) -> None:
    """Show what differs: packages added, removed, upgraded, downgraded, rebuilt, moved; and why.

    \b
    envbuild diff                          HEAD and the working tree
    envbuild diff main..HEAD               every recipe of the project, in two revisions
    envbuild diff recipes/train.yaml       one recipe since HEAD
    envbuild diff team/train:v1 team/train two names; or locks, ids, prefixes, steps of runs

    A star stands before what a recipe asks for by name.
    """  # noqa: D301  click wants the character itself: it keeps the lines of this paragraph
    import gc

    from envbuild.cli.screen import Screen
    from envbuild.session import Session

    gc.disable()  # values by the hundred thousand, and no cycle among them
    screen = Screen(as_json=as_json or form == "json")
    session = Session(reporter=screen.reporter, offline=offline, stores=stores)
    diff = session.diff(*sides)
    if form == "markdown" and not screen.as_json:
        from envbuild.review.markdown import markdown

        screen.close()
        click.echo(markdown(diff), nl=False)
    else:
        from envbuild.cli.screen_diff import show_diff

        show_diff(screen, diff)
    if exit_code and diff.different:
        sys.exit(DIFFERENT)


@click.command("lock-textconv", short_help="What git diff shows of a lock.", hidden=True)
@click.argument("file", type=click.Path(path_type=Path))
def lock_textconv_command(file: Path) -> None:
    """Print a lock as lines that people can compare; git calls this. What is no lock is printed as it is."""
    from envbuild.review.plain_text import plain_text

    sys.stdout.buffer.write(plain_text(file.read_bytes(), str(file)))
    sys.stdout.buffer.flush()


@click.command("lock-merge", short_help="Merges the locks of two branches.", hidden=True)
@click.argument("base", type=click.Path(path_type=Path))
@click.argument("ours", type=click.Path(path_type=Path))
@click.argument("theirs", type=click.Path(path_type=Path))
@click.argument("path")
@offline
@stores
def lock_merge_command(base: Path, ours: Path, theirs: Path, path: str, offline: bool, stores: tuple[str, ...]) -> None:
    """Merge a lock that two branches changed; git calls this (`%O %A %B %P`). Exit 1 leaves a conflict."""
    import os

    from envbuild.cli.screen import Screen
    from envbuild.session import Session

    told = dict(os.environ)
    for name in told:
        if name.startswith("GIT_"):  # git's word on its repository is for this process alone
            del os.environ[name]
    if not offline:
        from envbuild.machine.uv_ahead import meet_python

        meet_python(os.environ)
    screen = Screen()
    session = Session(reporter=screen.reporter, offline=offline, stores=stores, environ=told)
    outcome = session.merge_lock(base, ours, theirs, path)
    screen.say(outcome.said)
    if not outcome.merged:
        sys.exit(1)
