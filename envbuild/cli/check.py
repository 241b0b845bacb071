"""``check``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from envbuild.cli.options import as_json, option, quiet, recipes_argument


@click.command("check", short_help="Check every recipe and lock, as CI does.")
@recipes_argument
@option("--fix", is_flag=True, help="Write what is mechanical: locks as `envbuild lock` writes them.")
@option("--origin", is_flag=True, help="Ask channels and indices what they say of the files in changed lines.")
@option(
    "--base",
    metavar="REVISION",
    help="What lines have changed since, for --origin (default: where this branch left the one it goes into).",
)
@option("--online", is_flag=True, help="Ask whether the names of bases have moved, and whether they are signed.")
@option("--strict", is_flag=True, help="Let warnings count: exit 10.")
@option(
    "--format",
    "format_name",
    type=click.Choice(["text", "json", "sarif"]),
    default="text",
    show_default=True,
    help="What is printed.",
)
@option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Write it there; the text is printed, too."
)
@as_json
@quiet
def check_command(
    recipes: tuple[Path, ...],
    fix: bool,
    origin: bool,
    base: str | None,
    online: bool,
    strict: bool,
    format_name: str,
    output: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    r"""Check recipes, locks and policy (default: every recipe of the project), without a network unless told otherwise.

    \b
    envbuild check
    envbuild check --origin --base origin/main --format sarif -o check.sarif

    Exit 10 when a lock does not fit, 4 when one is not what was vouched for or the policy forbids it, 3 when a file
    cannot be read, 5 when a place does not answer; the gravest of these.
    """
    from envbuild.cli.screen import Screen
    from envbuild.cli.screen_check import show_check
    from envbuild.review.check_verbs import CheckOptions
    from envbuild.session import Session

    if base is not None and not origin:
        raise click.UsageError("--base says what lines have changed since, for --origin")
    if as_json and format_name == "sarif":
        raise click.UsageError("--json is --format json")
    screen = Screen(quiet=quiet, as_json=as_json or format_name == "json")
    session = Session(reporter=screen.reporter)
    checked = session.examine(*recipes, options=CheckOptions(fix=fix, origin=origin, base=base, online=online))
    code = show_check(screen, checked, session, sarif=format_name == "sarif", output=output, strict=strict)
    if code:
        sys.exit(code)
