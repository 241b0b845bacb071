"""What ``remove`` says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from envbuild.cli.as_json import tree
from envbuild.cli.screen import Screen
from envbuild.cli.screen_names import generation_tree
from envbuild.cli.wording import count, size_text
from envbuild.digest import short

if TYPE_CHECKING:
    from envbuild.environments.remove_verbs import Removed


def show_removed(screen: Screen, removed: Removed, *, dry_run: bool) -> None:
    """What went, one a line on stdout: names, prefixes, links."""
    names = [{"written": item.written, **generation_tree(item.now)} for item in removed.names]
    if screen.document(
        {"dry-run": dry_run, "names": names, "environments": [tree(item) for item in removed.environments]}
    ):
        return
    would = "Would remove" if dry_run else "Removed"
    for item in removed.names:
        screen.result(str(item.now.name))
        if item.written and item.before is not None:
            screen.say(
                f"{item.now.name} means nothing now: generation {item.now.number}; it was {item.before.named}; "
                f"`envbuild rollback {item.now.name}` brings it back"
            )
        elif item.now.named.removed:
            screen.say(f"{item.now.name} means nothing already, since {item.now.created}")
        else:
            screen.say(f"{would} {item.now.name}, generation {item.now.number}: {item.now.named}")
    for gone in removed.environments:
        for path in (*([gone.prefix] if gone.prefix is not None else []), *gone.links):
            screen.result(str(path))
        for link in gone.staying:
            screen.say(f"note: {gone.name} stays: {link} points to it")
    prefixes = [item for item in removed.environments if item.prefix is not None]
    links = sum(len(item.links) for item in removed.environments)
    if prefixes or links:
        called = ", ".join(f"{item.name or '-'} {short(item.environment) or '-'}" for item in removed.environments)
        freed = f", {size_text(sum(item.size for item in prefixes))} free" if prefixes else ""
        stay = "; their packages stay until `envbuild gc`" if prefixes else ""
        screen.say(
            f"{would} {called}: {count(len(prefixes), 'prefix', 'prefixes')} and {count(links, 'link')}{freed}{stay}, "
            f"{screen.elapsed()}"
        )
