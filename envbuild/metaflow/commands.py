"""``python flow.py --environment=envbuild environment …``: what a flow's environments are, as files and in the stores.

Rules of the file: Metaflow's own copy of click; everything else is imported when a command runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from metaflow._vendor import click


@click.group()
def cli() -> None:
    """What Metaflow joins to its own commands."""


@cli.group(help="The environments of this flow's steps.")
def environment() -> None:
    """The group of commands."""


@contextmanager
def _launched(obj: Any, *, quiet: bool, as_json: bool) -> Iterator[tuple[Any, Any]]:
    """The flow, and what people see; errors end the program, with envbuild's exit codes.

    Metaflow's own lines go to stdout, where results are read: what is said here goes to stderr.
    """
    from metaflow.cli import echo_dev_null

    from envbuild.errors import EnvbuildError, UsageError
    from envbuild.metaflow.environment import EnvbuildEnvironment
    from envbuild.metaflow.launching import Launch, fail
    from envbuild.metaflow.shell import screen

    try:
        if not isinstance(obj.environment, EnvbuildEnvironment):
            raise UsageError(
                "the environments of this flow are not envbuild's",
                hint="python flow.py --environment=envbuild environment emit",
            )
        with screen(SimpleNamespace(quiet=obj.is_quiet, as_json=False), quiet, as_json) as shown:
            yield Launch(obj.flow, obj.flow_datastore.TYPE, echo_dev_null if shown.quiet else shown.say), shown
    except EnvbuildError as error:
        fail(error, as_json=as_json)


_quiet = click.option("--quiet", is_flag=True, help="Results alone, in lines that scripts read.")
_json = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout, errors too.")
_archs = click.option("--arch", multiple=True, metavar="PLATFORM", help="For this platform; repeatable.")
_local_only = click.option("--local-only", is_flag=True, help="Ask no shared store.")


@environment.command(help="Write the recipes and locks of this flow, to be committed.")
@click.option("--dir", "folder", type=click.Path(file_okay=False), help="Where to [default: recipes/flows/<flow>].")
@_json
@_quiet
@click.pass_obj
def emit(obj: Any, folder: str | None, quiet: bool, as_json: bool) -> None:
    """Write recipes and locks; a run then uses exactly these."""
    from envbuild.metaflow.locked import emit_locked

    with _launched(obj, quiet=quiet, as_json=as_json) as (launch, shown):
        files = list(emit_locked(launch, Path(folder).absolute() if folder else None))
        if not shown.document({"recipes": files}):
            for file in files:
                shown.result(file)


@environment.command(help="Resolve the environments of these steps, or of all; print their ids.")
@click.argument("steps", nargs=-1, metavar="[STEP]...")
@_archs
@click.option("--alias", multiple=True, metavar="NAME", help="Name the one environment so; repeatable.")
@click.option("--force", is_flag=True, help="Solve anew, whatever is locked.")
@click.option("--dry-run", is_flag=True, help="Solve; write, fetch and name nothing.")
@click.option("--set-default", is_flag=True, help="Let them be what their requests mean, for others too.")
@_local_only
@_json
@_quiet
@click.pass_obj
def resolve(obj: Any, steps: tuple[str, ...], quiet: bool, as_json: bool, **options: Any) -> None:
    """Lock what a run would lock."""
    from envbuild.metaflow import resolving

    with _launched(obj, quiet=quiet, as_json=as_json) as (launch, shown):
        resolving.resolve(launch, shown, steps, **options)


@environment.command(help="Show the environments of these steps, or of all: unresolved, resolved, cached or present.")
@click.argument("steps", nargs=-1, metavar="[STEP]...")
@_archs
@_local_only
@_json
@_quiet
@click.pass_obj
def show(obj: Any, steps: tuple[str, ...], quiet: bool, as_json: bool, **options: Any) -> None:
    """Say what there is of environments."""
    from envbuild.metaflow import resolving

    with _launched(obj, quiet=quiet, as_json=as_json) as (launch, shown):
        resolving.show(launch, shown, steps, **options)
