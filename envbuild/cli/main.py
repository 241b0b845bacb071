"""The group of all commands, and the one place where errors become text and exit codes.

Commands are imported when they are called: a ``realize`` with nothing to do must not pay for what ``graph`` draws.
"""

from __future__ import annotations

import atexit
import gc
import io
import os
import signal
import sys
from contextlib import suppress
from types import FrameType
from typing import Any, NoReturn

import click

from envbuild.errors import EnvbuildError, NoSpaceError, Terminated, UnreachableError
from envbuild.version import __version__

COMMANDS = {
    "init": "start",
    "add": "edit",
    "remove-package": "edit",
    "lock": "lock",
    "check": "check",
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
    "why-depends": "look",
    "why-rebuild": "why_rebuild",
    "graph": "graph",
    "diff": "diff",
    "alias": "names",
    "get": "names",
    "history": "names",
    "rollback": "names",
    "remove": "remove",
    "affected": "names",
    "publish": "publish",
    "store": "stores",
    "push": "stores",
    "pull": "stores",
    "trust": "trusting",
    "key": "trusting",
    "import": "exchange",
    "export": "exchange",
    "capture": "exchange",
    "image": "image",
    "bundle": "bundle",
    "kernel": "kernels",
    "log": "builds",
    "verify": "keep",
    "gc": "keep",
    "audit": "audit",
    "doctor": "doctor",
    "config": "start",
    "completion": "start",
    "lock-textconv": "diff",
    "lock-merge": "diff",
}
"""Command to the module of this package that holds it."""

_HIDDEN = frozenset({"realise", "lock-textconv", "lock-merge"})


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
        except BrokenPipeError as error:
            _reader_gone(error)
            raise click.exceptions.Exit(0) from None

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command. A reader that has gone is no failure; click itself would make it one."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            _reader_gone(error)
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
    # A command makes values by the thousand and hardly a cycle. To look for some costs 5 ms, and with a threshold of
    # 20,000 the imports alone would begin it.
    gc.set_threshold(100_000)
    signal.signal(signal.SIGTERM, _terminated)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # a terminal that is closed; nohup ignores it
        signal.signal(signal.SIGHUP, _terminated)
    _ready_streams()
    try:
        code = cli.main(standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Exit as error:
        code = error.exit_code
    except click.ClickException as error:
        from envbuild.cli.errors import show_usage_error

        code = 2
        with suppress(OSError):
            show_usage_error(error)
    except (click.Abort, KeyboardInterrupt) as error:
        # click makes an Abort of every KeyboardInterrupt; which one it was says its cause.
        terminated = next((each for each in (error, error.__cause__) if isinstance(each, Terminated)), None)
        code = 130 if terminated is None else 128 + terminated.args[0]
        if (sending := sys.modules.get("envbuild.store.sending")) is not None:
            sending.cancel_all()
        from envbuild.cli.errors import show_interrupted

        with suppress(OSError):
            show_interrupted("interrupted" if terminated is None else "terminated", code)
    except EnvbuildError as error:
        from envbuild.cli.errors import show_error

        code = error.exit_code
        with suppress(OSError):
            show_error(error)
    except BrokenPipeError as error:
        code = 0 if _is_gone(1) or _is_gone(2) else _show_os_error(error)
    except OSError as error:
        code = _show_os_error(error)
    _leave(code if isinstance(code, int) else 0)


def _ready_streams() -> None:
    """Lead streams that were closed (``>&-``) to the null device; have stdout refuse no character.

    Else the next file that is opened would take the number, and children print into it.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(descriptor, descriptor == number)
            setattr(sys, name, open(descriptor, "w" if number else "r", encoding="utf-8"))  # noqa: PTH123, SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names of files need not be text; in JSON this is their form


def _show_os_error(error: OSError) -> int:
    from envbuild.cli.errors import show_os_error

    try:
        return show_os_error(error)
    except OSError:  # there is no room for saying so either
        return NoSpaceError.exit_code


def _leave(code: int) -> NoReturn:
    """End this process without taking apart what the system takes back at once: 10 ms of every command."""
    atexit._run_exitfuncs()
    with suppress(OSError, ValueError):  # nobody reads it any more
        sys.stdout.flush()
    with suppress(OSError, ValueError):
        sys.stderr.flush()
    os._exit(code)


def _reader_gone(error: BrokenPipeError) -> None:
    """Whoever reads our output has gone (``| head``), which is no failure; Python must not complain on its way out.

    Raises:
        UnreachableError: When it was another pipe that broke. (click would end the process without a word.)
    """
    gone = [number for number in (1, 2) if _is_gone(number)]
    if not gone:
        raise UnreachableError(error.strerror or "a pipe broke", reference="operating-system") from None
    for number in gone:
        os.dup2(os.open(os.devnull, os.O_WRONLY), number)


def _is_gone(number: int) -> bool:
    """Whether nobody reads a standard stream any more."""
    import select

    poll = select.poll()
    poll.register(number, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def _terminated(number: int, frame: FrameType | None) -> Any:
    raise Terminated(number)
