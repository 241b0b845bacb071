"""What the commands about shared stores say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from envbuild.cli.screen import Screen, tree
from envbuild.cli.wording import count, size_text
from envbuild.digest import short

if TYPE_CHECKING:
    from envbuild.environments.store_verbs import Moved, StoreInfo
    from envbuild.store.copying import Copied


def show_info(screen: Screen, stores: Sequence[StoreInfo]) -> None:
    """Each store in a line: what it is trusted with, and what it holds."""
    if screen.document({"stores": [{**tree(item), "results": dict(item.results)} for item in stores]}):
        return
    rows = [
        (
            item.name,
            item.mode,
            "yes" if item.believed else "no",
            "yes" if item.written else "no",
            "-" if item.blobs is None else str(item.blobs),
            "-" if item.size is None else size_text(item.size),
            "-" if item.environments is None else str(item.environments),
            item.state,
        )
        for item in stores
    ]
    if rows:
        screen.table(("store", "mode", "believed", "written", "blobs", "size", "environments", "state"), rows)
    screen.say(count(len(stores), "store"))


def show_copied(screen: Screen, copied: Copied) -> None:
    """What was sent, and what stayed behind."""
    if screen.document(tree(copied)):
        return
    for name in copied.damaged:
        screen.say(f"note: {name} is not what its name says; it was not copied")
    screen.say(
        f"Copied {count(copied.blobs, 'blob')} ({size_text(copied.size)}), {count(copied.results, 'result')} and "
        f"{count(copied.environments, 'environment')}"
    )


def show_moved(screen: Screen, moved: Moved, verb: str, preposition: str) -> None:
    """What went or came."""
    if screen.document(tree(moved)):
        return
    where = f" {preposition} {', '.join(moved.stores)}" if moved.stores else ""
    what = f"{count(moved.blobs, 'blob')} ({size_text(moved.size)})" if moved.blobs else "nothing was missing"
    screen.say(f"{verb} {moved.name} {short(moved.environment)}{where}: {count(moved.packages, 'package')}, {what}")
