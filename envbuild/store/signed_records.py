"""Signatures of the records of one store: what is read by them, and what is signed and put beside a record.

A reader who wants signatures reads the envelopes of the keys that count, all at once, *instead* of the record; what
they hold is read as strictly as a record. A record that nobody signed, or whose signatures do not count, is none.

What is signed is what stands there: the bytes that this process has just put, or those of somebody else that say the
same. Where another record stands that nobody who counts has signed, and only signatures count for us, ours takes its
place; a record that somebody signed stays, and ours is said to differ.

Rules of the file: raises, and leaves to ``envbuild.store.layer`` what a failure means.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence

from envbuild.digest import Digest, short
from envbuild.errors import IntegrityError
from envbuild.store import Result
from envbuild.store.envelopes import (
    LARGEST_ENVELOPE,
    RESULT_TYPE,
    envelope_bytes,
    parse_envelope,
    signature_name,
)
from envbuild.store.folder import result_to_bytes
from envbuild.store.object_names import result_name
from envbuild.store.parallel import in_parallel
from envbuild.store.replacing import replace_result
from envbuild.store.shared import SharedStore, record_of
from envbuild.store.signatures import Policy, Signer, Vouched
from envbuild.trust import result_subject


class SignedRecords:
    """See the module's docstring. Safe to call from many threads.

    Args:
        store: The store.
        policy: What is wanted signed before a record counts; None where this store's word is enough.
        signer: The key that signs what this process puts there; None for nobody.
        say: Told what a user must know.
    """

    def __init__(
        self,
        store: SharedStore,
        policy: Policy | None,
        signer: Signer | None = None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._store = store
        self.policy = policy
        self.signer = signer
        self._say = say
        self._vouched: dict[Digest, Vouched] = {}
        self._results: dict[Digest, Result | None] = {}
        self._guard = threading.Lock()

    def result(self, kind: str, key: Digest) -> Result | None:
        """A record that enough keys signed; None when there is none. Asked once.

        Raises:
            UnreachableError: When the store does not answer.
            UsageError: ``missing-extra``.
        """
        if key in self._results:
            return self._results[key]
        vouched = self._look(kind, key)
        result = None
        if vouched.payload is not None:
            try:
                result = record_of(vouched.payload, kind, key)
            except IntegrityError as error:
                self._say(f"the store {self._store.name}: {error.message}, and it is signed; it does not count")
        with self._guard:
            self._vouched[key] = vouched
            self._results[key] = result
        return result

    def forget(self, key: Digest) -> None:
        """Ask again the next time."""
        with self._guard:
            self._results.pop(key, None)
            self._vouched.pop(key, None)

    def envelopes(self, key: Digest) -> tuple[bytes, ...]:
        """The signatures by which a record counted, for another store that gets it."""
        vouched = self._vouched.get(key)
        return vouched.envelopes if vouched is not None and vouched.payload is not None else ()

    def lacking(self, key: Digest) -> str:
        """Why a record does not count."""
        vouched = self._vouched.get(key)
        return vouched.lacking if vouched is not None else "it is not signed"

    def _look(self, kind: str, key: Digest) -> Vouched:
        assert self.policy is not None
        subject, record = result_subject(kind), result_name(kind, key)
        keys = [each.public.keyid for each in self.policy.wanted(subject).keys]
        found: dict[str, bytes] = {}

        def read(keyid: str) -> None:
            try:
                data = self._store.objects.read(signature_name(record, keyid), LARGEST_ENVELOPE)
            except IntegrityError:  # too large for one
                data = b""
            if data is not None:
                found[keyid] = data

        if len(keys) == 1:
            read(keys[0])
        else:
            in_parallel(read, keys)
        return self.policy.check(subject, RESULT_TYPE, [(keyid, found[keyid]) for keyid in keys if keyid in found])

    # Signing

    def publish(self, result: Result, *, created: bool, sign: bool, envelopes: Sequence[bytes] = ()) -> None:
        """Put signatures of a record beside it.

        Args:
            result: The record.
            created: Whether this process has just created it there; else what stands there is read first.
            sign: Whether the key of this process signs it: it was done here, or its user says so.
            envelopes: Signatures by which it counted elsewhere.

        Raises:
            UnreachableError: When the store does not answer, or refuses.
        """
        signer = self.signer if sign else None
        if signer is None and not envelopes:
            return
        ours = result_to_bytes(result)
        there = ours if created else self._there(result)
        if there != ours and signer is not None and not _says(there, result):
            there = self._ours_instead(result, there)
        if there is None:
            return
        name = result_name(result.kind, result.key)
        if signer is not None:
            self._put(signature_name(name, signer.keyid), envelope_bytes(signer.sign(there, RESULT_TYPE)), there)
        for data in envelopes:
            envelope = parse_envelope(data)
            if envelope.payload == there:
                self._put(signature_name(name, envelope.keyid), data, there)

    def _there(self, result: Result) -> bytes | None:
        return self._store.objects.read(result_name(result.kind, result.key))

    def _ours_instead(self, result: Result, there: bytes | None) -> bytes | None:
        """Put our record in the place of one that nobody signed; None when one stays that we do not sign."""
        what = f"{result.kind} {short(result.key)} in the store {self._store.name}"
        if self.policy is None:
            self._say(f"{what} is another result than the one made here; it is not signed")
            return None
        vouched = self._look(result.kind, result.key)
        if vouched.keys:
            by = ", ".join(key.name for key in vouched.keys)
            self._say(f"{what} is signed by {by} with other bytes than were made here; it is not signed")
            return None
        try:
            known = record_of(there, result.kind, result.key) if there is not None else None
        except IntegrityError:
            known = None
        replace_result(self._store, result, known)
        now = self._there(result)
        return now if _says(now, result) else None

    def _put(self, name: str, data: bytes, payload: bytes) -> None:
        """Put a signature; one that stands there for other bytes makes way."""
        objects = self._store.objects
        if objects.put(name, data) == "created":
            return
        try:
            there = parse_envelope(objects.read(name, LARGEST_ENVELOPE) or b"").payload
        except (ValueError, IntegrityError):
            there = None
        if there != payload:
            objects.delete(name)
            objects.put(name, data)


def signature_names(results: Iterable[tuple[str, Digest]], keyid: str) -> list[str]:
    """Where the signatures of records by a key are, or would be."""
    return [signature_name(result_name(kind, key), keyid) for kind, key in results]


def _says(data: bytes | None, result: Result) -> bool:
    """Whether bytes are a record that says what this one does, however long it took and whenever it was."""
    if data is None:
        return False
    try:
        other = record_of(data, result.kind, result.key)
    except IntegrityError:
        return False
    return (other.outputs, other.platform, other.notes) == (result.outputs, result.platform, result.notes)
