"""``bundle``: an environment as one file that installs itself."""

from __future__ import annotations

from pathlib import Path

import click

from envbuild.cli.options import as_json, executor, jobs, locking_mode, offline, option, quiet, source_argument, stores


@click.command("bundle", short_help="Write one file that installs an environment without a network.")
@source_argument
@option(
    "--output",
    "-o",
    "output",
    type=click.Path(path_type=Path),
    help="The file to write (default: NAME-PLATFORM.sh).",
)
@option("--platform", "platform", metavar="PLATFORM", help="For this platform (default: this machine's).")
@option("--host-python", metavar="X.Y", help="Bring no Python along: the machine has this one to install with.")
@option("--force", is_flag=True, help="Replace a file that is there.")
@locking_mode
@jobs
@executor
@offline
@stores
@as_json
@quiet
def bundle_command(
    source: str,
    output: Path | None,
    platform: str | None,
    host_python: str | None,
    force: bool,
    locked: bool,
    frozen: bool,
    jobs: int | None,
    executor: str | None,
    offline: bool,
    stores: tuple[str, ...],
    as_json: bool,
    quiet: bool,
) -> None:
    """Write one file that installs an environment: envbuild bundle recipes/train.yaml -o train.sh

    On a machine without a network and without envbuild: sh train.sh --prefix /opt/train. One lock gives the same bytes.
    """  # noqa: D415  an example is no sentence
    from envbuild.cli.screen import Screen
    from envbuild.cli.wording import count, size_text
    from envbuild.environments.realized import mode
    from envbuild.projects.project import shown_path
    from envbuild.session import Session

    screen = Screen(quiet=quiet, as_json=as_json)
    session = Session(reporter=screen.reporter, offline=offline, jobs=jobs, executor=executor, stores=stores)
    chosen = mode(locked=locked, frozen=frozen)
    bundle = session.bundle(source, output, platform=platform, host_python=host_python, mode=chosen, force=force)
    if screen.document(
        {
            "name": bundle.name,
            "platform": bundle.platform,
            "environment": bundle.environment,
            "file": str(bundle.file),
            "size": bundle.size,
            "sha256": bundle.sha256,
            "python": bundle.python,
            "brings-python": bundle.brings_python,
            "packages": bundle.packages,
            "tools-size": bundle.tools_size,
            "needs": bundle.needs,
            "notes": list(bundle.notes),
        }
    ):
        return
    screen.result(shown_path(bundle.file))
    for note in bundle.notes:
        screen.say(f"note: {note}")
    screen.say(
        f"Wrote {bundle.name} ({bundle.platform}) as a bundle: {count(bundle.packages, 'package')}, "
        f"{size_text(bundle.size)}, sha256 {bundle.sha256}, {screen.elapsed()}"
    )
