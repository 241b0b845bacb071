"""Signatures of names: which generation counts for a reader who wants them signed, and signing one.

A generation and the envelopes of the keys that count are read together, so signatures cost no further round trip. The
envelope's payload must be the generation's own bytes, which say name, tag, number and what came before; so a signature
of another name, or of an older generation put under a new number, is none.

Where the newest generation is not signed as it should be, the newest one that is counts: whoever writes the store may
add generations, and they mean nothing, and between the first and the last of several signatures the name means what it
meant. Nothing below a generation that counted here before is taken.

Rules of the file: raises; what is said of it decides ``envbuild.environments.naming``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import field
from typing import cast

from envbuild.errors import IntegrityError
from envbuild.names import Name
from envbuild.objects import SMALL, Objects
from envbuild.store import names as generations
from envbuild.store.envelopes import (
    GENERATION_TYPE,
    LARGEST_ENVELOPE,
    envelope_bytes,
    parse_envelope,
    signature_name,
)
from envbuild.store.generation import LARGEST, Generation, object_name
from envbuild.store.parallel import in_parallel
from envbuild.store.signatures import Policy, Signer, Vouched
from envbuild.trust import name_subject
from envbuild.value import dataclass

MOST_BACK = 64
"""Generations that are looked at, from the newest one back, for one that is signed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a name means to a reader.

    Attributes:
        generation: The newest one that counts; None when there is none.
        newest: The newest one that is there; None when the name is not.
        envelopes: The signatures of ``generation``.
        lacking: Why ``newest`` does not count, in words; empty when it does.
    """

    generation: Generation | None
    newest: Generation | None
    envelopes: tuple[bytes, ...] = field(default=(), repr=False)
    lacking: str = ""


class SignedNames:
    """The names of one store.

    Args:
        objects: The store.
        policy: What is wanted signed; None where the store's word is enough.
        signer: Gives the key that signs what this process moves; None for nobody.
    """

    def __init__(
        self, objects: Objects, policy: Policy | None = None, signer: Callable[[], Signer] | None = None
    ) -> None:
        self._objects = objects
        self.policy = policy
        self._signer = signer
        self._key: Signer | None = None

    @property
    def signs(self) -> bool:
        """Whether there is a key."""
        return self._signer is not None

    def current(self, name: Name, seen: Generation | None = None, proof: Sequence[bytes] = ()) -> Found:
        """The newest generation, and the newest that counts.

        Args:
            name: Which.
            seen: The highest that counted here before.
            proof: The signatures by which it counted; none when it was only seen.

        Raises:
            IntegrityError, UnreachableError: As ``envbuild.store.names.current``.
            UsageError: ``missing-extra``.
        """
        if self.policy is None:
            newest = generations.current(self._objects, name, seen)
            return Found(generation=newest, newest=newest)
        reading = _Together(self._objects, self._keyids(name))
        newest = generations.current(cast(Objects, reading), name, seen)
        if newest is None:
            return Found(generation=None, newest=None)
        floor = seen.number if seen is not None and proof else 1  # it counted here once, by whatever key
        lacking = ""
        for number in range(newest.number, max(floor, newest.number - MOST_BACK + 1) - 1, -1):
            place = object_name(name, number)
            known = number == newest.number and place in reading.envelopes
            generation = newest if known else generations.read(cast(Objects, reading), name, number)
            if generation is None:
                break
            further = proof if seen is not None and number == seen.number else ()
            vouched = self.vouched(generation, [*reading.envelopes[place].values(), *further])
            lacking = lacking or ("" if vouched.payload is not None else vouched.lacking)
            if vouched.payload is not None:
                return Found(generation=generation, newest=newest, envelopes=vouched.envelopes, lacking=lacking)
        return Found(generation=None, newest=newest, lacking=lacking)

    def look(self, generation: Generation) -> Vouched:
        """What the signatures that a generation has in the store come to.

        Raises:
            UnreachableError: When the store does not answer.
        """
        reading = _Together(self._objects, self._keyids(generation.name))
        place = object_name(generation.name, generation.number)
        reading.read(place, LARGEST)
        return self.vouched(generation, reading.envelopes[place].values())

    def vouched(self, generation: Generation, envelopes: Iterable[bytes]) -> Vouched:
        """What signatures of a generation come to."""
        assert self.policy is not None
        found: dict[str, bytes] = {}
        odd = False
        for data in envelopes:
            try:
                envelope = parse_envelope(data)
            except ValueError:
                odd = True
                continue
            if envelope.payload == generation.data:
                found[envelope.keyid] = data
            else:
                odd = True
        vouched = self.policy.check(name_subject(generation.name), GENERATION_TYPE, found.items())
        if not odd or vouched.payload is not None:
            return vouched
        reason = "a signature there is one of something else"
        return Vouched(
            payload=None,
            keys=vouched.keys,
            envelopes=vouched.envelopes,
            wanted=vouched.wanted,
            reasons=(*vouched.reasons, reason),
        )

    def open_key(self) -> Signer | None:
        """The key that signs, opened once; None when there is none. Whoever moves a name asks before it is moved.

        Raises:
            EnvbuildError: When the key cannot be used.
        """
        if self._key is None and self._signer is not None:
            self._key = self._signer()
        return self._key

    def sign(self, generation: Generation) -> bool:
        """Put this process's signature of a generation beside it; False when it is there already, or there is no key.

        Raises:
            UnreachableError: When the store does not answer, or refuses.
            EnvbuildError: When the key cannot be used.
        """
        signer = self.open_key()
        if signer is None:
            return False
        name = signature_name(object_name(generation.name, generation.number), signer.keyid)
        data = envelope_bytes(signer.sign(generation.data, GENERATION_TYPE))
        if self._objects.put(name, data) == "created":
            return True
        if self._objects.read(name, LARGEST_ENVELOPE) == data:  # ed25519 signs the same bytes the same way
            return False
        self._objects.delete(name)
        self._objects.put(name, data)
        return True

    def _keyids(self, name: Name) -> tuple[str, ...]:
        assert self.policy is not None
        return tuple(key.public.keyid for key in self.policy.wanted(name_subject(name)).keys)


class _Together:
    """Reads a generation and its signatures at once."""

    def __init__(self, objects: Objects, keyids: Sequence[str]) -> None:
        self._objects = objects
        self._keyids = keyids
        self.envelopes: dict[str, dict[str, bytes]] = {}

    @property
    def address(self) -> str:
        """Of the store."""
        return self._objects.address

    def read(self, name: str, limit: int = SMALL) -> bytes | None:
        """A generation; what is signed of it is in ``envelopes`` then."""
        found: dict[str, bytes] = {}

        def one(keyid: str | None) -> bytes | None:
            if keyid is None:
                return self._objects.read(name, limit)
            try:
                data = self._objects.read(signature_name(name, keyid), LARGEST_ENVELOPE)
            except IntegrityError:  # too large for one
                data = b""
            if data is not None:
                found[keyid] = data
            return None

        given = in_parallel(one, [None, *self._keyids]) if self._keyids else [one(None)]
        self.envelopes[name] = found
        return next((data for data in given if data is not None), None)
