"""Differences on a terminal, and as JSON."""

from __future__ import annotations

import json
import os
import sys
from textwrap import indent
from typing import TYPE_CHECKING, Any

import click

from envbuild.cli.as_json import JSON_VERSION, tree
from envbuild.cli.errors import printable
from envbuild.cli.wording import count, size_text
from envbuild.review.comparison import WAYS, Compared, Diff, PackageChange
from envbuild.review.wording import (
    counts_words,
    facets,
    head_words,
    on_platforms,
    reason_words,
    request_sign,
    request_words,
    size_sum,
    version_words,
)

if TYPE_CHECKING:
    from envbuild.cli.screen import Screen

_COLOURS = {
    "added": "green",
    "removed": "red",
    "upgraded": "cyan",
    "downgraded": "yellow",
    "rebuilt": "blue",
    "moved": "magenta",
    "changed": "white",
}
_MANY = 12
"""Transitive packages that came or went with their recipe: of more only the number is said."""


def show_diff(screen: Screen, diff: Diff) -> None:
    """Recipe by recipe: what it asks for, then packages, direct ones first."""
    screen.close()
    if screen.as_json:
        _write_json(diff)
        return
    colours = bool(os.environ.get("FORCE_COLOR") or (sys.stdout.isatty() and not os.environ.get("NO_COLOR")))
    for line, colour, bold in (line for item in diff.compared if item.different for line in _lines(item)):
        text = printable(line.replace("\n", "\\n"))  # a name may hold one
        click.echo(click.style(text, fg=colour, bold=bold) if colours and (colour or bold) else text, color=colours)
    different = sum(item.different for item in diff.compared)
    rest = f", {diff.unchanged} the same" if diff.unchanged else ""
    said = f"{count(different, 'recipe')} {'differs' if different == 1 else 'differ'}" if different else "no difference"
    screen.say(f"{diff.before} -> {diff.after}: {said}{rest}, {screen.elapsed()}")


_Line = tuple[str, str | None, bool]


def _lines(item: Compared) -> list[_Line]:
    counts = counts_words(item)
    state = {"renamed": f" (renamed from {item.was})", "added": " (added)", "removed": " (removed)"}.get(item.state, "")
    sizes = tuple(map(size_text, size_sum(item.sizes) or ()))
    bytes_ = f"; {' -> '.join(sizes)} to fetch" if len(set(sizes)) > 1 else ""
    found: list[_Line] = [(f"{item.label}{state}{f': {counts}' if counts else ''}{bytes_}", None, True)]
    found += [(f"  ! {problem}", "red", False) for problem in item.problems]
    found += [(f"  {request_sign(request)} {request_words(request)}", None, False) for request in item.requests]
    found += [(f"  ~ {head_words(head, item.platforms)}", None, False) for head in item.heads]
    quiet = item.state in {"added", "removed"} and sum(not change.direct for change in item.changes) > _MANY
    width = max((len(change.name) for change in item.changes if change.direct or not quiet), default=0)
    for change in item.changes:
        if change.direct or not quiet:
            found.append((_package(change, item, width), _COLOURS[change.how], False))
    if quiet:
        names = {(change.kind, change.name) for change in item.changes if not change.direct}
        found.append((f"  and {len(names)} that these need", None, False))
    return found


def _package(change: PackageChange, item: Compared, width: int) -> str:
    star = "*" if change.direct else " "
    words = [f"  {star} {change.how:<{max(map(len, WAYS))}}  {change.name:<{width}}  {version_words(change)}"]
    words += facets(change)
    if (reason := reason_words(change, change.reason)) is not None:
        words.append(reason)
    return "; ".join(words) + on_platforms(change.platforms, item.platforms)


def _write_json(diff: Diff) -> None:
    """The whole of it for scripts, written recipe by recipe: it may be some hundred megabytes."""
    head = {
        "version": JSON_VERSION,
        "before": diff.before,
        "after": diff.after,
        "different": diff.different,
        "unchanged": diff.unchanged,
        "recipes": [],
    }
    begin, end = json.dumps(head, indent=2, ensure_ascii=False).rsplit("[]", 1)
    click.echo(f"{begin}[", nl=False)
    several = [item for item in diff.compared if item.different]
    for number, item in enumerate(several):
        text = json.dumps(_tree(item), indent=2, ensure_ascii=False)
        click.echo((",\n" if number else "\n") + indent(text, "    "), nl=False)
    click.echo(("\n  ]" if several else "]") + end)


def _tree(item: Compared) -> dict[str, Any]:
    return {
        "label": item.label,
        "state": item.state,
        "was": item.was,
        "platforms": list(item.platforms),
        "requests": [tree(request) for request in item.requests],
        "lock": [tree(head) for head in item.heads],
        "counts": item.counts(),
        "packages": [_change_tree(change) for change in item.changes],
        "sizes": [tree(size) for size in item.sizes],
        "problems": list(item.problems),
    }


def _change_tree(change: PackageChange) -> dict[str, Any]:
    return {
        "name": change.name,
        "kind": change.kind,
        "how": change.how,
        "direct": change.direct,
        "before": change.before.version if change.before else None,
        "after": change.after.version if change.after else None,
        "why": reason_words(change, change.reason),
        "on": [tree(item) for item in change.on],
    }
