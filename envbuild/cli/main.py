"""The group of all commands, and the one place where errors become text and exit codes.

Commands are imported when they are called: a ``realize`` with nothing to do must not pay for what ``graph`` draws.
"""

from __future__ import annotations

import atexit
import gc
import os
import signal
import sys
from contextlib import suppress
from types import FrameType
from typing import Any, NoReturn

import click

from envbuild.errors import EnvbuildError, Terminated
from envbuild.version import __version__

COMMANDS = {
    "init": "start",
    "add": "edit",
    "remove-package": "edit",
    "lock": "lock",
    "plan": "lock",
    "realize": "realize",
    "realise": "realize",
    "run": "use",
    "shell": "use",
    "shell-hook": "use",
    "show": "look",
    "list": "look",
    "tree": "look",
    "why": "look",
    "alias": "names",
    "get": "names",
    "history": "names",
    "rollback": "names",
    "store": "stores",
    "push": "stores",
    "pull": "stores",
    "trust": "stores",
    "import": "exchange",
    "export": "exchange",
    "capture": "exchange",
    "log": "builds",
    "verify": "keep",
    "gc": "keep",
    "config": "start",
    "completion": "start",
}
"""Command to the module of this package that holds it."""

_HIDDEN = frozenset({"realise"})


class LazyGroup(click.Group):
    """A group that imports a command's module when the command is wanted."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every command but the second spellings."""
        return [name for name in COMMANDS if name not in _HIDDEN]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """One command, or None when there is no such."""
        import importlib

        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"envbuild.cli.{COMMANDS[cmd_name]}")
        command = getattr(module, cmd_name.replace("realise", "realize").replace("-", "_") + "_command")
        assert isinstance(command, click.Command)
        return command

    def make_context(self, *arguments: Any, **settings: Any) -> click.Context:
        """Parse the command line, which may print help; see ``invoke``."""
        try:
            return super().make_context(*arguments, **settings)
        except BrokenPipeError:
            _reader_gone()
            raise click.exceptions.Exit(0) from None

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command. A reader that has gone is no failure; click itself would make it one."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            _reader_gone()
            raise click.exceptions.Exit(0) from None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command meant; a wrong one names the closest."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            import difflib

            close = difflib.get_close_matches(args[0], self.list_commands(ctx), n=1) if args else []
            if not close:
                raise
            raise click.UsageError(f"{error.message} Did you mean {close[0]!r}?", ctx) from None


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="envbuild")
def cli() -> None:
    """Turn YAML recipes, kept in Git, into running Python and conda environments.

    \b
    envbuild init                         a first recipe
    envbuild realize recipes/train.yaml   recipe -> environment; prints its folder
    envbuild run recipes/train.yaml -- python train.py
    """  # noqa: D301  click wants the character itself: it keeps the lines of this paragraph


def main() -> NoReturn:
    """Run the command line and leave with its exit code."""
    gc.set_threshold(20_000)  # a command makes values by the thousand and hardly a cycle: looking for some costs 5 ms
    signal.signal(signal.SIGTERM, _terminated)
    try:
        code = cli.main(standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Exit as error:
        code = error.exit_code
    except click.ClickException as error:
        from envbuild.cli.errors import show_usage_error

        show_usage_error(error)
        code = 2
    except (click.Abort, KeyboardInterrupt) as error:
        # click makes an Abort of every KeyboardInterrupt; which one it was says its cause.
        terminated = isinstance(error, Terminated) or isinstance(error.__cause__, Terminated)
        sys.stderr.write("terminated\n" if terminated else "interrupted\n")
        code = 143 if terminated else 130
    except BrokenPipeError:
        _reader_gone()
        code = 0
    except EnvbuildError as error:
        from envbuild.cli.errors import show_error

        show_error(error)
        code = error.exit_code
    except OSError as error:
        from envbuild.cli.errors import show_os_error

        code = show_os_error(error)
    _leave(code if isinstance(code, int) else 0)


def _leave(code: int) -> NoReturn:
    """End this process without taking apart what the system takes back at once: 10 ms of every command."""
    atexit._run_exitfuncs()
    with suppress(OSError, ValueError):  # nobody reads it any more
        sys.stdout.flush()
    with suppress(OSError, ValueError):
        sys.stderr.flush()
    os._exit(code)


def _reader_gone() -> None:
    """Whoever reads our output has gone (``| head``), which is no failure; Python must not complain on its way out."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _terminated(number: int, frame: FrameType | None) -> Any:
    raise Terminated
