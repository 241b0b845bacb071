"""What names mean: asked of the one store that says so, or remembered.

A tag that moves is asked of that store each time; one that is written once is believed as it was first seen. Without a
network the answer is what was last seen, and it is said how old that is.

Rules of the file: reads; how generations are kept is ``envbuild.store.names``'.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from shlex import quote
from typing import TypeVar

from envbuild.durations import span
from envbuild.environments.name_stores import NameStore
from envbuild.errors import EnvbuildError, IntegrityError, InvalidInput, StaleError, UnreachableError
from envbuild.names import Name
from envbuild.objects import Objects
from envbuild.store import names as generations
from envbuild.store.generation import Generation
from envbuild.store.names_seen import Remembered, Seen
from envbuild.store.parallel import IN_FLIGHT, in_parallel
from envbuild.store.signed_names import Found

_Answer = TypeVar("_Answer")

_SHOWN = 5
_NO_NAME = "`envbuild list` shows what there is, `envbuild alias RECIPE {name}` names one"


class KnownNames:
    """What names mean.

    Args:
        store: The store that says so; see ``authority``.
        folder: Where this machine remembers what it saw: ``names/`` of the home.
        offline: Use no network.
        note: Told how old an answer is that the store was not asked for.
        unbelieved: Which configured stores have no say, and what to type when they should; empty where there are none.
    """

    def __init__(
        self, store: NameStore, folder: Path, *, offline: bool, note: Callable[[str], None], unbelieved: str = ""
    ) -> None:
        self._unbelieved = unbelieved
        self._store = store
        self._objects = store.objects
        self._signed = store.signed
        self._seen = Seen(folder, store.objects.address)
        self._offline = offline and not store.near
        self._note = note

    @property
    def address(self) -> str:
        """Where names are, as people may see it."""
        return self._objects.address

    @property
    def objects(self) -> Objects:
        """The store that has them."""
        return self._objects

    @property
    def near(self) -> bool:
        """Whether they are known without a network."""
        return self._store.near

    @property
    def side_by_side(self) -> int:
        """How many names are best asked for at once: one where there may be something to say of each."""
        return 1 if self.near or self._offline or self._signed.policy is not None else IN_FLIGHT

    def glance(self, name: Name) -> Generation | None:
        """What a name means, as far as that is known without a network: of a far store, what was seen last.

        Raises:
            UnreachableError, IntegrityError: As ``find``, of a near store.
        """
        if self.near:
            return self.find(name)
        seen = self._counting(self._seen.get(name))
        return seen.generation if seen is not None else None

    def find(self, name: Name) -> Generation | None:
        """What a name means now; None when it is not there.

        Raises:
            UnreachableError: When the store does not answer; ``offline`` when it may not be asked and was never.
            IntegrityError: When the store contradicts itself, or what it said before; ``unsigned-name`` when it is not
                signed as it should be.
        """
        known = self._seen.get(name)
        seen = self._counting(known)
        if seen is not None and not name.movable and not seen.generation.named.removed:
            return seen.generation
        if self._offline:
            if seen is None and known is not None:
                lacking = self._signed.vouched(known.generation, known.proof).lacking
                raise self._unsigned(known.generation, f"as it was last seen, {lacking}")
            if seen is None:
                raise UnreachableError(
                    f"{name} was never seen on this machine, and {self.address} may not be asked",
                    reference="offline",
                    hint="leave --offline out once, or name an id",
                )
            self._note(
                f"{name} as {self.address} had it {span(seen.age)} ago (generation {seen.generation.number}): offline"
            )
            return seen.generation
        found = self._found(name, known)
        if found.lacking and (found.generation is None or self._is_strict):
            raise self._unsigned(found.newest, found.lacking)
        if found.lacking and found.newest is not None and found.generation is not None:
            self._note(
                f"{name} is used as generation {found.generation.number} has it: "
                f"generation {found.newest.number} does not count, {found.lacking}"
            )
        if found.generation is not None:
            self._seen.keep(found.generation, found.envelopes)
        return found.generation

    @property
    def _is_strict(self) -> bool:
        return self._signed.policy is not None and self._signed.policy.trust.mode == "strict"

    def _found(self, name: Name, seen: Remembered | None) -> Found:
        known, proof = (seen.generation, seen.proof) if seen is not None else (None, ())
        return self._asking(name, lambda: self._signed.current(name, known, proof))

    def _counting(self, seen: Remembered | None) -> Remembered | None:
        """What is remembered, when it counts today: keys come and go."""
        if seen is None or self._signed.policy is None:
            return seen
        return seen if self._signed.vouched(seen.generation, seen.proof).payload is not None else None

    def _unsigned(self, generation: Generation | None, lacking: str) -> IntegrityError:
        what = f"{generation.name}, generation {generation.number}," if generation is not None else "the name"
        return IntegrityError(
            f"{what} in {self.address} does not count: {lacking}",
            reference="unsigned-name",
            hint=f"whoever has a key types: envbuild store sign {quote(self.address)}"
            + (f" {generation.name}" if generation else ""),
        )

    def get(self, name: Name) -> Generation:
        """What a name means now.

        Raises:
            InvalidInput: ``unknown-name``; ``removed-name`` with since when.
            UnreachableError, IntegrityError: As ``find``; ``no-store``.
        """
        now = self._known(name)
        if now.named.removed:
            raise InvalidInput(
                f"{name} was removed: since {now.created} (generation {now.number}) it means nothing in {self.address}",
                reference="removed-name",
                hint=f"what it meant is in `envbuild history {name}`; `envbuild rollback {name}` brings it back",
            )
        return now

    def _known(self, name: Name) -> Generation:
        """What a name means now, which may be nothing any more."""
        now = self.find(name)
        if now is None:
            self._check_store()
            raise InvalidInput(
                f"there is no environment named {name} in {self.address}",
                reference="unknown-name",
                hint=self._unbelieved or self._other_tags(name) or _NO_NAME.format(name=name),
            )
        return now

    def _other_tags(self, name: Name) -> str | None:
        """What to type where the name is known, and the tag is not; None when there is none, or nobody may be asked."""
        if self._offline:
            return None
        try:
            there = [item for item in generations.listed(self._objects, name.path).items() if item[0].path == name.path]
            read = [generations.read(self._objects, *item) for item in there[:_SHOWN]]
        except EnvbuildError:  # a hint is no reason to fail otherwise
            return None
        tags = [str(item.name) for item in read if item and not item.named.removed and item.name != name]
        return f"there is {', '.join(tags)}{', …' if len(there) > _SHOWN else ''}" if tags else None

    def _remembered(self, name: Name) -> Generation | None:
        seen = self._seen.get(name)
        return seen.generation if seen is not None else None

    def look(self, name: Name) -> tuple[int, Generation | None]:
        """What a name means now, and the generation that a move of it may expect: also one that does not count.

        Raises:
            UnreachableError, IntegrityError: As ``find``.
        """
        newest = 0
        if self._signed.policy is not None and not self._offline:  # first, so that nobody comes between unseen
            there = self._asking(name, lambda: generations.current(self._objects, name, self._remembered(name)))
            newest = there.number if there is not None else 0
        found = self.find(name)
        return max(newest, found.number if found is not None else 0), found

    def history(self, name: Name) -> tuple[Generation, ...]:
        """Every generation, the newest first.

        Raises:
            InvalidInput: ``unknown-name``.
            UnreachableError: Also ``offline``: one generation is all that is remembered.
            IntegrityError: When one does not continue the one before.
        """
        self._online(f"the history of {name}")
        return tuple(generations.history(self._objects, name, self._known(name)))

    def listed(self) -> tuple[Generation, ...]:
        """Every name that means something, with what it means, by listing the store.

        One that cannot be believed is left out, which is said: it keeps nobody from the others.

        Raises:
            UnreachableError: When the store does not answer, or may not be asked.
        """
        self._online("what a shared store names")
        there = generations.listed(self._objects)
        if not there:
            self._check_store()
        if self._signed.policy is None:
            read = in_parallel(
                lambda item: _believed(lambda: generations.read(self._objects, *item)),
                there.items(),
                1 if self.near else IN_FLIGHT,
            )
            for damaged in sorted(str(item) for item in read if isinstance(item, IntegrityError)):
                self._note(f"a name is left out: {damaged}")
            found = [item for item in read if isinstance(item, Generation) and not item.named.removed]
            return tuple(sorted(found, key=lambda item: (item.name.path, item.name.tag)))
        counting = {}
        for name in there:
            vouched = _believed(partial(self._found, name, None))
            if isinstance(vouched, IntegrityError):
                self._note(f"a name is left out: {vouched}")
            else:
                counting[name] = vouched
        if left := [str(name) for name, item in counting.items() if item.generation is None]:
            more = f", and {len(left) - 1} more" if len(left) > 1 else ""
            self._note(f"{left[0]}{more} in {self.address} does not count: {_first_reason(counting.values())}")
        return tuple(
            item.generation
            for item in counting.values()
            if item.generation is not None and not item.generation.named.removed
        )

    def _online(self, what: str) -> None:
        if self._offline:
            raise UnreachableError(f"{what} needs {self.address}", reference="offline", hint="leave --offline out")

    def _check_store(self) -> None:
        """What a store lacks tells something where there is a store: a folder may not be mounted, a path mistyped.

        Raises:
            UnreachableError: ``no-store``; when it does not answer.
            StaleError: ``store-format``.
        """
        if not self._store.home:
            from envbuild.store.shared import SharedStore

            if SharedStore(self.address, lambda: self._objects).use() == "none":
                raise StaleError(f"{self.address} is a store of another version of envbuild", reference="store-format")

    def _asking(self, name: Name, ask: Callable[[], _Answer]) -> _Answer:
        """An answer of the store; when it went back, with what to do if that is right."""
        try:
            return ask()
        except UnreachableError as error:
            if error.retryable and error.hint is None and (seen := self._seen.get(name)) is not None:
                error.hint = f"--offline takes what was seen last, generation {seen.generation.number}"
            raise
        except IntegrityError as error:
            if error.reference != "name-rolled-back":
                raise
            self._check_store()
            raise IntegrityError(error.message, reference=error.reference, hint=self._seen.forget_hint(name)) from None


def _believed(ask: Callable[[], _Answer]) -> _Answer | IntegrityError:
    """An answer, or why it cannot be believed."""
    try:
        return ask()
    except IntegrityError as error:
        return error


def _first_reason(found: Iterable[Found]) -> str:
    """Why the first of some names does not count."""
    return next((item.lacking for item in found if item.generation is None), "")
