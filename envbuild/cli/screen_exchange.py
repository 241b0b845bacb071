"""What ``import``, ``capture`` and ``export`` say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from envbuild.cli.screen import Screen
from envbuild.cli.wording import count

if TYPE_CHECKING:
    from envbuild.exchange.exporting import Exported
    from envbuild.exchange.importing import Imported


def show_imported(screen: Screen, item: Imported) -> None:
    """A recipe that was written, and its lock."""
    from envbuild.projects.project import shown_path

    locked = item.locked
    if screen.document(
        {
            "file": str(item.file),
            "format": item.format,
            "recipe": str(item.recipe),
            "lock": str(locked.path) if locked is not None else None,
            "request": locked.lock.request if locked is not None else None,
            "environments": {one.platform: one.id for one in locked.lock.platforms} if locked is not None else {},
            "notes": list(item.notes),
        }
    ):
        return
    recipe = shown_path(item.recipe)
    screen.result(recipe)
    if locked is None:
        screen.say(f"Imported {shown_path(item.file)} ({item.format}) as {recipe}; lock it: envbuild lock {recipe}")
        return
    totals = ", ".join(f"{one.platform} {count(len(one.names()), 'package')}" for one in locked.lock.platforms)
    screen.say(f"Imported {shown_path(item.file)} ({item.format}) as {recipe} and its lock: {totals}")


def show_exported(screen: Screen, item: Exported) -> None:
    """A file that was written, or its text when it was to go to stdout."""
    from envbuild.projects.project import shown_path

    if screen.document(
        {
            "format": item.format,
            "file": str(item.file) if item.file is not None else None,
            "platforms": list(item.platforms),
            "losses": list(item.losses),
            "text": item.text if item.file is None else None,
        }
    ):
        return
    if item.file is None:
        screen.close()
        click.echo(item.text, nl=False)
    else:
        screen.result(shown_path(item.file))
    for loss in item.losses:
        screen.say(f"note: lost: {loss}")
    where = f" to {shown_path(item.file)}" if item.file is not None else ""
    screen.say(f"Exported {item.name} ({', '.join(item.platforms)}) as {item.format}{where}")
