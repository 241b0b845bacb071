"""One shared store as a layer behind the home's own: what it has, what it is believed, and what becomes of trouble.

**Trouble costs time, never correctness.** What a store does not give is a miss (``envbuild.store.standing``). Wrong
bytes are dropped and said once for each object; where we may write, right bytes mend them as soon as there are some.

**Who is believed.** Blobs prove themselves, so any store may give them. A record says what somebody's work came to: it
counts only from a store that is ``believed``, or when it is signed (``envbuild.store.signed_records``). Who is, and who
is written, is decided where stores are configured (``envbuild.environments.stores``). Where the user has vouched for
what a record must say (``vouch``), it counts from any store, and no other does.

What is known of it is in ``envbuild.store.layer_state``, how it is written in ``envbuild.store.layer_sending``; this is
what it is asked for.

Rules of the file: no error leaves it but ``NoSpaceError`` of this machine and, where ``strict``, all of them: ``push``
and ``store`` name a store and want to know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from envbuild.derivations import Outputs
from envbuild.digest import Digest, short
from envbuild.errors import EnvbuildError, IntegrityError, UnreachableError
from envbuild.machine.publish import Incoming
from envbuild.store import Result
from envbuild.store.layer_sending import LayerSending
from envbuild.store.object_names import blob_name, result_name
from envbuild.store.outputs import agrees
from envbuild.store.parallel import in_parallel

if TYPE_CHECKING:
    from envbuild.store.signed_records import SignedRecords


class Layer(LayerSending):
    """One shared store; its parameters are those of ``LayerState``."""

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

    def incomplete(self, result: Result) -> None:
        """Outputs of a record are gone: it does not count any more, and a right one may take its place."""
        self._broken[result.key] = self._results.pop(result.key, result)
        self._has.pop(result_name(result.kind, result.key), None)

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
