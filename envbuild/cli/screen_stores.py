"""What the commands about shared stores say."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from envbuild.cli.as_json import tree
from envbuild.cli.screen import Screen
from envbuild.cli.wording import count, size_text
from envbuild.digest import short

if TYPE_CHECKING:
    from envbuild.environments.move_verbs import Moved
    from envbuild.environments.store_verbs import StoreInfo
    from envbuild.store.copying import Copied
    from envbuild.store.findings import Finding, StoreReport
    from envbuild.store.taken import Given


def show_info(screen: Screen, stores: Sequence[StoreInfo]) -> None:
    """Each store in a line: what it is trusted with, and what it holds."""
    if screen.document(
        {"stores": [{**tree(item), "results": dict(item.results), "sizes": dict(item.sizes)} for item in stores]}
    ):
        return
    rows = [
        (
            item.name,
            item.mode,
            "yes" if item.believed else "signed" if item.signed else "no",
            "yes" if item.written else "no",
            "-" if item.blobs is None else str(item.blobs),
            "-" if item.size is None else size_text(item.size),
            "-" if item.environments is None else str(item.environments),
            "-" if item.names is None else str(item.names),
            "-" if item.given is None else _given(item.given),
            item.state,
        )
        for item in stores
    ]
    if rows:
        holds = ("blobs", "size", "environments", "names")
        screen.table(("store", "mode", "believed", "written", *holds, "gave in 30 days", "state"), rows)
    if len(stores) == 1:
        _show_one(screen, stores[0])
    for item in stores:
        if item.unfinished and item.since is not None:
            day = time.strftime("%Y-%m-%d", time.gmtime(item.since))
            screen.say(
                f"{item.name} has {count(item.unfinished, 'unfinished upload')}, the oldest of {day}: unseen, but paid "
                "for; a lifecycle rule of the bucket ends them"
            )
    screen.say(count(len(stores), "store"))


def _given(given: Given) -> str:
    """The share of what was missing here that a store gave."""
    return f"{round(100 * given.count / given.wanted) if given.wanted else 0} %, {size_text(given.size)}"


def _show_one(screen: Screen, item: StoreInfo) -> None:
    """What one store holds by kind, and what it was good for."""
    called = {
        "blobs": "files",
        "outputs": "closure digests",
        "refs": "names",
        "requests": "what was locked last",
    }
    if item.sizes:
        screen.say(", ".join(f"{called.get(kind, kind)} {size_text(size)}" for kind, size in item.sizes))
    if item.results:
        screen.say("results: " + ", ".join(f"{number} {kind}" for kind, number in item.results))
    if item.names:
        screen.say(f"{count(item.names, 'name')} with {count(item.generations or 0, 'generation')}")
    if item.given is not None:
        given = item.given
        wanted = count(given.wanted, "file or result", "files and results")
        screen.say(
            f"in 30 days {count(given.runs, 'run')} of this machine lacked {wanted}: "
            f"it gave {given.count} ({_given(given)})"
        )


def show_copied(screen: Screen, copied: Copied) -> None:
    """What was sent, and what stayed behind."""
    if screen.document(tree(copied)):
        return
    for name in copied.damaged:
        screen.result(
            f"{name} is not what its name says, or is not given, and was not copied: see envbuild verify --store"
        )
    for text in copied.diverged:
        screen.result(f"{text}; it stays as it is there")
    screen.say(
        f"Copied {count(copied.blobs, 'blob')} ({size_text(copied.size)}), {count(copied.results, 'result')}, "
        f"{count(copied.environments, 'environment')}, {count(copied.signatures, 'signature')} and "
        f"{count(copied.generations, 'generation')} of names, {screen.elapsed()}"
    )


def show_moved(screen: Screen, moved: Moved, verb: str, preposition: str) -> None:
    """What went or came."""
    if screen.document(tree(moved)):
        return
    if moved.closure is not None:
        screen.result(moved.closure)
    where = f" {preposition} {', '.join(moved.stores)}" if moved.stores else ""
    what = f"{count(moved.blobs, 'blob')} ({size_text(moved.size)})" if moved.blobs else "nothing was missing"
    closure = f", closure {short(moved.closure)}" if moved.closure is not None else ""
    screen.say(
        f"{verb} {moved.name} {short(moved.environment)}{where}: {count(moved.packages, 'package')}, {what}{closure}"
    )


class Told:
    """What is said while a store is walked through: findings as they are found and, on a terminal, how far it is.

    Args:
        screen: Where; findings are said at the end alone where JSON is wanted.
    """

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._moving = not (screen.quiet or screen.as_json) and sys.stderr.isatty()
        self._guard = threading.Lock()

    def __enter__(self) -> Told:
        return self

    def __exit__(self, *_: object) -> None:
        self._clear()

    def progress(self, objects: int, size: int) -> None:
        """How many objects and bytes are done."""
        if self._moving:
            with self._guard:
                self._clear()
                sys.stderr.write(f"{count(objects, 'object')}, {size_text(size)}")
                sys.stderr.flush()

    def finding(self, finding: Finding) -> None:
        """One thing that is wrong."""
        if self._screen.as_json:
            return
        with self._guard:
            self._clear()
            self._screen.result(finding_text(finding))

    def _clear(self) -> None:
        if self._moving:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def finding_text(finding: Finding) -> str:
    """One line: the object, what is wrong with it, and what was done or is to be done."""
    told = {"mended": "mended", "removed": "removed"}.get(finding.done or "", "")
    todo = finding.todo or ("" if told else "--repair mends or removes it")
    return f"{finding.name}: {finding.message}; " + ", ".join(part for part in (told, todo) if part)


def show_verified(screen: Screen, store: str, report: StoreReport) -> None:
    """What was checked and found; findings were said as they were found."""
    if screen.document({"store": store, **tree(report), "strangers": dict(report.strangers)}):
        return
    for part, number in report.strangers:
        screen.say(f"note: {count(number, 'object')} of {part} {'is' if number == 1 else 'are'} none of envbuild's")
    if report.skipped:
        screen.say(f"note: {count(report.skipped, 'blob')} not hashed: a sample was wanted")
    if report.before:
        screen.say(f"note: {count(report.before, 'blob')} not hashed again: found right before it was interrupted")
    done = Counter(finding.done for finding in report.findings)
    rest = "".join(f", {done[each]} {each}" for each in ("mended", "removed") if done[each])
    screen.say(
        f"Verified {store}: {count(report.blobs, 'blob')} ({size_text(report.size)}), "
        f"{count(report.results, 'result')}, {count(report.environments, 'environment')}, "
        f"{count(report.names, 'name')}, {count(report.signatures, 'signature')}: "
        f"{count(len(report.findings), 'finding')}{rest}, {screen.elapsed()}"
    )
