"""``init``, ``config`` and ``completion``: setting things up."""

from __future__ import annotations

from pathlib import Path

import click

from envbuild.cli.options import as_json, option

SHELLS = ("bash", "zsh", "fish")


@click.command("init", short_help="Write a first recipe and envbuild.yaml.")
@click.argument("folder", default=".", type=click.Path(path_type=Path))
@option("--conda", is_flag=True, help="A recipe whose Python is a conda package (default: this machine's Python).")
def init_command(folder: Path, conda: bool) -> None:
    """Write a commented first recipe and envbuild.yaml; files that are there stay as they are."""
    from envbuild.projects.starter import write_starter

    for path, written in write_starter(folder, conda=conda):
        click.echo(f"{'wrote' if written else 'kept '} {path}", err=True)
    recipe = folder / "recipes" / "first.yaml"
    click.echo(f"\nNext: envbuild realize {recipe}", err=True)


@click.group("config", short_help="Show settings and their origins.")
def config_command() -> None:
    """Show settings, and where each came from."""


@config_command.command("list")
@option("--show-origin", is_flag=True, help="Say which file, line, variable or flag each value came from.")
@as_json
def config_list(show_origin: bool, as_json: bool) -> None:
    """Every setting that holds here."""
    from envbuild.cli.screen import Screen
    from envbuild.session import Session

    Screen(as_json=as_json).configured(Session().project().config.entries(), origins=show_origin)


@click.command("completion", short_help="Print completion code for a shell.")
@click.argument("shell", type=click.Choice(SHELLS))
def completion_command(shell: str) -> None:
    """Print completion code for a shell: eval "$(envbuild completion bash)"."""
    from click.shell_completion import get_completion_class

    from envbuild.cli.main import cli

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(cli, {}, "envbuild", "_ENVBUILD_COMPLETE").source())
