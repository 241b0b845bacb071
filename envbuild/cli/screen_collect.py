"""What the collection of a shared store says."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from envbuild.cli.as_json import tree
from envbuild.cli.screen import Screen
from envbuild.cli.wording import count, size_text
from envbuild.digest import short
from envbuild.durations import span

if TYPE_CHECKING:
    from envbuild.environments.collect_verbs import Pin
    from envbuild.objects import Listed
    from envbuild.store.collected import Collected, Share

DAY = 86400.0


class Telling:
    """What is said meanwhile: of a dry run each object; on a terminal, how far it is.

    Args:
        screen: Where.
        dry_run: Whether objects are told; where JSON is wanted they are not.
    """

    def __init__(self, screen: Screen, *, dry_run: bool) -> None:
        self._screen = screen
        self._telling = dry_run and not screen.as_json
        self._moving = not (screen.quiet or screen.as_json) and sys.stderr.isatty()
        self._done: dict[str, int] = {}
        self._guard = threading.Lock()

    def __enter__(self) -> Telling:
        return self

    def __exit__(self, *_: object) -> None:
        self._clear()

    def tell(self, verb: str, item: Listed) -> None:
        """One object that would go: now, or later."""
        if self._telling:
            with self._guard:
                self._clear()
                self._screen.result(f"{verb:<8}  {size_text(item.size):>8}  {item.name}")

    def step(self, what: str, number: int) -> None:
        """So many more were looked at."""
        self._done[what] = self._done.get(what, 0) + number
        if self._moving:
            with self._guard:
                self._clear()
                sys.stderr.write(f"{what}: {self._done[what]}")
                sys.stderr.flush()

    def _clear(self) -> None:
        if self._moving:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def show_collected(screen: Screen, found: Collected, store: str, pins: Sequence[Pin], *, dry_run: bool) -> None:
    """What went, what stays, and what goes next."""
    document = {"store": store, "dry-run": dry_run, **tree(found)}
    if screen.document({**document, "pins": [tree(pin) for pin in pins]}):
        return
    nothing = found.removed == type(found.removed)()
    verb = "Would remove" if dry_run else "Removed"
    parts = [f"{verb} {'nothing' if nothing else _words(found.removed)} from {store}"]
    if found.kept is not None:
        parts.append(f"{_words(found.kept)} stay")
    if found.announced and found.due is not None:
        several = found.announced > 1
        announced = f"{count(found.announced, 'object')} ({size_text(found.announced_size)})"
        be = "would be" if dry_run else ("are" if several else "is")
        parts.append(f"{announced} {be} announced, and {'go' if several else 'goes'} with a gc {_when(found.due)}")
    screen.say("; ".join(parts) + f"; {screen.elapsed()}")


def _when(due: float) -> str:
    """When a collection may delete: whole days that are begun count."""
    if due <= 0:
        return "from now on"
    return f"in {span(-(-due // DAY) * DAY if due > DAY else due)} or later"


def show_pins(screen: Screen, pins: Sequence[Pin], store: str, pinned: bool) -> None:
    """What is pinned, or is not any more."""
    if screen.document({"store": store, "pinned" if pinned else "unpinned": [tree(pin) for pin in pins]}):
        return
    names = ", ".join(dict.fromkeys(pin.of for pin in pins))
    what = count(len(pins), "environment")
    ids = ", ".join(short(pin.environment) for pin in pins)
    if pinned:
        screen.say(f"Pinned {names} in {store}: {what} ({ids}), kept until envbuild gc --store {store} --unpin {names}")
    else:
        screen.say(f"Unpinned {names} in {store}: {what} ({ids})")


def _words(share: Share) -> str:
    return (
        f"{count(share.environments, 'environment')}, {count(share.results, 'result')} and "
        f"{count(share.blobs, 'blob')} ({size_text(share.size)})"
    )
