"""``store sign``: signatures, afterwards, of what lies in a store.

Before a record is signed it is read, and all its outputs are brought and hashed; before a generation is, so are its
closures. That says that the store is whole, not that what is in it is what somebody should use: whoever signs what he
did not do vouches for whoever put it there. With ``renew`` only what counts already by this user's own keys is signed:
for a new key that takes the place of an old one.

Of a name the generation that it means now is signed; with ``renew`` each that counts.

Rules of the file: through ``SharedStore``; what is not whole is told and left unsigned.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress

from envbuild.derivations import KINDS
from envbuild.digest import Digest, short
from envbuild.errors import IntegrityError
from envbuild.names import Name
from envbuild.store import names as generations
from envbuild.store.arriving import Hashing
from envbuild.store.envelopes import (
    LARGEST_ENVELOPE,
    RESULT_TYPE,
    envelope_bytes,
    parse_envelope,
    signature_name,
)
from envbuild.store.folder import result_from_bytes
from envbuild.store.generation import Generation, object_name
from envbuild.store.object_names import RESULT, blob_name, result_name
from envbuild.store.parallel import in_parallel
from envbuild.store.shared import SharedStore
from envbuild.store.signatures import Policy, Signer
from envbuild.store.signed_names import SignedNames
from envbuild.trust import result_subject
from envbuild.value import dataclass

THREADS = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """What was signed.

    Attributes:
        keyid: By which key.
        results: How many records; ``names``: generations.
        already: How many were signed by this key before.
        passed: What is signed by no key that counts, and was left alone for that (``renew``).
        refused: What is not as it should be, with the reason.
    """

    keyid: str
    results: int
    names: int
    already: int
    passed: int
    refused: tuple[str, ...]


class Signing:
    """One pass over a store.

    Args:
        store: Which.
        signer: The key.
        policy: What counts for this user; wanted for ``renew``.
        renew: Sign only what counts already.
        dry_run: Look, and put nothing.
    """

    def __init__(
        self, store: SharedStore, signer: Signer, policy: Policy | None, *, renew: bool, dry_run: bool
    ) -> None:
        self._store = store
        self._signer = signer
        self._policy = policy
        self._renew = renew
        self._dry_run = dry_run
        self._names = SignedNames(store.objects, policy, lambda: signer)
        self._results = self._generations = self._already = self._passed = 0
        self._refused: list[str] = []

    def results(self, keys: Iterable[tuple[str, Digest]]) -> None:
        """Sign records, those of them that are there.

        Raises:
            UnreachableError: When the store does not answer, or refuses.
        """
        in_parallel(self._result, keys, THREADS)

    def every_result(self) -> Iterator[tuple[str, Digest]]:
        """Every record of the store, by listing it."""
        for item in self._store.objects.list("results/"):
            found = RESULT.fullmatch(item.name)
            if found is not None and found[1] in KINDS:
                yield found[1], Digest(found[3])

    def every_name(self) -> Iterator[Name]:
        """Every name of the store, by listing it."""
        yield from generations.listed(self._store.objects)

    def names(self, names: Iterable[Name]) -> None:
        """Sign what names mean.

        Raises:
            UnreachableError: When the store does not answer, or refuses.
        """
        wanted = list(names)
        found: list[Generation] = []
        for newest in in_parallel(self._newest, wanted, THREADS):
            if newest is not None:
                found += generations.history(self._store.objects, newest.name, newest) if self._renew else [newest]
        in_parallel(self._generation, found, THREADS)

    def _newest(self, name: Name) -> Generation | None:
        try:
            return generations.current(self._store.objects, name)
        except IntegrityError as error:
            self._refused.append(f"{name}: {error.message}")
            return None

    def done(self) -> Signed:
        """What came of it."""
        return Signed(
            keyid=self._signer.keyid,
            results=self._results,
            names=self._generations,
            already=self._already,
            passed=self._passed,
            refused=tuple(sorted(self._refused)),
        )

    def _result(self, item: tuple[str, Digest]) -> None:
        kind, key = item
        place, what = result_name(kind, key), f"{kind} {short(key)}"
        data = self._store.objects.read(place)
        if data is None:
            return
        if self._is_signed(place, data):
            self._already += 1
            return
        try:
            result = result_from_bytes(data)
            if (result.kind, result.key) != (kind, key):
                raise ValueError("it is the record of something else")
        except (ValueError, KeyError, TypeError) as error:
            self._refused.append(f"{what}: it is no record ({error})")
            return
        if self._renew and not self._counts(kind, place, data):
            self._passed += 1
            return
        for name, output in result.outputs:
            found = Hashing()
            there = False
            with suppress(IntegrityError):  # more bytes than there should be
                there = self._store.objects.fetch(blob_name(output.sha256), found, output.size)
            if not there or found.digest() != output.sha256:
                self._refused.append(f"{what}: its output {name} is {'damaged' if there else 'gone'}")
                return
        self._put(place, data, RESULT_TYPE)
        self._results += 1

    def _generation(self, item: Generation) -> None:
        place, what = object_name(item.name, item.number), f"{item.name}, generation {item.number}"
        if self._is_signed(place, item.data):
            self._already += 1
            return
        if self._renew and self._names.look(item).payload is None:
            self._passed += 1
            return
        for platform, environment in item.named.environments:
            try:
                closure = self._store.closure(platform, item.named.request, environment)
            except IntegrityError as error:
                self._refused.append(f"{what}: {error.message}")
                return
            if closure is None:
                self._refused.append(f"{what}: its environment {short(environment)} is gone")
                return
        if not self._dry_run:
            self._names.sign(item)
        self._generations += 1

    def _is_signed(self, place: str, payload: bytes) -> bool:
        """Whether this key's own signature is there, of these bytes."""
        try:
            data = self._store.objects.read(signature_name(place, self._signer.keyid), LARGEST_ENVELOPE)
            return data is not None and parse_envelope(data).payload == payload
        except (ValueError, IntegrityError):
            return False

    def _counts(self, kind: str, place: str, payload: bytes) -> bool:
        assert self._policy is not None
        subject = result_subject(kind)
        found = []
        for key in self._policy.wanted(subject).keys:
            data = self._store.objects.read(signature_name(place, key.public.keyid), LARGEST_ENVELOPE)
            if data is not None:
                found.append((key.public.keyid, data))
        return self._policy.check(subject, RESULT_TYPE, found).payload == payload

    def _put(self, place: str, payload: bytes, kind: str) -> None:
        if self._dry_run:
            return
        name = signature_name(place, self._signer.keyid)
        data = envelope_bytes(self._signer.sign(payload, kind))
        if self._store.objects.put(name, data) == "exists":  # of other bytes, as was seen
            self._store.objects.delete(name)
            self._store.objects.put(name, data)
