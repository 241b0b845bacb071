"""``run``, ``shell`` and ``shell-hook``: using an environment. Each realizes it first when it is not there."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn

import click

from envbuild.cli.options import closure, executor, locking_mode, offline, option, quiet, source_argument, stores
from envbuild.value import dataclass

SHELLS = ("bash", "zsh", "fish", "powershell")
FOREIGN = frozenset({"csh", "tcsh", "nu", "xonsh", "elvish", "rc", "es", "ion", "cmd"})
"""Shells that read none of these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where what is not here is made and brought from; as the options of the same names."""

    stores: tuple[str, ...] = ()
    executor: str | None = None
    closure: str | None = None


NO_PLACES = Places()


@click.command(
    "run",
    short_help="Run a command in an environment.",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@locking_mode
@offline
@stores
@executor
@closure
@quiet
@source_argument
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def run_command(
    source: str,
    command: tuple[str, ...],
    locked: bool,
    frozen: bool,
    offline: bool,
    stores: tuple[str, ...],
    executor: str | None,
    closure: str | None,
    quiet: bool,
) -> NoReturn:
    """Run a command in an environment; its exit code is passed through.

    envbuild run recipes/train.yaml -- python train.py
    """
    if source.startswith("-"):
        raise click.UsageError(f"No such option {source!r}; see `envbuild run --help`.")
    words = command[1:] if command[0] == "--" else command
    if command[0].startswith("-") and command[0] != "--":
        raise click.UsageError(f"Options stand before the recipe: envbuild run {command[0]} {source} -- COMMAND")
    if not words:
        raise click.UsageError("Which command? For example: envbuild run recipes/train.yaml -- python train.py")
    places = Places(stores=stores, executor=executor, closure=closure)
    _execute(source, words, places, locked=locked, frozen=frozen, offline=offline, quiet=quiet)


@click.command("shell", short_help="Start your shell in an environment.")
@locking_mode
@offline
@stores
@executor
@quiet
@source_argument
def shell_command(
    source: str,
    locked: bool,
    frozen: bool,
    offline: bool,
    stores: tuple[str, ...],
    executor: str | None,
    quiet: bool,
) -> NoReturn:
    """Start your shell in an environment; `exit` leaves it."""
    shell = os.environ.get("SHELL") or "/bin/sh"
    places = Places(stores=stores, executor=executor)
    _execute(source, (shell,), places, locked=locked, frozen=frozen, offline=offline, quiet=quiet)


@click.command("shell-hook", short_help="Print code that activates one.")
@option("--shell", type=click.Choice(SHELLS), help="For which shell (default: the one of $SHELL).")
@locking_mode
@offline
@quiet
@source_argument
def shell_hook_command(source: str, shell: str | None, locked: bool, frozen: bool, offline: bool, quiet: bool) -> None:
    """Print code that activates an environment in this shell: eval "$(envbuild shell-hook RECIPE)"."""
    from envbuild.environments.activation import shell_hook
    from envbuild.errors import UsageError

    name = shell or Path(os.environ.get("SHELL", "bash")).name
    if name in FOREIGN:
        raise UsageError(
            f"there is no code for {name}, your $SHELL",
            hint="envbuild shell starts it in the environment; --shell names one of " + ", ".join(SHELLS),
        )
    prefix, variables, title = _realized(source, locked=locked, frozen=frozen, offline=offline, quiet=quiet)
    click.echo(shell_hook(name if name in SHELLS else "bash", prefix, dict(variables), title), nl=False)


def _execute(
    source: str,
    words: tuple[str, ...],
    places: Places,
    *,
    locked: bool,
    frozen: bool,
    offline: bool,
    quiet: bool,
) -> NoReturn:
    """Become the command, so that signals and exit codes are its own."""
    from envbuild.environments.environment import command_in, environment_variables
    from envbuild.machine.home import find_home
    from envbuild.machine.in_use import hold

    chosen = {"locked": locked, "frozen": frozen, "offline": offline, "quiet": quiet}
    prefix, variables, title = _realized(source, places, **chosen)
    if not hold(find_home(os.environ), prefix):
        prefix, variables, title = _realized(source, places, **chosen)
        hold(find_home(os.environ), prefix)
    environment = environment_variables(prefix, dict(variables), os.environ, title)
    program = command_in(prefix, words)
    sys.stdout.flush()
    try:
        os.execvpe(program[0], program, environment)  # noqa: S606  no shell on purpose
    except FileNotFoundError:
        click.echo(f"{words[0]}: not found in {title}, nor on PATH", err=True)
        sys.exit(127)
    except PermissionError:
        click.echo(f"{words[0]}: cannot be executed", err=True)
        sys.exit(126)


def _realized(
    source: str,
    places: Places = NO_PLACES,
    *,
    locked: bool,
    frozen: bool,
    offline: bool,
    quiet: bool,
) -> tuple[Path, tuple[tuple[str, str], ...], str]:
    """The prefix, its variables and what it is called: from a stamp when there is one, else realized now."""
    from envbuild.cli.realize import read_stamp_of, stamp_options

    options = stamp_options(locked=locked, frozen=frozen, out_link=None, no_out_link=False, closure=places.closure)
    stamp = read_stamp_of(source, options)
    if stamp is not None:
        return Path(stamp.prefix), tuple(sorted(stamp.summary["variables"].items())), stamp.summary["name"]

    from envbuild.cli.screen import Screen
    from envbuild.environments.realized import RealizeOptions, mode
    from envbuild.session import Session

    screen = Screen(quiet=quiet, as_json=False)
    session = Session(reporter=screen.reporter, offline=offline, stores=places.stores, executor=places.executor)
    entered = session.entered(source) if places.closure is None else None
    if entered is not None and entered.prefix is not None:
        screen.close()
        return entered.prefix, entered.environment.variables, entered.name
    (realized,) = session.realize(
        source, mode=mode(locked=locked, frozen=frozen), options=RealizeOptions(stamp=options, closure=places.closure)
    )
    screen.close()
    return realized.prefix, realized.variables, realized.name
