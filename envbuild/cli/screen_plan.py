"""How a plan is told: a line for each derivation, and then what all of it costs.

Rules of the file: values in, lines out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from envbuild.cli.as_json import tree
from envbuild.cli.wording import count, first_few, seconds, size_text
from envbuild.digest import short

if TYPE_CHECKING:
    from envbuild.cli.screen import Screen
    from envbuild.environments.realized import Planned, Row
    from envbuild.price import Moved

_CHAIN = 4
"""Derivations of the longest chain that are named."""


def show_plans(screen: Screen, plans: Sequence[Planned], beside: Mapping[str, Any]) -> None:
    """What would be done, and why, and what it costs; ``beside`` is what a document says besides."""
    if screen.document({"plans": [tree(plan) for plan in plans], **beside}):
        return
    for plan in plans:
        _rows(screen, plan)
        _totals(screen, plan)


def _rows(screen: Screen, plan: Planned) -> None:
    words = {row.key: f"in {row.store}" if row.state == "far" else row.state for row in plan.rows}
    width = max(map(len, [*words.values(), "not needed"]))
    for row in plan.rows:
        told = "; ".join(part for part in (_price(row), _reason(row, plan)) if part)
        line = f"{words[row.key]:<{width}}  {row.kind:<11} {short(row.key)}  {row.label}"
        screen.result(f"{line}  {told}" if told else line)


def _price(row: Row) -> str:
    """What a derivation moves, and from where."""
    if row.source is None:
        return f"reads {size_text(row.size)}" if row.size is not None and row.state == "miss" else ""
    size = size_text(row.moves) if row.moves is not None else "unknown size"
    return size if row.state == "far" else f"{size} from {row.source}"


def _reason(row: Row, plan: Planned) -> str:
    """Why it is to do; where nothing of any recipe was there before, that is said once for all."""
    return "" if row.miss is None or (row.miss.cause == "first" and plan.earlier is None) else row.miss.text


def _totals(screen: Screen, plan: Planned) -> None:
    states = Counter(row.state for row in plan.rows)
    todo = states["miss"] + states["needs build"] + states["far"]
    names = first_few(plan.names)
    if todo and plan.earlier is None and any(row.miss is not None for row in plan.rows):
        screen.say(f"Nothing of {names} was realized here before")
    elif todo and plan.earlier is not None:
        screen.say(f"Compared with what was realized at {plan.earlier}")
    if len(plan.sources) > 1:
        for moved in plan.sources:
            screen.say(f"  {_moved(moved)}")
    chain = _chain(plan)
    if chain:
        screen.say(f"  longest chain: {chain}, {seconds(plan.chain_milliseconds)}")
    builds = f" and {count(plan.builds, 'build')} of unknown length" if plan.builds else ""
    screen.say(
        f"Plan for {names} ({plan.platform}): {states['miss'] + states['needs build']} to do, "
        + (f"{states['far']} in shared stores, " if states["far"] else "")
        + f"{states['hit'] + states['not needed']} already there, {to_fetch(plan)}, "
        f"about {seconds(plan.milliseconds)}{builds}"
    )


def _moved(moved: Moved) -> str:
    """What comes from one source, in words."""
    unknown = f", {count(moved.unknown, 'file')} of unknown size" if moved.unknown else ""
    return f"{size_text(moved.size)} from {moved.source} ({count(moved.files, 'file')}{unknown})"


def _chain(plan: Planned) -> str:
    """The longest chain in words, where it is one."""
    rows = {row.key: row for row in plan.rows}
    named = [f"{rows[key].kind} {rows[key].label}" for key in plan.chain]
    if len(named) < 3:  # a file and its link are no news
        return ""
    if len(named) > _CHAIN:
        named = [*named[: _CHAIN - 1], f"… {len(named) - _CHAIN} more", named[-1]]
    return " -> ".join(named)


def to_fetch(plan: Planned) -> str:
    """The bytes of a plan in words: an index need not tell sizes."""
    unknown = sum(moved.unknown for moved in plan.sources)
    known = sum(moved.size for moved in plan.sources)
    words = f"{count(unknown, 'file')} of unknown size" if unknown else ""
    size = size_text(known) if known or not words else ""
    return " and ".join(part for part in (size, words) if part) + " to fetch"
