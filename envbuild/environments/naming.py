"""Names as a session uses them: one store has them, this machine remembers them, ids and closures are found by them.

One store says what names mean: the first shared store that may be written, else the first shared store, else the home's
own. Two would be two truths (ADR 29). A tag that moves is asked of that store each time; one that is written once is
believed as it was first seen. Without a network the answer is what was last seen, and it is said how old that is.

Rules of the file: decides; how generations are kept is ``envbuild.store.names``'.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, TypeVar

from envbuild.durations import span
from envbuild.errors import IntegrityError, InvalidInput, StaleError, UnreachableError, UsageError
from envbuild.names import Name
from envbuild.objects import Objects
from envbuild.store import names as generations
from envbuild.store.generation import Generation, Named, Published
from envbuild.store.names import Moved
from envbuild.store.names_seen import Remembered, Seen
from envbuild.store.parallel import IN_FLIGHT, in_parallel
from envbuild.store.signed_names import Found, SignedNames
from envbuild.value import dataclass

if TYPE_CHECKING:
    from envbuild.store.holding import Holder
    from envbuild.store.signatures import Policy, Signer

_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class NameStore:
    """A store that may have names and closures.

    Attributes:
        writable: Whether it may be written.
        near: Whether it answers without a network.
        home: Whether it is the home's own, which no other version and no server has a hand in.
        policy: What must be signed of it before it counts; None where its word is enough.
        signer: Gives the key that signs what is moved there; None for nobody.
    """

    objects: Objects
    writable: bool = True
    near: bool = False
    home: bool = False
    policy: Policy | None = None
    signer: Callable[[], Signer] | None = None

    @property
    def signed(self) -> SignedNames:
        """Its names, with what is wanted signed of them."""
        return SignedNames(self.objects, self.policy, self.signer if self.writable else None)


def authority(shared: Sequence[NameStore], home: NameStore) -> NameStore:
    """The one store that says what names mean."""
    return next((store for store in shared if store.writable), shared[0] if shared else home)


class Names:
    """What names mean, and how they come to mean it.

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
        self._ready = False
        self._holder: Holder | None = None

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
            UnreachableError, IntegrityError: As ``find``.
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
            raise InvalidInput(
                f"there is no environment named {name} in {self.address}",
                reference="unknown-name",
                hint=self._unbelieved
                or f"`envbuild list` shows what there is, `envbuild alias RECIPE {name}` names one",
            )
        return now

    def remove(self, name: Name, *, expect: int | None = None, dry_run: bool = False) -> Moved:
        """Let a name mean nothing any more: a further generation, so that its past stays and a later one can follow.

        Args:
            name: Which.
            expect: See ``move``.
            dry_run: Only look; what is given back says what would be removed.

        Raises:
            InvalidInput: ``unknown-name``.
            NameConflictError, UnreachableError, StaleError: As ``move``.
        """
        if not dry_run:
            self.check_writable(name)
        self._online(f"removing {name}")
        found = self._asking(name, lambda: generations.current(self._objects, name, self._remembered(name)))
        now = found if found is not None else self._known(name)
        if dry_run or now.named.removed:
            return Moved(now=now, written=False, before=None)
        return self.move(name, Named(request=now.named.request, environments=()), expect=expect)

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

    def move(self, name: Name, named: Named, *, expect: int | None = None, published: Published | None = None) -> Moved:
        """Make a name mean some environments; see ``envbuild.store.names.move``.

        Raises:
            NameConflictError: ``name-taken``, ``name-moved``.
            UnreachableError: ``read-only`` for a store that may not be written, ``overwrites`` and ``unfit`` for one in
                which a name could be lost, ``no-store``, ``offline``, and when it fails; ``being-collected`` when a
                collection is deleting what it is to mean.
            StaleError: ``store-format`` for a store of another version.
            UsageError: ``no-key`` where only what is signed counts, and there is no key here.
        """
        self.check_writable(name)
        if self._signed.policy is not None and not self._signed.signs:
            raise UsageError(
                f"{name} would not count: only what is signed does, and no key is configured here",
                reference="no-key",
                hint="name one: `signing-key` in your configuration, or ENVBUILD_SIGNING_KEY",
            )
        if self._holder is not None:
            from envbuild.store.object_names import closure_name

            self._holder.hold(closure_name(platform, named.request, item) for platform, item in named.environments)
        seen = self._seen.get(name)
        known = seen.generation if seen is not None else None
        moved = self._asking(
            name,
            lambda: generations.move(self._objects, name, named, expect=expect, seen=known, published=published),
        )
        self._signed.sign(moved.now)
        if self._store.home and self._unbelieved:
            self._note(f"{name} is named on this machine alone: {self._unbelieved}")
        if self._signed.policy is None:
            self._seen.keep(moved.now)
            return moved
        vouched = self._signed.look(moved.now)
        if vouched.payload is None:
            self._note(f"{name}, generation {moved.now.number}, does not count yet: {vouched.lacking}")
        else:
            self._seen.keep(moved.now, vouched.envelopes)
        return moved

    def check_writable(self, name: Name) -> None:
        """Refuse to move a name where that cannot be: before anything else is written for it.

        Raises:
            UnreachableError, StaleError: As ``move``.
        """
        if not self._store.writable:
            raise UnreachableError(
                f"{self.address} may only be read here, so {name} cannot be moved",
                reference="read-only",
                hint="name a store with `mode: read-write` before it, or move the name where that is allowed",
            )
        self._online(f"moving {name}")
        if not self._store.home and not self._ready:
            _refuse_unfit(self._store)
            from envbuild.store.holding import Holder

            self._holder = Holder(self._objects)  # before closures are looked at that are there already
            self._ready = True

    def history(self, name: Name) -> tuple[Generation, ...]:
        """Every generation, the newest first.

        Raises:
            InvalidInput: ``unknown-name``.
            UnreachableError: Also ``offline``: one generation is all that is remembered.
            IntegrityError: When one does not continue the one before.
        """
        self._online(f"the history of {name}")
        return tuple(generations.history(self._objects, name, self._known(name)))

    def rollback(self, name: Name, to: int | None = None) -> Moved:
        """A new generation that means what an earlier one meant.

        Args:
            name: Which.
            to: The earlier generation; by default the last one that meant something else.

        Raises:
            InvalidInput: ``unknown-name``, ``unknown-generation``.
            NameConflictError: ``name-moved`` when somebody else moves it meanwhile; ``name-taken``.
        """
        past = self.history(name)
        newest = past[0].number
        if self._signed.policy is not None:  # what somebody slipped in is nothing to go back to
            newest = (self._asking(name, lambda: generations.current(self._objects, name)) or past[0]).number
            past = tuple(item for item in past if self._signed.look(item).payload is not None)
        now, earlier = past[0], past[1:]
        slipped_in = newest != now.number  # then what counts now is what it meant before
        wanted = (
            now
            if slipped_in and to is None
            else next((item for item in earlier if item.named != now.named and not item.named.removed), None)
            if to is None
            else next((item for item in past if item.number == to and not item.named.removed), None)
        )
        if wanted is None:
            raise InvalidInput(
                f"{name} never meant anything else" if to is None else f"{name} has no generation {to}",
                reference="unknown-generation",
                hint=f"envbuild history {name}",
            )
        return self.move(name, wanted.named, expect=newest)

    def listed(self) -> tuple[Generation, ...]:
        """Every name that means something, with what it means, by listing the store.

        Raises:
            UnreachableError: When the store does not answer, or may not be asked.
        """
        self._online("the names of a shared store")
        there = generations.listed(self._objects)
        if self._signed.policy is None:
            read = in_parallel(
                lambda item: generations.read(self._objects, *item), there.items(), 1 if self.near else IN_FLIGHT
            )
            found = [item for item in read if item is not None and not item.named.removed]
            return tuple(sorted(found, key=lambda item: (item.name.path, item.name.tag)))
        counting = {name: self._found(name, None) for name in there}
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
            raise IntegrityError(error.message, reference=error.reference, hint=self._seen.forget_hint(name)) from None


def _first_reason(found: Iterable[Found]) -> str:
    """Why the first of some names does not count."""
    return next((item.lacking for item in found if item.generation is None), "")


def _refuse_unfit(store: NameStore) -> None:
    """Refuse to write a store of another version, and one that does not keep what all of this rests on."""
    from envbuild.objects.probe import probe
    from envbuild.store.shared import SharedStore

    objects = store.objects
    if SharedStore(objects.address, lambda: objects).use() != "write":
        raise StaleError(f"{objects.address} is a store of another version of envbuild", reference="store-format")
    if not store.near:  # folders are our own work
        probe(objects)
