"""``import``, ``export`` and ``capture``: coming from other tools, and going to them."""

from __future__ import annotations

from pathlib import Path

import click

from envbuild.cli.options import as_json, offline, option, platform, quiet, source_argument, stores

output = option(
    "--output", "-o", "output", type=click.Path(path_type=Path), help="The recipe to write (default: in `recipes/`)."
)
name = option("--name", metavar="NAME", help="The recipe's `name`, under which it can be published.")
force = option("--force", is_flag=True, help="Replace a recipe and lock that are there.")
python_version = option("--python-version", metavar="X.Y", help="For this Python, where the file leaves it open.")


@click.command("import", short_help="Make a recipe (and lock) of another tool's file.")
@click.argument("file", type=click.Path(path_type=Path))
@output
@name
@option("--format", "format_name", metavar="FORMAT", help="The file's format, where its name does not tell.")
@option("--environment", metavar="NAME", help="This one of several environments in the file.")
@option("--extra", "extras", multiple=True, metavar="NAME", help="With these optional dependencies; repeatable.")
@option("--group", "groups", multiple=True, metavar="NAME", help="With this group or category; repeatable.")
@platform
@python_version
@force
@offline
@as_json
@quiet
def import_command(
    file: Path,
    output: Path | None,
    name: str | None,
    format_name: str | None,
    environment: str | None,
    extras: tuple[str, ...],
    groups: tuple[str, ...],
    platforms: tuple[str, ...],
    python_version: str | None,
    force: bool,
    offline: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Make a recipe of another tool's file; of a lock, a recipe and its lock, without a solve.

    \b
    Requirements:  requirements.txt, environment.yml, pyproject.toml
    Locks:         pylock.toml, uv.lock, conda-lock.yml, pixi.lock, explicit files, the output of `pip freeze`
    """  # noqa: D301  click wants the character itself: it keeps the lines of this paragraph
    from envbuild.cli.screen import Screen
    from envbuild.cli.screen_exchange import show_imported
    from envbuild.exchange.verbs import ImportOptions
    from envbuild.session import Session

    screen = Screen(quiet=quiet, as_json=as_json)
    session = Session(reporter=screen.reporter, offline=offline)
    options = ImportOptions(
        format=format_name,
        name=name,
        platforms=platforms,
        python=python_version,
        environment=environment,
        extras=extras,
        groups=groups,
        force=force,
    )
    show_imported(screen, session.import_file(file, output, options=options))


@click.command("capture", short_help="Make a recipe and lock of an environment that is there.")
@click.argument("prefix", type=click.Path(path_type=Path), required=False)
@output
@name
@force
@offline
@as_json
@quiet
def capture_command(
    prefix: Path | None,
    output: Path | None,
    name: str | None,
    force: bool,
    offline: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Make a recipe and lock of a conda or virtual environment (default: the active one)."""
    from envbuild.cli.screen import Screen
    from envbuild.cli.screen_exchange import show_imported
    from envbuild.session import Session

    screen = Screen(quiet=quiet, as_json=as_json)
    session = Session(reporter=screen.reporter, offline=offline)
    show_imported(screen, session.capture(prefix, output, name=name, force=force))


@click.command("export", short_help="Write a lock in another tool's format.")
@source_argument
@option("--format", "format_name", required=True, metavar="FORMAT", help="requirements, pylock, pixi, …; see below.")
@option("--output", "-o", "output", type=click.Path(path_type=Path), help="The file to write (default: stdout).")
@platform
@option(
    "--pixi-version",
    type=click.Choice(["6", "7"]),
    default="6",
    show_default=True,
    help="The version of pixi.lock to write.",
)
@option("--force", is_flag=True, help="Replace a file that is there.")
@offline
@stores
@as_json
@quiet
def export_command(
    source: str,
    format_name: str,
    output: Path | None,
    platforms: tuple[str, ...],
    pixi_version: str,
    force: bool,
    offline: bool,
    stores: tuple[str, ...],
    as_json: bool,
    quiet: bool,
) -> None:
    """Write what a recipe (or name, id, lock) is locked to in another tool's format; what is lost is said.

    Formats: requirements, environment-yml, explicit, conda-lock, pixi, pylock, sbom.
    """
    from envbuild.cli.screen import Screen
    from envbuild.cli.screen_exchange import show_exported
    from envbuild.session import Session

    screen = Screen(quiet=quiet, as_json=as_json)
    session = Session(reporter=screen.reporter, offline=offline, stores=stores)
    exported = session.export(
        source, format_name, output, platforms=platforms, pixi_version=int(pixi_version), force=force
    )
    show_exported(screen, exported)
