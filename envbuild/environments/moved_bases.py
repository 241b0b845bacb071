"""Named bases that have moved since a recipe was locked: told beside other work, and never at a cost of its own.

What a lock recorded stands until ``lock --upgrade-base``, so nothing depends on this: it is a note. A store in a folder
is asked at once, and so is what this machine saw last of any other. A store that a network leads to is asked only by
commands that use the network anyway, on a thread, while the solve or the downloads go on: the answer takes no longer
than the two round trips that each of these begins with. Where it does take longer, it is not waited for.

Rules of the file: every failure is silence; a store that does not answer is told by whoever needs it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from shlex import quote

from envbuild.digest import Digest
from envbuild.environments.naming import Names
from envbuild.errors import EnvbuildError
from envbuild.names import Name, parse_name
from envbuild.package import Platform
from envbuild.store.generation import Generation
from envbuild.value import dataclass

PATIENCE = 2.0
"""Seconds that the end of online work waits for an answer that is under way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Base:
    """A name that a lock recorded, and what it meant then."""

    recipe: str
    name: Name
    request: Digest
    environments: Mapping[Platform, Digest]


class MovedBases:
    """The named bases of the locks of one session.

    Args:
        names: What names mean; opened when the first base is expected.
        online: Whether a network may be used.
        note: Told what moved, in the thread that calls ``tell``.
    """

    def __init__(self, names: Callable[[], Names], *, online: bool, note: Callable[[str], None]) -> None:
        self._open = names
        self._online = online
        self._note = note
        self._names: Names | None = None
        self._bases: dict[tuple[str, Name], _Base] = {}
        self._now: dict[Name, Generation] = {}
        self._asked: dict[Name, threading.Event] = {}

    def expect(
        self, recipe: str, label: str, request: Digest, environments: tuple[tuple[Platform, Digest], ...]
    ) -> None:
        """A base that a lock recorded: tell when it means something else by now.

        Args:
            recipe: The recipe's file, for people.
            label: ``name:…``; an id and a tag that is written once mean the same for ever.
            request: What it meant.
            environments: Likewise.
        """
        kind, _, text = label.partition(":")
        name = parse_name(text) if kind == "name" else None
        if name is None or not name.movable:
            return
        self._bases[recipe, name] = _Base(recipe=recipe, name=name, request=request, environments=dict(environments))
        with suppress(EnvbuildError):
            self._names = self._names or self._open()
            known = self._names.glance(name)
            if known is not None:
                self._now[name] = known

    def ask(self) -> None:
        """Begin to ask a far store; for commands that use the network anyway."""
        names = self._names
        if names is None or names.near or not self._online:
            return
        for name in {base.name for base in self._bases.values()} - self._asked.keys():
            answered = self._asked[name] = threading.Event()
            threading.Thread(target=self._find, args=(names, name, answered), daemon=True).start()

    def _find(self, names: Names, name: Name, answered: threading.Event) -> None:
        with suppress(EnvbuildError, OSError):
            found = names.find(name)
            if found is not None:
                self._now[name] = found
        answered.set()

    def tell(self, *, wait: bool = False) -> None:
        """Say what has moved, once each.

        Args:
            wait: Whether the command used the network, so that an answer under way is worth a moment.
        """
        for key, base in list(self._bases.items()):
            if wait and base.name in self._asked:
                self._asked[base.name].wait(PATIENCE)
            now = self._now.get(base.name)
            if now is not None and (now.named.request, dict(now.named.environments)) != (
                base.request,
                base.environments,
            ):
                del self._bases[key]
                if now.named.removed:
                    self._note(f"{base.name} was removed since {base.recipe} was locked; the lock holds what it meant")
                    continue
                self._note(
                    f"{base.name} has moved since {base.recipe} was locked (generation {now.number} now): "
                    f"envbuild lock {quote(base.recipe)} --upgrade-base"
                )
