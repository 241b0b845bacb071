"""What a command knows of one shared store: how it stands with it, and which objects it has.

What a question, a read or a write told is remembered by object, and not asked again.

Rules of the file: asks only whether objects are there; what they hold is read by ``envbuild.store.layer``, what is put
there by ``envbuild.store.layer_sending``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from envbuild.derivations import Outputs
from envbuild.digest import Digest, short
from envbuild.errors import EnvbuildError, IntegrityError, UnreachableError
from envbuild.store import Result
from envbuild.store.envelopes import signature_name
from envbuild.store.object_names import blob_name, result_name
from envbuild.store.parallel import in_parallel
from envbuild.store.shared import SharedStore
from envbuild.store.shared_format import Use
from envbuild.store.standing import Standing

if TYPE_CHECKING:
    from envbuild.store.signed_records import SignedRecords


class LayerState:
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

    def offers(self, digest: Digest) -> bool:
        """Whether it may have a blob, as far as is known."""
        return not self.gone and self._has.get(blob_name(digest)) is not False

    def arrived(self, digests: Iterable[Digest]) -> None:
        """Somebody has just put these blobs there: what was known of them before counts no more."""
        for digest in digests:
            self._has[blob_name(digest)] = True

    def doubts(self, name: str, size: int) -> bool:
        """Whether an object was found to be none, or has another size than it should."""
        return name in self.store.damaged or self._sizes.get(name, size) != size

    def created(self, keys: Iterable[Digest]) -> bool:
        """Whether this process was the first to put one of these records there."""
        return not self._created.isdisjoint(keys)

    def signature_of(self, kind: str, key: Digest) -> str | None:
        """Where this process's signature of a record is, or would be; None when it signs nothing."""
        if self._signatures is None or self._signatures.signer is None:
            return None
        return signature_name(result_name(kind, key), self._signatures.signer.keyid)

    def _damaged(self, digest: Digest, reason: str) -> None:
        with self._guard:
            if digest in self._wrong:
                return
            self._wrong.add(digest)
            self._has[blob_name(digest)] = False
        self.standing.say(f"blob {short(digest)} of the store {self.name} is damaged ({reason}); it is not used")
