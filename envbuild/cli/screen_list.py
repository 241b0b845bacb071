"""What ``list`` says: the environments of this machine, the names that there are, and what a store holds."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from envbuild.cli.as_json import tree
from envbuild.cli.screen import Screen
from envbuild.cli.screen_names import generation_tree, show_names
from envbuild.cli.wording import count, size_text
from envbuild.digest import short

if TYPE_CHECKING:
    from envbuild.environments.inventory import Present
    from envbuild.environments.look_verbs import Stored
    from envbuild.store.generation import Generation

NAMES_SHOWN = 2
"""Names of one environment that are said; JSON has all."""


def show_list(
    screen: Screen, items: Sequence[Present], names: Sequence[Generation], stored: Sequence[Stored] | None
) -> None:
    """The environments of this machine, what has a name, and what the stores hold that were named."""
    called: dict[str, list[str]] = {}
    for generation in names:
        for _, environment in generation.named.environments:
            called.setdefault(environment, []).append(str(generation.name))
    here: dict[str, list[str]] = {}
    for item in items:
        here.setdefault(item.environment, []).append(str(item.prefix))
    if screen.document(_document(items, names, stored, called, here)):
        return
    tables = 0
    if items:
        titles = ("name", "platform", "environment", "packages", "size", "last used", "names", "where")
        screen.table(titles, [_row(item, called.get(item.environment, ())) for item in items])
        tables += 1
    if names:
        screen.result("") if tables else None
        show_names(screen, names)
        tables += 1
    if stored:
        screen.result("") if tables else None
        columns = ("store", "platform", "environment", "since", "names", "here")
        screen.table(columns, [_stored_row(item, called, here) for item in stored])
    totals = [count(len(items), "environment")]
    totals += [count(len(names), "name")] if names else []
    totals += [f"{count(len(stored), 'environment')} in the store"] if stored is not None else []
    screen.say(", ".join(totals))


def _document(
    items: Sequence[Present],
    names: Sequence[Generation],
    stored: Sequence[Stored] | None,
    called: dict[str, list[str]],
    here: dict[str, list[str]],
) -> dict[str, Any]:
    document: dict[str, Any] = {
        "environments": [{**tree(item), "names": called.get(item.environment, [])} for item in items],
        "names": [
            {
                **generation_tree(item),
                "present": [prefix for _, one in item.named.environments for prefix in here.get(one, [])],
            }
            for item in names
        ],
    }
    if stored is not None:
        document["stored"] = [
            {
                "store": item.store,
                **tree(item.identity),
                "since": item.since,
                "names": called.get(item.identity.environment, []),
                "present": here.get(item.identity.environment, []),
            }
            for item in stored
        ]
    return document


def _row(item: Present, called: Sequence[str]) -> tuple[str, ...]:
    where = item.links[0] if item.links else str(item.prefix)
    return (
        item.name or "-",
        item.platform or "-",
        short(item.environment) if item.environment else "-",
        _packages(item),
        size_text(item.size) if item.size is not None else "-",
        _moment(item.used),
        _some(called),
        where + (f" (and {len(item.links) - 1} more)" if len(item.links) > 1 else ""),
    )


def _packages(item: Present) -> str:
    """How many; two environments may have the same packages, and differ in whether these are compiled."""
    if item.packages is None:
        return "-"
    return f"{item.packages} (compiled)" if item.bytecode else str(item.packages)


def _stored_row(item: Stored, called: dict[str, list[str]], here: dict[str, list[str]]) -> tuple[str, ...]:
    identity = item.identity
    return (
        item.store,
        identity.platform,
        f"{short(identity.request)}:{short(identity.environment)}",
        _moment(item.since),
        _some(called.get(identity.environment, ())),
        "yes" if identity.environment in here else "no",
    )


def _some(called: Sequence[str]) -> str:
    more = f" and {len(called) - NAMES_SHOWN} more" if len(called) > NAMES_SHOWN else ""
    return ", ".join(called[:NAMES_SHOWN]) + more or "-"


def _moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
