"""A comparison as GitHub-flavoured Markdown: a comment of a pull request, short, with details to be opened.

Whatever a recipe, a lock or a channel says stands in code: there nobody is mentioned, no address becomes a link and no
tag is one. A comment has at most 65,536 characters there, so what is too long is left out, and said to be.

Rules of the file: pure.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

from envbuild.review.comparison import Compared, Diff, PackageChange, totals
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

LARGEST = 60_000
"""Characters of a comment."""
MOST_ROWS = 400
"""Rows of one table."""


def markdown(diff: Diff) -> str:
    """The comment, with a line end at its end."""
    different = [item for item in diff.compared if item.different]
    sides = f"{code(diff.before)} → {code(diff.after)}"
    if not different:
        return f"### No environment differs\n\n{sides}\n"
    title = "1 recipe differs" if len(different) == 1 else f"{len(different)} recipes differ"
    sums = ", ".join(f"{number} {way}" for way, number in totals(diff).items())
    same = f"; {diff.unchanged} the same" if diff.unchanged else ""
    parts = [f"### {title}\n\n{sides}{f': {sums}' if sums else ''}{same}\n"]
    room = LARGEST - len(parts[0])
    left: list[Compared] = []
    for number, item in enumerate(different):
        text = _recipe(item, opened=len(different) <= 5)
        if len(text) > room - 200:
            text = _short(item)
        if len(text) > room - 200:
            left = different[number:]
            break
        parts.append(text)
        room -= len(text) + 1
    if left:
        parts.append(f"…and {len(left)} more, for which this comment has no room: `envbuild diff` shows them.\n")
    return "\n".join(parts)


def code(text: str) -> str:
    """Text in a code span that it cannot leave; also in a cell of a table."""
    plain = _plain(text)
    longest = max((len(run) for run in re.findall(r"`+", plain)), default=0)
    fence = "`" * (longest + 1)
    space = " " if plain.startswith("`") or plain.endswith("`") or not plain.strip() else ""
    return f"{fence}{space}{plain}{space}{fence}".replace("|", r"\|") if plain else "` `"


def _plain(text: str) -> str:
    """One line without control characters, and not long."""
    line = "".join(character if character.isprintable() else " " for character in text)
    return line if len(line) <= 300 else f"{line[:299]}…"


def _recipe(item: Compared, *, opened: bool) -> str:
    lines = [_title(item), ""]
    lines += [f"- ⚠️ {code(problem)}" for problem in item.problems]
    lines += [f"- {request_sign(request)} {code(request_words(request))}" for request in item.requests]
    lines += [f"- ~ {code(head_words(head, item.platforms))}" for head in item.heads]
    direct = [change for change in item.changes if change.direct]
    rest = [change for change in item.changes if not change.direct]
    if item.problems or item.requests or item.heads:
        lines.append("")
    if direct and opened:
        lines += [*_table(direct, item), ""]
    elif direct:
        lines += [*_details(f"{_number(direct)} asked for by name", direct, item), ""]
    if rest:
        lines += [*_details(f"{_number(rest)} that these need", rest, item), ""]
    return "\n".join(lines)


def _short(item: Compared) -> str:
    return f"{_title(item)}\n"


def _title(item: Compared) -> str:
    state = {"added": ", added", "removed": ", removed", "renamed": f", was {code(item.was or '')}"}.get(item.state, "")
    sizes = tuple(map(size_words, size_sum(item.sizes) or ()))
    size = f"; {' → '.join(sizes)} to fetch" if len(set(sizes)) > 1 else ""
    counts = counts_words(item)
    return f"**{code(item.label)}**{state}{f': {counts}' if counts else ''}{size}"


def _number(changes: Sequence[PackageChange]) -> str:
    number = len({(change.kind, change.name) for change in changes})
    return f"{number} package{'' if number == 1 else 's'}"


def _details(title: str, changes: Sequence[PackageChange], item: Compared) -> list[str]:
    return [f"<details><summary>{html.escape(title)}</summary>", "", *_table(changes, item), "", "</details>"]


def _table(changes: Sequence[PackageChange], item: Compared) -> list[str]:
    lines = ["| | package | version | why |", "|---|---|---|---|"]
    for change in changes[:MOST_ROWS]:
        how = f"**{change.how}**" if change.how == "downgraded" else change.how
        told = [*facets(change)]
        if (reason := reason_words(change, change.reason)) is not None:
            told.append(reason)
        where = on_platforms(change.platforms, item.platforms).strip()
        if where:
            told.append(where)
        why = "<br>".join(code(text) for text in told)
        lines.append(f"| {how} | {code(change.name)} | {code(version_words(change))} | {why} |")
    if len(changes) > MOST_ROWS:
        lines.append(f"| | {len(changes) - MOST_ROWS} more | | |")
    return lines


def size_words(size: int) -> str:
    """Bytes for people, decimal."""
    amount = float(size)
    for unit in ("B", "kB", "MB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.2f} GB"
