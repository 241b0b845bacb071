"""``python flow.py --environment=envbuild environment …``: what a flow's environments are, as files.

Rules of the file: Metaflow's own copy of click; everything else is imported when a command runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from metaflow._vendor import click


@click.group()
def cli() -> None:
    """What Metaflow joins to its own commands."""


@cli.group(help="The environments of this flow's steps.")
def environment() -> None:
    """The group of commands."""


@environment.command(help="Write the recipes and locks of this flow, to be committed.")
@click.option("--dir", "folder", type=click.Path(file_okay=False), help="Where to [default: recipes/flows/<flow>].")
@click.pass_obj
def emit(obj: Any, folder: str | None) -> None:
    """Write recipes and locks; a run then uses exactly these."""
    from envbuild.errors import EnvbuildError, UsageError
    from envbuild.metaflow.environment import EnvbuildEnvironment
    from envbuild.metaflow.launching import Launch, fail
    from envbuild.metaflow.locked import emit_locked

    try:
        if not isinstance(obj.environment, EnvbuildEnvironment):
            raise UsageError(
                "the environments of this flow are not envbuild's",
                hint="python flow.py --environment=envbuild environment emit",
            )
        launch = Launch(obj.flow, obj.flow_datastore.TYPE, obj.echo)
        for file in emit_locked(launch, Path(folder).absolute() if folder else None):
            click.echo(file)
    except EnvbuildError as error:
        fail(error)
