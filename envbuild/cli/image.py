"""``image``: an environment as a container image."""

from __future__ import annotations

from pathlib import Path

import click

from envbuild.cli.options import as_json, executor, jobs, locking_mode, offline, option, quiet, source_argument, stores


@click.command("image", short_help="Write a container image of an environment (OCI layout).")
@source_argument
@option(
    "--output",
    "-o",
    "output",
    type=click.Path(path_type=Path),
    required=True,
    help="The folder to make: an OCI image layout.",
)
@option("--base", metavar="FOLDER", type=click.Path(path_type=Path), help="The OCI layout of an image to stand on.")
@option("--prefix", metavar="PATH", help="Where the environment lies in the image (default: /opt/envbuild).")
@option("--force", is_flag=True, help="Replace an image layout that is there.")
@locking_mode
@jobs
@executor
@offline
@stores
@as_json
@quiet
def image_command(
    source: str,
    output: Path,
    base: Path | None,
    prefix: str | None,
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
    """Write a container image, without a daemon: envbuild image recipes/train.yaml -o image --base debian

    A layer for the Python, one for each large package, and the others in groups. One lock gives the same digest
    everywhere. For this machine's platform.
    """  # noqa: D415  an example is no sentence
    from envbuild.cli.screen import Screen
    from envbuild.cli.wording import count, size_text
    from envbuild.environments.realized import mode
    from envbuild.projects.project import shown_path
    from envbuild.session import Session

    screen = Screen(quiet=quiet, as_json=as_json)
    session = Session(reporter=screen.reporter, offline=offline, jobs=jobs, executor=executor, stores=stores)
    image = session.image(source, output, base=base, place=prefix, mode=mode(locked=locked, frozen=frozen), force=force)
    if screen.document(
        {
            "name": image.name,
            "platform": image.platform,
            "environment": image.environment,
            "folder": str(image.folder),
            "digest": image.digest,
            "prefix": image.prefix,
            "base": image.base,
            "layers": [
                {"title": item.title, "packages": list(item.packages), "digest": item.digest, "size": item.size}
                for item in image.layers
            ],
            "notes": list(image.notes),
        }
    ):
        return
    screen.result(shown_path(image.folder))
    for note in image.notes:
        screen.say(f"note: {note}")
    layers = count(len(image.layers), "layer")
    screen.say(
        f"Wrote {image.name} ({image.platform}) as an image: {layers}, {size_text(image.size)}, {image.digest}, "
        f"{screen.elapsed()}"
    )
