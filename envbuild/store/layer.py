"""One shared store as a layer behind the home's own: what it has, what it is believed, and what becomes of trouble.

**Trouble costs time, never correctness.** What a store does not give is a miss (``envbuild.store.standing``). Wrong
bytes are dropped and said once for each object; where we may write, right bytes mend them as soon as there are some.

**Who is believed.** Blobs prove themselves, so any store may give them. A record says what somebody's work came to: it
counts only from a store that is ``believed``, or when it is signed (``envbuild.store.signed_records``). Who is, and who
is written, is decided where stores are configured (``envbuild.environments.stores``). Where the user has vouched for
what a record must say (``vouch``), it counts from any store, and no other does.

What is known is not asked again: what a question, a read or a write told is remembered by object.

Rules of the file: no error leaves it but ``NoSpaceError`` of this machine and, where ``strict``, all of them: ``push``
and ``store`` name a store and want to know.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envbuild.derivations import Outputs
from envbuild.digest import Digest, short
from envbuild.errors import EnvbuildError, IntegrityError, UnreachableError
from envbuild.faults import reach
from envbuild.lock import Lock, LockedEnvironment
from envbuild.machine.publish import Incoming
from envbuild.store import Result
from envbuild.store.envelopes import signature_name
from envbuild.store.object_names import blob_name, closure_name, result_name
from envbuild.store.outputs import agrees
from envbuild.store.parallel import in_parallel
from envbuild.store.shared import SharedStore, Use
from envbuild.store.standing import Standing

if TYPE_CHECKING:
    from envbuild.store.signed_records import SignedRecords


class Layer:
    """One shared store, and what this command knows of it.

    Args:
        store: The store.
        believed: Whether its records count, whoever wrote them.
        written: Whether what is done here goes there.
        near: Whether it is on this machine, and so there without a network.
        note: Told what a user must know.
        strict: Raise what goes wrong.
        signatures: Its signatures, where they are read or made.

    Attributes:
        name: What people call it.
        standing: How it stands with it by now.
    """

    def __init__(
        self,
        store: SharedStore,
        *,
        believed: bool,
        written: bool,
        near: bool = False,
        note: Callable[[str], None] = lambda _: None,
        strict: bool = False,
        signatures: SignedRecords | None = None,
    ) -> None:
        self.store = store
        self.name = store.name
        self.believed = believed
        self.near = near
        self.standing = Standing(store.name, written=written, note=note, strict=strict)
        self._signatures = signatures
        self._created: set[Digest] = set()
        self._unsigned_told = False
        self._has: dict[str, bool] = {}
        self._sizes: dict[str, int] = {}
        self._results: dict[Digest, Result] = {}
        self._wrong: set[Digest] = set()
        self._broken: dict[Digest, Result | None] = {}
        self._vouched: dict[Digest, Outputs] = {}
        self._others: set[Digest] = set()
        self._guard = threading.Lock()
        self._watched = False

    @property
    def gone(self) -> bool:
        """It did not answer, or is no store of ours: it is left alone."""
        return self.standing.gone

    @property
    def written(self) -> bool:
        """Whether what is done here goes there, as far as is known by now."""
        return self.standing.written

    @property
    def answers(self) -> bool:
        """Whether records of it may count: all of them, or those that are signed."""
        return self.believed or self._by_signature is not None

    @property
    def _by_signature(self) -> SignedRecords | None:
        found = self._signatures
        return found if not self.believed and found is not None and found.policy is not None else None

    def vouch(self, results: Mapping[Digest, Outputs]) -> None:
        """Believe the records of these keys that say these outputs, and no others."""
        self._vouched.update(results)
        for key in results:
            self._results.pop(key, None)

    def document(self, name: str, limit: int) -> bytes | None:
        """An object that proves itself to who asks for it; None when it has none, or does not answer.

        Raises:
            EnvbuildError: Where strict.
        """
        if self.gone:
            return None
        self.store.ahead(write=self.standing.written)
        try:
            data = self.store.objects.read(name, limit)
        except IntegrityError as error:  # too large for one: the store may be right in everything else
            self.standing.say(f"the store {self.name}: {error.message}; it does not count")
            data = None
        except EnvbuildError as error:
            self.standing.leave(error)
            data = None
        return data if self.ready("read") else None

    def ready(self, use: str) -> bool:
        """Whether it can be used: ``read`` or ``write``. Reads its format when it is first asked for.

        Raises:
            EnvbuildError: Where strict: what is in the way.
        """
        if self.gone or (use == "write" and not self.written):
            return False
        try:
            found = self._looked()
        except EnvbuildError as error:
            self.standing.leave(error)
            return False
        if found == "none":
            self.standing.leave(
                UnreachableError(
                    "another version of envbuild made it",
                    reference="store-format",
                    hint="use that version, or another store",
                )
            )
            return False
        if found == "read" and self.written:
            self.standing.end_writing()
            if self.standing.strict and use == "write":
                raise UnreachableError(
                    f"the store {self.name} is of a newer format: it may be read, and not written",
                    reference="store-format",
                    hint="use the version that made it, or another store",
                )
            self.standing.say(f"the store {self.name} is of a newer format: it is read, and not written")
        return use == "read" or self.written

    def _looked(self) -> Use:
        """What its format allows; where it is written also, at the same time, what a collection has announced."""
        if self.written and not self._watched:
            try:
                in_parallel(lambda look: look(), [self.store.use, self.store.holder])
                self._watched = True
            except IntegrityError as error:
                if self.standing.strict:
                    raise
                self.standing.end_writing(f"the store {self.name} is not written: {error.message}")
        return self.store.use()

    def ask(
        self,
        blobs: Iterable[tuple[Digest, int | None]],
        results: Iterable[tuple[str, Digest]],
        closures: Sequence[str] = (),
    ) -> tuple[set[Digest], set[Digest]]:
        """Which of these blobs (with their sizes, where known) and records it has: one batched question.

        Args:
            blobs: Which blobs.
            results: Which records.
            closures: Names of closures that hold all these blobs. Where they are, the blobs were put before them and
                are taken to be there: one question instead of many. One that is gone since is a miss when it is read.

        Raises:
            EnvbuildError: Where strict.
        """
        wanted, keys = dict(blobs), [item for item in results if self.answers or item[1] in self._vouched]
        if not (wanted or keys):
            return set(), set()
        whole = bool(wanted and closures) and self._has_closures(closures)
        if not self.ready("read"):
            return set(), set()
        questions: list[partial[Any]] = [partial(self.result, *key) for key in keys]
        if wanted and not whole:
            questions.insert(0, partial(self._ask_sizes, wanted))
        in_parallel(lambda question: question(), questions)
        if self.gone:
            return set(), set()
        return {each for each in wanted if self.offers(each) and (whole or self._has.get(blob_name(each)))}, {
            key for _, key in keys if key in self._results
        }

    def _has_closures(self, closures: Sequence[str]) -> bool:
        """Whether it has all of these; its format is asked for at the same time."""
        unknown = [name for name in closures if name not in self._has and name not in self.store.seen]
        if unknown and not self.gone:
            self.store.ahead(write=self.standing.written)
            found = self.standing.attempt(lambda: self.store.sizes(unknown), None)
            if found is not None:
                self._has.update((name, name in found) for name in unknown)
                self._sizes.update(found)
        return all(name in self.store.seen or self._has.get(name) for name in closures)

    def _ask_sizes(self, wanted: Mapping[Digest, int | None]) -> None:
        nothing: Mapping[str, int] = {}
        names = list(map(blob_name, wanted))
        found = self.standing.attempt(lambda: self.store.sizes(names), nothing) if names else nothing
        for digest, size in wanted.items():
            name = blob_name(digest)
            self._has[name] = name in found
            if name in found and size is not None and found[name] != size:
                self._has[name] = False
                self._damaged(digest, f"it has {found[name]} bytes, not {size}")

    def has(self, names: Sequence[str]) -> set[str]:
        """Which of these objects it has; only what is not known yet is asked.

        Raises:
            EnvbuildError: Where strict.
        """
        unknown = [name for name in names if name not in self._has and name not in self.store.seen]
        if unknown and self.ready("read"):
            found = self.standing.attempt(lambda: self.store.sizes(unknown), None)
            if found is not None:
                self._has.update((name, name in found) for name in unknown)
                self._sizes.update(found)
        return {name for name in names if self._has.get(name) or name in self.store.seen}

    def offers(self, digest: Digest) -> bool:
        """Whether it may have a blob, as far as is known."""
        return not self.gone and self._has.get(blob_name(digest)) is not False

    def blob(self, digest: Digest, incoming: Incoming, size: int | None, moved: Callable[[int], None]) -> bool:
        """Stream a blob into a temporary file; False when it has none that is right.

        Args:
            digest: Which.
            incoming: Gets the bytes; empty afterwards when there were none.
            size: How many, when known.
            moved: Told how many came so far.

        Raises:
            NoSpaceError: When it does not fit here.
            EnvbuildError: Where strict.
        """
        if not self.offers(digest) or not self.ready("read"):
            return False
        try:
            found = self.store.blob(digest, incoming, size, moved)
            self._has[blob_name(digest)] = found
            if found:
                return True
        except IntegrityError as error:
            self._damaged(digest, error.message)
        except UnreachableError as error:
            self.standing.leave(error)
        incoming.restart()
        return False

    def result(self, kind: str, key: Digest) -> Result | None:
        """A record that counts; None when there is none.

        Raises:
            EnvbuildError: Where strict.
        """
        vouched = self._vouched.get(key)
        if self.gone or not (self.answers or vouched is not None) or key in self._broken:
            return None
        if vouched is None and (signed := self._by_signature) is not None:
            found = self.standing.attempt(lambda: signed.result(kind, key), None) if self.ready("read") else None
            if found is not None:
                self._results[key] = found
            return None if self.gone else found
        if key not in self._results and self._has.get(result_name(kind, key)) is not False and self.ready("read"):
            try:
                found = self.store.result(kind, key)
                self._has[result_name(kind, key)] = found is not None
                if found is not None and vouched is not None and not agrees(dict(found.outputs), vouched):
                    self._is_another(kind, key)
                elif found is not None:
                    self._results[key] = found
            except IntegrityError as error:
                self.standing.say(f"the store {self.name}: {error.message}; it does not count")
                self._broken[key] = None
            except UnreachableError as error:
                self.standing.leave(error)
        return None if self.gone else self._results.get(key)

    def _is_another(self, kind: str, key: Digest) -> None:
        with self._guard:
            told = key in self._others
            self._others.add(key)
        if not told:
            self.standing.say(
                f"{kind} {short(key)} in the store {self.name} does not count: it is not what the closure says"
            )

    def unsigned(self, results: Iterable[tuple[str, Digest]]) -> None:
        """Say once which of these records it has all the same, and that they are not signed as they should be."""
        signed, kinds = self._by_signature, {result_name(kind, key): (kind, key) for kind, key in results}
        if signed is None or self._unsigned_told:
            return
        there = sorted(self.has(list(kinds)) & kinds.keys())
        if there:
            self._unsigned_told = True
            kind, key = kinds[there[0]]
            more = f", and {len(there) - 1} more" if len(there) > 1 else ""
            self.standing.say(
                f"{kind} {short(key)} in the store {self.name} does not count{more}: {signed.lacking(key)}"
            )

    def envelopes(self, key: Digest) -> tuple[bytes, ...]:
        """The signatures by which a record of it counted; none where its word is enough."""
        return self._signatures.envelopes(key) if self._signatures is not None else ()

    def signature_of(self, kind: str, key: Digest) -> str | None:
        """Where this process's signature of a record is, or would be; None when it signs nothing."""
        if self._signatures is None or self._signatures.signer is None:
            return None
        return signature_name(result_name(kind, key), self._signatures.signer.keyid)

    def incomplete(self, result: Result) -> None:
        """Outputs of a record are gone: it does not count any more, and a right one may take its place."""
        self._broken[result.key] = self._results.pop(result.key, result)
        self._has.pop(result_name(result.kind, result.key), None)

    def deliver(
        self,
        path: Callable[[Digest], Path | None],
        blobs: Iterable[Digest],
        result: Result | None,
        *,
        sign: bool = False,
        envelopes: Sequence[bytes] = (),
    ) -> bool:
        """Publish blobs, then the record that names them; what it has already is not sent.

        Args:
            path: A blob's verified file at home.
            blobs: Which.
            result: The record; None for a fetch.
            sign: Whether it is signed, where there is a key: it was done here, or the user says so.
            envelopes: Signatures of it that came with it.

        Returns:
            Whether all of it is there now. A record that was faster counts as there.

        Raises:
            EnvbuildError: Where strict.
        """
        names = {blob_name(digest): digest for digest in blobs}
        if not self.ready("write"):
            return False
        there = self.has(list(names))
        for name, digest in names.items():
            if not self.written or not (name in there or self._deliver_blob(digest, path)):
                return False
        if result is None:
            return True
        reach("post-blobs-pre-record")
        name = result_name(result.kind, result.key)
        if not self._has.get(name) or result.key in self._broken:
            if not self.standing.write(lambda: self._put_result(result)):
                return False
            self._has[name] = True
        return self._deliver_signatures(result, sign, envelopes)

    def _deliver_signatures(self, result: Result, sign: bool, envelopes: Sequence[bytes]) -> bool:
        signatures, own = self._signatures, self.signature_of(result.kind, result.key)
        sign = sign and own is not None and not self._has.get(own)
        if signatures is None or not (sign or envelopes):
            return True
        created = result.key in self._created
        if not self.standing.write(lambda: signatures.publish(result, created=created, sign=sign, envelopes=envelopes)):
            return False
        if own is not None and sign:
            self._has[own] = True
        signatures.forget(result.key)
        return True

    def _deliver_blob(self, digest: Digest, path: Callable[[Digest], Path | None]) -> bool:
        file = path(digest)
        if file is None:
            return False
        reach("mid-upload")
        put = self.store.replace_blob if digest in self._wrong else self.store.put_blob
        if not self.standing.write(lambda: put(digest, file)):
            return False
        self._has[blob_name(digest)] = True
        self._wrong.discard(digest)
        return True

    def _put_result(self, result: Result) -> None:
        if result.key in self._broken:
            self.store.replace_result(result, self._broken.pop(result.key))
        elif self.store.put_result(result) == "created":
            self._created.add(result.key)

    def forget(self, kind: str, key: Digest) -> None:
        """Forget what is known of a record, so that it is asked for again: somebody may have made it since."""
        self._results.pop(key, None)
        self._has.pop(result_name(kind, key), None)
        if self._signatures is not None:
            self._signatures.forget(key)

    def winner(self, result: Result) -> Result:
        """After a delivery: the record that is there, which may be somebody else's; ours when none can be read."""
        self.forget(result.kind, result.key)
        return self.result(result.kind, result.key) or result

    def put_closure(self, lock: Lock, environment: LockedEnvironment, data: bytes) -> bool:
        """Publish an environment's closure, whose blobs are there."""
        name = closure_name(environment.platform, lock.request, environment.id)
        if not self.ready("write"):
            return False
        where = environment.platform, lock.request, environment.id
        if self.standing.write(lambda: self.store.put_closure(*where, data)):
            self._has[name] = True
            return True
        return False

    def doubts(self, name: str, size: int) -> bool:
        """Whether an object was found to be none, or has another size than it should."""
        return name in self.store.damaged or self._sizes.get(name, size) != size

    def mend_closure(self, lock: Lock, environment: LockedEnvironment, data: bytes) -> bool:
        """Have a right closure in the place of one that is none; one that is right stays.

        Returns:
            Whether a right one is there now.
        """
        if not self.ready("write"):
            return False
        mended = []
        where = environment.platform, lock.request, environment.id
        if not self.standing.write(lambda: mended.append(self.store.replace_closure(*where, data))):
            return False
        if any(mended):
            self.standing.say(
                f"the closure of {short(environment.id)} in the store {self.name} was damaged; it is mended"
            )
        return True

    def created(self, keys: Iterable[Digest]) -> bool:
        """Whether this process was the first to put one of these records there."""
        return not self._created.isdisjoint(keys)

    def put_outputs(self, name: str, data: bytes) -> bool:
        """Publish what an environment's builds came to, whose records are there; before its closure."""
        if not self.ready("write") or not self.standing.write(lambda: self.store.put_outputs(name, data)):
            return False
        self._has[name] = True
        return True

    def renew(self, lock: Lock, environment: LockedEnvironment, data: bytes) -> None:
        """Have a closure that is there already live on, with what it needs, where somebody asked for it by name.

        Raises:
            EnvbuildError: Where strict: ``being-collected``.
        """
        if self.ready("write"):
            self.standing.write(
                lambda: self.store.hold_closure(environment.platform, lock.request, environment.id, data)
            )

    def _damaged(self, digest: Digest, reason: str) -> None:
        with self._guard:
            if digest in self._wrong:
                return
            self._wrong.add(digest)
            self._has[blob_name(digest)] = False
        self.standing.say(f"blob {short(digest)} of the store {self.name} is damaged ({reason}); it is not used")
