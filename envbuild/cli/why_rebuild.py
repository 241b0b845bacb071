"""``why-rebuild``: the inputs in which two builds differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from envbuild.cli.options import as_json, complete_source, locking_mode, offline, stores

if TYPE_CHECKING:
    from envbuild.cli.screen import Screen
    from envbuild.environments.rebuild_verbs import WhyRebuild
    from envbuild.rebuilds import Rebuild


@click.command("why-rebuild", short_help="Say which inputs of two builds differ.")
@click.argument("first", metavar="A", type=click.Path(), shell_complete=complete_source)
@click.argument("second", metavar="[B]", required=False, type=click.Path(), shell_complete=complete_source)
@locking_mode
@offline
@stores
@as_json
def why_rebuild_command(
    first: str,
    second: str | None,
    locked: bool,
    frozen: bool,
    offline: bool,
    stores: tuple[str, ...],
    as_json: bool,
) -> None:
    """Say why something is built again: the inputs in which the key documents of two builds differ.

    envbuild why-rebuild recipes/train.yaml

    A alone is a recipe, compared with the version of it that was realized last on this machine. A and B are each a
    SOURCE, or 7 digits or more of a derivation's key as `plan` shows it.
    """
    from envbuild.cli.screen import Screen
    from envbuild.environments.realized import mode
    from envbuild.session import Session

    screen = Screen(as_json=as_json)
    session = Session(reporter=screen.reporter, offline=offline, stores=stores)
    show_why_rebuild(screen, session.why_rebuild(first, second, mode=mode(locked=locked, frozen=frozen)))


def show_why_rebuild(screen: Screen, answer: WhyRebuild) -> None:
    """Each derivation with its reasons on stdout, what was compared on stderr."""
    from envbuild.cli.as_json import tree
    from envbuild.cli.wording import count

    if screen.document(tree(answer)):
        return
    for item in answer.rebuilds:
        screen.result(_title(item))
        for reason in item.reasons:
            screen.result(f"  {reason}")
        for told in item.told:
            screen.result(f"  recorded, and in no key: {told.name} {_value(told.before)} -> {_value(told.after)}")
    for label in answer.gone:
        screen.result(f"gone     {label}: nothing differs; it is not here any more")
    number = {word: sum(item.change == word for item in answer.rebuilds) for word in ("changed", "added", "removed")}
    differ = ", ".join(f"{number[word]} {word}" for word in number if number[word]) or "nothing differs"
    screen.say(f"{answer.after}, against {answer.before}: {differ}, {count(answer.same, 'derivation')} the same")


def _title(item: Rebuild) -> str:
    from envbuild.digest import short

    keys = " -> ".join(short(key) for key in (item.before, item.after) if key is not None)
    return f"{item.change:<8} {item.kind} {item.label}  {keys}"


def _value(text: str | None) -> str:
    return "nothing" if text is None else text
