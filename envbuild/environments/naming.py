"""Names as a session moves them: one store has them, this machine remembers them, ids and closures are found by them.

One store says what names mean: the first shared store that may be written, else the first shared store, else the home's
own. Two would be two truths (ADR 29).

Rules of the file: decides; how generations are kept is ``envbuild.store.names``'.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from envbuild.environments.known_names import KnownNames
from envbuild.environments.name_stores import refuse_unfit
from envbuild.errors import InvalidInput, UnreachableError, UsageError
from envbuild.names import Name
from envbuild.store import names as generations
from envbuild.store.generation import Generation, Named, Published
from envbuild.store.names import Moved

if TYPE_CHECKING:
    from envbuild.store.holding import Holder


class Names(KnownNames):
    """What names mean, and how they come to mean it."""

    _holder: Holder | None = None

    def move(
        self,
        name: Name,
        named: Named,
        *,
        expect: int | None = None,
        published: Published | None = None,
        again: bool = False,
    ) -> Moved:
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
            lambda: generations.move(
                self._objects, name, named, expect=expect, seen=known, published=published, again=again
            ),
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
            UsageError, InvalidInput: When the key that signs cannot be used.
        """
        if not self._store.writable:
            raise UnreachableError(
                f"{self.address} may only be read here, so {name} cannot be moved",
                reference="read-only",
                hint="name a store with `mode: read-write` before it, or move the name where that is allowed",
            )
        self._online(f"moving {name}")
        self._signed.open_key()
        if not self._store.home and self._holder is None:
            refuse_unfit(self._store)
            from envbuild.store.holding import Holder

            self._holder = Holder(self._objects)  # before closures are looked at that are there already

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

    def rollback(
        self, name: Name, to: int | None = None, keep: Callable[[Generation], object] = lambda _: None
    ) -> Moved:
        """A new generation that means what an earlier one meant.

        Args:
            name: Which.
            to: The earlier generation; by default the last one that meant something else.
            keep: Called with that one before the name is moved: has its environments where others find them, or raises.

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
        if wanted.named != now.named or slipped_in:
            self.check_writable(name)
            keep(wanted)
        return self.move(name, wanted.named, expect=newest)
