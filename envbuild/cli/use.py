"""``run``, ``shell`` and ``shell-hook``: using an environment. Each realizes it first when it is not there."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn

import click

from envbuild.cli.options import locking_mode, offline, option, quiet, recipe_argument

SHELLS = ("bash", "zsh", "fish", "powershell")


@click.command(
    "run",
    short_help="Run a command in an environment.",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@locking_mode
@offline
@quiet
@recipe_argument
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def run_command(
    recipe: Path, command: tuple[str, ...], locked: bool, frozen: bool, offline: bool, quiet: bool
) -> NoReturn:
    """Run a command in an environment; its exit code is passed through.

    envbuild run recipes/train.yaml -- python train.py
    """
    if str(recipe).startswith("-"):
        raise click.UsageError(f"No such option {str(recipe)!r}; see `envbuild run --help`.")
    words = command[1:] if command[0] == "--" else command
    if command[0].startswith("-") and command[0] != "--":
        raise click.UsageError(f"Options stand before the recipe: envbuild run {command[0]} {recipe} -- COMMAND")
    if not words:
        raise click.UsageError("Which command? For example: envbuild run recipes/train.yaml -- python train.py")
    _execute(recipe, words, locked=locked, frozen=frozen, offline=offline, quiet=quiet)


@click.command("shell", short_help="Start your shell in an environment.")
@locking_mode
@offline
@quiet
@recipe_argument
def shell_command(recipe: Path, locked: bool, frozen: bool, offline: bool, quiet: bool) -> NoReturn:
    """Start your shell in an environment; `exit` leaves it."""
    shell = os.environ.get("SHELL") or "/bin/sh"
    _execute(recipe, (shell,), locked=locked, frozen=frozen, offline=offline, quiet=quiet)


@click.command("shell-hook", short_help="Print code that activates one.")
@option("--shell", type=click.Choice(SHELLS), help="For which shell (default: the one of $SHELL).")
@locking_mode
@offline
@quiet
@recipe_argument
def shell_hook_command(recipe: Path, shell: str | None, locked: bool, frozen: bool, offline: bool, quiet: bool) -> None:
    """Print code that activates an environment in this shell: eval "$(envbuild shell-hook RECIPE)"."""
    from envbuild.environments.activation import shell_hook

    prefix, variables = _realized(recipe, locked=locked, frozen=frozen, offline=offline, quiet=quiet)
    name = shell or Path(os.environ.get("SHELL", "bash")).name
    click.echo(shell_hook(name if name in SHELLS else "bash", prefix, dict(variables), recipe.stem), nl=False)


def _execute(
    recipe: Path, words: tuple[str, ...], *, locked: bool, frozen: bool, offline: bool, quiet: bool
) -> NoReturn:
    """Become the command, so that signals and exit codes are its own."""
    from envbuild.environments.environment import command_in, environment_variables
    from envbuild.machine.home import find_home
    from envbuild.machine.in_use import hold

    prefix, variables = _realized(recipe, locked=locked, frozen=frozen, offline=offline, quiet=quiet)
    if not hold(find_home(os.environ), prefix):
        prefix, variables = _realized(recipe, locked=locked, frozen=frozen, offline=offline, quiet=quiet)
        hold(find_home(os.environ), prefix)
    environment = environment_variables(prefix, dict(variables), os.environ, recipe.stem)
    program = command_in(prefix, words)
    sys.stdout.flush()
    try:
        os.execvpe(program[0], program, environment)  # noqa: S606  no shell on purpose
    except FileNotFoundError:
        click.echo(f"{words[0]}: not found in {recipe.stem}, nor on PATH", err=True)
        sys.exit(127)
    except PermissionError:
        click.echo(f"{words[0]}: cannot be executed", err=True)
        sys.exit(126)


def _realized(
    recipe: Path, *, locked: bool, frozen: bool, offline: bool, quiet: bool
) -> tuple[Path, tuple[tuple[str, str], ...]]:
    """The prefix and the recipe's variables: from a stamp when there is one, else realized now."""
    from envbuild.cli.realize import stamp_options
    from envbuild.environments.stamp import read_stamp, stamp_path
    from envbuild.machine.home import find_home

    options = stamp_options(locked=locked, frozen=frozen, out_link=None, no_out_link=False)
    stamp = read_stamp(stamp_path(find_home(os.environ), Path(os.path.abspath(recipe)), options))
    if stamp is not None:
        return Path(stamp.prefix), tuple(sorted(stamp.summary["variables"].items()))

    from envbuild.cli.screen import Screen
    from envbuild.environments.realized import RealizeOptions, mode
    from envbuild.session import Session

    screen = Screen(quiet=quiet, as_json=False)
    session = Session(reporter=screen.reporter, offline=offline)
    (realized,) = session.realize(
        recipe, mode=mode(locked=locked, frozen=frozen), options=RealizeOptions(stamp=options)
    )
    screen.close()
    return realized.prefix, realized.variables
