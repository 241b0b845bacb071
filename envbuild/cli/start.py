"""``init``, ``config`` and ``completion``: setting things up."""

from __future__ import annotations

from pathlib import Path

import click

from envbuild.cli.options import as_json, option

SHELLS = ("bash", "zsh", "fish")


@click.command("init", short_help="Write a first recipe and envbuild.yaml.")
@click.argument("folder", default=".", type=click.Path(path_type=Path))
@option("--conda", is_flag=True, help="A recipe whose Python is a conda package (default: this machine's Python).")
@option("--git", is_flag=True, help="Also have Git show and merge locks by what they mean.")
def init_command(folder: Path, conda: bool, git: bool) -> None:
    """Write a commented first recipe and envbuild.yaml; files that are there stay as they are.

    With --git in a project that is there, Git is all that is set up: for this clone, and all who have the project.
    """
    from envbuild.projects.starter import write_starter

    if git:
        from envbuild.projects.config_files import PROJECT_FILE, find_root

        if (find_root(folder) / PROJECT_FILE).is_file():
            _set_up_git(folder)
            return
    for path, written in write_starter(folder, conda=conda):
        click.echo(f"{'wrote' if written else 'kept '} {path}", err=True)
    recipe = folder / "recipes" / "first.yaml"
    if git:
        _set_up_git(folder)
    click.echo(f"\nNext: envbuild realize {recipe}", err=True)


def _set_up_git(folder: Path) -> None:
    """Say what was written and what was there."""
    from envbuild.cli.errors import printable
    from envbuild.projects.recipe_files import shown_path
    from envbuild.session import Session

    done = Session(folder).install_git(folder)
    verb = "wrote" if done.line else "kept "
    click.echo(printable(f"{verb} {shown_path(done.attributes)} (commit it)"), err=True)
    for name, written in done.settings:
        click.echo(f"{'set  ' if written else 'kept '} {name} (in this clone)", err=True)


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
