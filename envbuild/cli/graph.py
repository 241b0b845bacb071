"""``graph``: the derivation graph as text, Graphviz, JSON or one page."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from envbuild.cli.options import as_json, closure, complete_source, locking_mode, offline, option, stores

if TYPE_CHECKING:
    from envbuild.cli.screen import Screen
    from envbuild.pictures.picture import Picture

FORMATS = ("text", "dot", "html", "json")
_ENDINGS = {".html": "html", ".htm": "html", ".dot": "dot", ".gv": "dot", ".json": "json"}


@click.command("graph", short_help="Draw what an environment is made of.")
@click.argument("source", required=False, type=click.Path(), shell_complete=complete_source)
@option("--format", "format_name", type=click.Choice(FORMATS), help="How (default: by the file's ending, else text).")
@option("--output", "-o", "output", type=click.Path(path_type=Path), help="The file to write (default: stdout).")
@option("--force", is_flag=True, help="Replace a file that is there.")
@option("--platform", "platforms", multiple=True, metavar="PLATFORM", help="Of this platform; repeatable.")
@locking_mode
@offline
@stores
@closure
@as_json
def graph_command(
    source: str | None,
    format_name: str | None,
    output: Path | None,
    force: bool,
    platforms: tuple[str, ...],
    locked: bool,
    frozen: bool,
    offline: bool,
    stores: tuple[str, ...],
    closure: str | None,
    as_json: bool,
) -> None:
    """Draw the derivation graph of an environment: what is here, what is to do and why, and what the last run did when.

    envbuild graph recipes/train.yaml -o train.html

    Without SOURCE: of the project's recipe, when it has only one. The page needs no network and no other file.
    """
    from envbuild.cli.screen import Screen
    from envbuild.environments.realized import mode
    from envbuild.session import Session

    if as_json and format_name not in {None, "json"}:
        raise click.UsageError("--json or --format, not both")
    screen = Screen(as_json=as_json)
    ending = output.suffix.lower() if output is not None else ""
    if format_name is None and ending not in {*_ENDINGS, "", ".txt"}:
        raise click.UsageError(f"no format has the ending {ending}: {', '.join(_ENDINGS)}, .txt; or --format")
    chosen = "json" if as_json else format_name or _ENDINGS.get(ending, "text")
    target = Path(os.path.abspath(output)) if output is not None else None
    if target is not None:
        from envbuild.exchange.exporting import refuse_existing

        refuse_existing(target, force=force)
    session = Session(reporter=screen.reporter, offline=offline, stores=stores)
    picture = session.graph(source, mode=mode(locked=locked, frozen=frozen), closure=closure, platforms=platforms)
    show_picture(screen, picture, chosen, target)


def show_picture(screen: Screen, picture: Picture, format_name: str, target: Path | None) -> None:
    """Write a picture, to stdout or into a file."""
    from envbuild.cli.wording import count, size_text

    text = _text(picture, format_name)
    screen.close()
    if target is None:
        if format_name == "text":
            screen.result(text.rstrip("\n"))
        else:
            click.echo(text, nl=False)
        return
    from envbuild.machine.disk import writing

    data = text.encode()
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        try:
            temporary.write_bytes(data)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    todo = sum(node.state not in {"hit", "not needed"} for node in picture.nodes)
    screen.result(str(target))
    screen.say(
        f"Drew {', '.join(picture.names)} ({picture.platform}): {count(len(picture.nodes), 'derivation')}, "
        f"{todo} to do, {size_text(len(data))}, {screen.elapsed()}"
    )


def _text(picture: Picture, format_name: str) -> str:
    if format_name == "html":
        from envbuild.pictures.page import page_of

        return page_of(picture)
    if format_name == "json":
        import json

        from envbuild.pictures.page import picture_tree

        return json.dumps(picture_tree(picture), indent=2, ensure_ascii=False) + "\n"
    if format_name == "dot":
        from envbuild.pictures.dot import dot_of

        return dot_of(picture)
    from envbuild.pictures.text import text_of

    return text_of(picture)
