"""Copying one shared store into another: blobs first, then the records that name them, closures, signatures.

Every blob is hashed on its way, every document read: what is not what its name says stays behind, and is told. What the
other store has is not sent, so a copy that ended early is gone on with. Documents keep their bytes, so that signatures
of them stay true.

Names are copied where that is asked for (``envbuild.store.copying_names``): what a name means is a store's word.

Rules of the file: through ``SharedStore`` alone; what it lists it believes for the names only.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import cast

from envbuild.derivations import KINDS
from envbuild.digest import Digest
from envbuild.errors import IntegrityError, StaleError, UnreachableError
from envbuild.lock import Lock, LockedEnvironment
from envbuild.machine.publish import Incoming
from envbuild.objects import Listed
from envbuild.package import PLATFORMS, Platform
from envbuild.store import envelopes
from envbuild.store.needs import needs_of
from envbuild.store.object_names import BLOB, CLOSURE, RESULT, blob_name, closure_name
from envbuild.store.outputs import LARGEST_OUTPUTS, OUTPUTS, outputs_folder, parse_outputs
from envbuild.store.parallel import in_parallel
from envbuild.store.replacing import replace_blob
from envbuild.store.shared import SharedStore
from envbuild.store.verify_objects import THREADS
from envbuild.store.verify_shared import BATCH, batches
from envbuild.value import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """What a copy sent.

    Attributes:
        blobs: How many the other store did not have; ``size``: their bytes.
        results: Records likewise; ``environments``: closures; ``signatures``; ``generations``: of names.
        damaged: Objects that are not what their names say, or are not given, and stayed behind.
        diverged: Names that mean something else there, each in a sentence; they stayed as they are.
    """

    blobs: int
    size: int
    results: int
    environments: int
    signatures: int
    generations: int
    damaged: tuple[str, ...]
    diverged: tuple[str, ...]


class Copy:
    """One store being copied into another.

    Args:
        source: Where from.
        target: Must be one that can be written.
        scratch: A folder for one file of each thread.
        progress: Told how many objects are done, and how many bytes were sent.

    Raises:
        StaleError: ``store-format`` when one of them is of a format that we do not know.
        UnreachableError: When one of them does not answer, or refuses.

    Attributes:
        damaged: See ``Copied``; so are ``diverged`` and ``count``.
    """

    def __init__(
        self,
        source: SharedStore,
        target: SharedStore,
        scratch: Path,
        progress: Callable[[int, int], None] = lambda *_: None,
    ) -> None:
        self.source = source
        self.target = target
        self._scratch = scratch
        self._progress = progress
        self._guard = threading.Lock()
        self.count: Counter[str] = Counter()
        self.damaged: set[str] = set()
        self.diverged: list[str] = []
        if source.use() == "none" or target.use() != "write":
            other = source if source.use() == "none" else target
            raise StaleError(f"another version of envbuild made the store {other.name}", reference="store-format")
        target.check_keeps()
        target.holder()  # before it is asked what it has

    def everything(self) -> None:
        """Copy all but names; the source must be one that can be listed."""
        for prefix in ("blobs/sha256/", "results/", "outputs/", "environments/", "signatures/results/"):
            self._send(self.source.objects.list(prefix))

    def environment(self, lock: Lock, environment: LockedEnvironment) -> None:
        """Copy one environment: what the source has of all that it can be made of, and its closure."""
        needs = needs_of(lock, environment)
        names = needs.names()
        there = self.source.sizes(names)
        records = [name for name in there if RESULT.fullmatch(name)]
        outputs = set()
        for name in records:
            found = RESULT.fullmatch(name)
            assert found is not None
            try:
                result = self.source.result(found[1], Digest(found[3]))
            except IntegrityError:
                continue  # it is told when it is sent
            outputs |= {blob_name(output.sha256) for _, output in result.outputs} if result is not None else set()
        there = {**there, **self.source.sizes(sorted(outputs - there.keys()))}
        self._send(_item(name, size) for name, size in there.items() if BLOB.fullmatch(name))
        self._send(_item(name, there[name]) for name in records)
        closure = closure_name(environment.platform, lock.request, environment.id)
        self.closures([closure])
        self.signatures(records)
        if records:
            self._send(self.source.objects.list(outputs_folder(environment.platform, lock.request, environment.id)))

    def closures(self, names: Iterable[str]) -> None:
        """Copy closures that the source has."""
        self._send(_item(name, size) for name, size in self.source.sizes(sorted(names)).items())

    def signatures(self, subjects: Iterable[str]) -> None:
        """Copy the signatures of some records or generations, where the source can be listed."""
        folders = [f"{envelopes.FOLDER}{subject.removesuffix('.json')}/" for subject in subjects]
        self._send(chain.from_iterable(map(self.source.objects.list, folders)))

    def _send(self, listed: Iterable[Listed]) -> None:
        for batch in batches(iter(listed), BATCH):
            items = [item for item in batch if _is_ours(item.name)]
            there = self.target.sizes([item.name for item in items])
            self.target.holder().hold(there)
            in_parallel(
                self._one,
                [item for item in items if there.get(item.name) is None or self._differs(item, there[item.name])],
                THREADS,
            )
            with self._guard:
                self.count["objects"] += len(batch)
            self._progress(self.count["objects"], self.count["size"])

    def _differs(self, item: Listed, size: int) -> bool:
        return BLOB.fullmatch(item.name) is not None and size != item.size

    def _one(self, item: Listed) -> None:
        try:
            kind = self._copy(item)
        except IntegrityError:
            with self._guard:
                self.damaged.add(item.name)
            return
        if kind is not None:
            with self._guard:
                self.count.update({kind: 1, "size": item.size if kind == "blobs" else 0})

    def _copy(self, item: Listed) -> str | None:
        """Copy one object; gives what it is, when it was sent."""
        if found := BLOB.fullmatch(item.name):
            return "blobs" if self._blob(Digest(found[2]), item) else None
        if found := RESULT.fullmatch(item.name):
            return "results" if self._result(found[1], Digest(found[3]), item.name) else None
        if found := CLOSURE.fullmatch(item.name):
            where = cast(Platform, found[1]), Digest(found[2]), Digest(found[3])
            data = self.source.closure(*where)
            if data is None:
                self._absent(item.name)
                return None
            return "environments" if self.target.put_closure(*where, data) == "created" else None
        if found := OUTPUTS.fullmatch(item.name):
            data = self.source.objects.read(item.name, LARGEST_OUTPUTS)
            if data is None:
                self._absent(item.name)
                return None
            parse_outputs(data, Digest(found[4]), cast(Platform, found[1]), Digest(found[3]))
            self.target.put_outputs(item.name, data)
            return None
        return "signatures" if self._signature(item.name) else None

    def _blob(self, digest: Digest, item: Listed) -> bool:
        with Incoming(self._scratch, item.size) as incoming:
            if not self.source.blob(digest, incoming, item.size):
                self._absent(item.name)
                return False
            if item.name in self.target.sizes([item.name]):  # of another size than it has here, which is right
                return replace_blob(self.target, digest, incoming.path)
            return self.target.put_blob(digest, incoming.path) == "created"

    def _result(self, kind: str, key: Digest, name: str) -> bool:
        result, data = self.source.result(kind, key), self.source.objects.read(name)
        if result is None or data is None:
            self._absent(name)
            return False
        names = {blob_name(output.sha256) for _, output in result.outputs}
        if len(self.target.sizes(sorted(names))) != len(names):
            return False  # a record never names what is not there
        self.target.holder().hold([name, *names])
        return self.target.objects.put(name, data) == "created"

    def _signature(self, name: str) -> bool:
        """Copy a signature of what the target has, byte for byte; of anything else it would be none."""
        subject = envelopes.subject_name(name)
        data = self.source.objects.read(name, envelopes.LARGEST_ENVELOPE)
        if subject is None or data is None:
            self._absent(name)
            return False
        try:
            payload = envelopes.parse_envelope(data).payload
        except ValueError as error:
            raise IntegrityError(f"{name} is no signature ({error})", reference="bad-signature") from None
        if self.target.objects.read(subject[0]) != payload:
            return False
        self.target.holder().hold([name])
        return self.target.objects.put(name, data) == "created"

    def _absent(self, name: str) -> None:
        """What was there a moment ago is gone; or it is refused, and then a copy without it is not whole.

        Raises:
            IntegrityError: For what is still there, where the source can be listed.
        """
        with suppress(UnreachableError):
            if self.source.lists(name):
                raise IntegrityError(f"{name} is there, and is not given", reference="refused")

    def report(self) -> Copied:
        """What was sent."""
        count = self.count
        return Copied(
            blobs=count["blobs"],
            size=count["size"],
            results=count["results"],
            environments=count["environments"],
            signatures=count["signatures"],
            generations=count["generations"],
            damaged=tuple(sorted(self.damaged)),
            diverged=tuple(self.diverged),
        )


def _is_ours(name: str) -> bool:
    if found := RESULT.fullmatch(name):
        return found[1] in KINDS
    if found := CLOSURE.fullmatch(name):
        return found[1] in PLATFORMS
    if found := OUTPUTS.fullmatch(name):
        return found[1] in PLATFORMS
    return BLOB.fullmatch(name) is not None or envelopes.subject_name(name) is not None


def _item(name: str, size: int) -> Listed:
    return Listed(name=name, size=size, modified=0.0)
