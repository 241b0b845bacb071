"""How things get into one shared store: files, the record that names them, its signatures, an environment's closure.

What it has already is not sent. What was found to be wrong there makes way for what is right.

Rules of the file: every put goes through ``Standing.write``, which decides what a refusal means.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from envbuild.digest import Digest, short
from envbuild.faults import reach
from envbuild.lock import Lock, LockedEnvironment
from envbuild.store import Result
from envbuild.store.layer_state import LayerState
from envbuild.store.object_names import blob_name, closure_name, result_name
from envbuild.store.replacing import replace_blob, replace_closure, replace_result


class LayerSending(LayerState):
    """A store as it is written; see ``envbuild.store.layer``."""

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
        wrong = digest in self._wrong
        if not self.standing.write(
            lambda: replace_blob(self.store, digest, file) if wrong else self.store.put_blob(digest, file)
        ):
            return False
        self._has[blob_name(digest)] = True
        self._wrong.discard(digest)
        return True

    def _put_result(self, result: Result) -> None:
        if result.key in self._broken:
            replace_result(self.store, result, self._broken.pop(result.key))
        elif self.store.put_result(result) == "created":
            self._created.add(result.key)

    def put_outputs(self, name: str, data: bytes) -> bool:
        """Publish what an environment's builds came to, whose records are there; before its closure."""
        if not self.ready("write") or not self.standing.write(lambda: self.store.put_outputs(name, data)):
            return False
        self._has[name] = True
        return True

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

    def mend_closure(self, lock: Lock, environment: LockedEnvironment, data: bytes) -> bool:
        """Have a right closure in the place of one that is none; one that is right stays.

        Returns:
            Whether a right one is there now.
        """
        if not self.ready("write"):
            return False
        mended = []
        where = environment.platform, lock.request, environment.id
        if not self.standing.write(lambda: mended.append(replace_closure(self.store, *where, data))):
            return False
        if any(mended):
            self.standing.say(
                f"the closure of {short(environment.id)} in the store {self.name} was damaged; it is mended"
            )
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
