"""``kernel install``, ``list`` and ``remove``: Jupyter in an environment."""

from __future__ import annotations

from pathlib import Path

import click

from envbuild.cli.options import as_json, locking_mode, offline, option, quiet, source_argument, stores

prefix = option(
    "--prefix",
    type=click.Path(path_type=Path),
    help="Of the Jupyter that is installed in this folder (default: of every Jupyter of yours).",
)


@click.group("kernel", short_help="Install, list and remove Jupyter kernels.")
def kernel_command() -> None:
    """Install, list and remove Jupyter kernels that run in environments.

    envbuild kernel install recipes/train.yaml
    """


@kernel_command.command("install")
@source_argument
@option("--name", metavar="NAME", help="What the kernel is called (default: as the recipe or name).")
@option("--display-name", metavar="TEXT", help="What Jupyter shows.")
@prefix
@option("--force", is_flag=True, help="Replace a kernel of this name.")
@locking_mode
@offline
@stores
@as_json
@quiet
def install_command(
    source: str,
    name: str | None,
    display_name: str | None,
    prefix: Path | None,
    force: bool,
    locked: bool,
    frozen: bool,
    offline: bool,
    stores: tuple[str, ...],
    as_json: bool,
    quiet: bool,
) -> None:
    """Install a kernel that runs in exactly this environment: envbuild kernel install team/train:stable

    ipykernel comes beside its packages, which stay as they are. The environment is kept as long as the kernel is there.
    """  # noqa: D415  an example is no sentence
    from envbuild.cli.as_json import tree
    from envbuild.cli.screen import Screen
    from envbuild.cli.wording import count
    from envbuild.environments.realized import mode
    from envbuild.session import Session

    screen = Screen(quiet=quiet, as_json=as_json)
    session = Session(reporter=screen.reporter, offline=offline, stores=stores)
    kernel, realized = session.kernel_install(
        source,
        name=name,
        display=display_name,
        prefix=prefix,
        mode=mode(locked=locked, frozen=frozen),
        force=force,
    )
    if screen.document({"kernel": tree(kernel)}):
        return
    screen.result(kernel.name)
    screen.say(
        f"Installed the kernel {kernel.name} ({kernel.display}): {count(realized.packages, 'package')} in "
        f"{realized.prefix}, {screen.elapsed()}"
    )


@kernel_command.command("list")
@prefix
@as_json
def list_command(prefix: Path | None, as_json: bool) -> None:
    """List the kernels that envbuild installed."""
    from envbuild.cli.as_json import tree
    from envbuild.cli.screen import Screen
    from envbuild.digest import short
    from envbuild.session import Session

    screen = Screen(as_json=as_json)
    kernels = Session(reporter=screen.reporter).kernels(prefix=prefix)
    if screen.document({"kernels": [tree(item) for item in kernels]}):
        return
    rows = [
        (item.name, item.display, item.source, short(item.environment), str(item.prefix or "gone: install it again"))
        for item in kernels
    ]
    screen.table(("kernel", "shown as", "of", "environment", "prefix"), rows)
    if not kernels:
        screen.say("There are no kernels of envbuild; envbuild kernel install SOURCE")


@kernel_command.command("remove")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@prefix
@as_json
@quiet
def remove_command(names: tuple[str, ...], prefix: Path | None, as_json: bool, quiet: bool) -> None:
    """Remove kernels; their environments go with `gc` when nothing else keeps them."""
    from envbuild.cli.as_json import tree
    from envbuild.cli.screen import Screen
    from envbuild.session import Session

    screen = Screen(quiet=quiet, as_json=as_json)
    session = Session(reporter=screen.reporter)
    gone = [session.kernel_remove(name, prefix=prefix) for name in names]
    if screen.document({"removed": [tree(item) for item in gone]}):
        return
    for item in gone:
        screen.result(item.name)
        screen.say(f"Removed the kernel {item.name} ({item.display}); its environment stays until `envbuild gc`")
