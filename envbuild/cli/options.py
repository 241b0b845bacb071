"""Options that several commands share. Every flag has an ``ENVBUILD_<FLAG>`` variable of its own name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

Command = TypeVar("Command", bound=Callable[..., Any])


def option(*names: str, **settings: Any) -> Callable[[Command], Command]:
    """A click option whose variable follows from its long name: ``--keep-going`` is ``ENVBUILD_KEEP_GOING``."""
    long = next(name for name in names if name.startswith("--")).split("/")[0]
    settings.setdefault("envvar", "ENVBUILD_" + long[2:].replace("-", "_").upper())
    return click.option(*names, **settings)


def _names(incomplete: str) -> list[str]:
    """The names that begin so, as this machine has seen them; a name is completed without asking anybody."""
    import os

    from envbuild.errors import EnvbuildError
    from envbuild.machine.home import find_home
    from envbuild.store.names_seen import seen_names

    try:
        return [name for name in seen_names(find_home(os.environ) / "names") if name.startswith(incomplete)]
    except EnvbuildError:
        return []


def complete_name(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """What a NAME may be."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(name) for name in _names(incomplete)]


def complete_source(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """What a SOURCE may be: a file, or a name."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(incomplete, type="file"), *complete_name(context, parameter, incomplete)]


recipe_argument = click.argument("recipe", type=click.Path(path_type=Path))
recipes_argument = click.argument("recipes", nargs=-1, type=click.Path(path_type=Path))
source_argument = click.argument("source", type=click.Path(), shell_complete=complete_source)
"""A recipe's file, a name or an id, as it was typed: as a path, ``a//b`` would be the name ``a/b``."""
sources_argument = click.argument("sources", nargs=-1, type=click.Path(), shell_complete=complete_source)
name_argument = click.argument("name", shell_complete=complete_name)

as_json = option("--json", "as_json", is_flag=True, help="Print JSON (versioned) on stdout.")
quiet = option("-q", "--quiet", is_flag=True, help="Say nothing but errors on stderr.")
offline = option("--offline", is_flag=True, help="Use no network: what is not here is an error.")
stores = option(
    "--store",
    "stores",
    multiple=True,
    metavar="ADDRESS",
    help="Ask this shared store too, and write it; before the configured ones; repeatable.",
)
closure = option(
    "--closure",
    metavar="SHA256",
    help="Believe the results that have this digest, as `push` prints it, whatever store gives them.",
)
jobs = option("-j", "--jobs", type=click.IntRange(min=1), help="Jobs that compute at once (default: processors).")
executor = option(
    "--executor",
    metavar="ADDRESS",
    help="Send work there: dask://HOST:PORT, dask+tls://…, ssh://USER@HOST; or `local`.",
)
keep_going = option("-k", "--keep-going", is_flag=True, help="After a failure, still do what does not need it.")
platform = option("--platform", "platforms", multiple=True, metavar="PLATFORM", help="Only this platform; repeatable.")


def locking_mode(command: Command) -> Command:
    """``--locked`` and ``--frozen``."""
    command = option("--locked", is_flag=True, help="Fail (exit 10) when the lock does not fit the recipe.")(command)
    return option("--frozen", is_flag=True, help="Use the lock as it is; do not look whether it fits the recipe.")(
        command
    )
