"""``log``: what a build printed. Also how a build that was done twice is told."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from envbuild.cli.options import as_json

if TYPE_CHECKING:
    from envbuild.cli.screen import Screen
    from envbuild.environments.builds import BuildLog
    from envbuild.environments.rebuilding import Rebuilt


@click.command("log", short_help="Show what a build printed.")
@click.argument("name")
@click.argument("recipe", required=False, type=click.Path(path_type=Path))
@as_json
def log_command(name: str, recipe: Path | None, as_json: bool) -> None:
    """Show what the newest build of a package printed on this machine, also of one that failed.

    NAME is a package, or 7 digits or more of the key of a build, as `plan` shows it, or of a test of `publish`. With
    RECIPE, only builds of its lock.
    """
    from envbuild.cli.screen import Screen
    from envbuild.session import Session

    screen = Screen(as_json=as_json)
    show_log(screen, Session(reporter=screen.reporter).build_log(name, recipe))


def show_log(screen: Screen, log: BuildLog) -> None:
    """The log on stdout, what it is of on stderr."""
    from envbuild.cli.as_json import tree
    from envbuild.cli.wording import seconds
    from envbuild.digest import short

    if screen.document(_document(tree(log))):
        return
    for line in log.text.splitlines():
        screen.result(line.expandtabs(8))
    if log.state == "failed":
        screen.say(f"{log.name} {log.version} ({short(log.key)}): failed at {log.when}")
        return
    assert log.milliseconds is not None
    if log.state == "passed":
        screen.say(f"{log.name} {log.version} ({short(log.key)}): passed at {log.when} in {seconds(log.milliseconds)}")
        return
    compiler = f", {log.record['compiler']}" if log.record.get("compiler") else ""
    screen.say(
        f"{log.name} {log.version} ({short(log.key)}): built at {log.when} in {seconds(log.milliseconds)}: "
        f"{log.record.get('file', 'a wheel')}{compiler}"
    )


def show_rebuilt(screen: Screen, rebuilt: Rebuilt) -> None:
    """The files that differ on stdout, the verdict on stderr."""
    from envbuild.cli.as_json import tree
    from envbuild.cli.wording import count, seconds

    if screen.document(_document({**tree(rebuilt), "same": rebuilt.same})):
        return
    for text in rebuilt.differences:
        screen.result(text)
    verdict = "the same bytes" if rebuilt.same else f"{count(len(rebuilt.differences), 'difference')}"
    screen.say(
        f"Built {rebuilt.name} {rebuilt.version} again ({rebuilt.file}): {verdict}, {seconds(rebuilt.milliseconds)}"
    )


def _document(words: dict[str, Any]) -> dict[str, Any]:
    """What is told of a package, for the top level of a document, where `version` is the format's."""
    return {"package-version" if name == "version" else name: value for name, value in words.items()}
