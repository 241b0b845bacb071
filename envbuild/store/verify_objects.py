"""Verifying objects of a shared store one by one: what each must be, and what it names.

Whatever looks wrong is looked at once more before it is told: others write, mend and collect meanwhile.

Rules of the file: reads only; asks for objects by their names, and lists only what could not be read.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import TypeVar

from envbuild.digest import Digest, short
from envbuild.errors import IntegrityError, UnreachableError
from envbuild.package import Platform
from envbuild.store import Result, envelopes
from envbuild.store.arriving import Hashing
from envbuild.store.envelopes import Envelope
from envbuild.store.findings import Finding, Tell
from envbuild.store.object_names import blob_name, closure_name, result_name
from envbuild.store.outputs import LARGEST_OUTPUTS, parse_outputs
from envbuild.store.parallel import in_parallel
from envbuild.store.shared import SharedStore
from envbuild.trust import PublicKey

T = TypeVar("T")

THREADS = 24

_REFUSED = "is there, and the store refuses to give it: to who needs it, it is absent"
_RIGHTS = "look at the rights, the encryption key and the storage class of that object"


class ObjectChecks:
    """What is looked at in one store, and what was found; safe to call from many threads.

    Args:
        store: Which; its format must be one that we read.
        tell: Told each finding at once; gives what is kept of it.
        keys: The keys that are known here, by id: what they are said to have signed is held against them.
    """

    def __init__(
        self,
        store: SharedStore,
        *,
        tell: Tell = lambda finding: finding,
        keys: Mapping[str, PublicKey] = MappingProxyType({}),
    ) -> None:
        self.store = store
        self._tell = tell
        self._keys = keys
        self._findings: list[Finding] = []
        self._told: set[Finding] = set()
        self._count: Counter[str] = Counter()
        self._guard = threading.Lock()

    def found(self, finding: Finding) -> None:
        """Take a finding, once."""
        with self._guard:
            if finding in self._told:
                return
            self._told.add(finding)
        self._findings.append(self._tell(finding))

    def count(self, **counts: int) -> None:
        """Count what was looked at."""
        with self._guard:
            self._count.update(counts)

    def unreadable(self, name: str) -> bool:
        """Whether an object that could not be read is there all the same; then that is a finding.

        Args:
            name: The object. It is looked for in a listing, which names what there is to who may not read it.
        """
        try:
            there = self.store.lists(name)
        except UnreachableError:  # who may not list cannot know: absent, as it is to everybody else
            return False
        if there:
            self.found(Finding(name=name, problem="unreadable", message=_REFUSED, todo=_RIGHTS))
        return there

    def read(self, name: str, ask: Callable[[], T]) -> T | None:
        """What reading one object gives; None, or False, where it is absent, or is there and cannot be read.

        Raises:
            UnreachableError: When the store does not answer.
            IntegrityError: As ``ask`` does.
        """
        try:
            found = ask()
        except UnreachableError as error:
            if error.reference != "refused" or not self.unreadable(name):
                raise
            return None
        if found is None or found is False:  # an empty object was read
            self.unreadable(name)
        return found

    def blob(self, digest: Digest) -> bool:
        """Hash a blob; gives whether it is there and right."""
        name = blob_name(digest)
        into = Hashing()
        for _ in range(2):
            into.restart()
            if not self.read(name, lambda: self.store.objects.fetch(name, into)):
                return False
            if into.digest() == digest:
                self.count(blobs=1, size=into.size)
                return True
        self.count(blobs=1, size=into.size)
        message = f"holds other bytes: its sha256 is {into.digest()}, of {into.size} bytes"
        self.found(Finding(name=name, problem="wrong-bytes", message=message, digest=digest))
        return False

    def results(self, keys: Iterable[tuple[str, Digest]]) -> list[Result]:
        """Read records and look for their blobs: gives those that are whole."""
        read = [result for result in in_parallel(lambda each: self._result(*each), keys, THREADS) if result is not None]
        outputs = {blob_name(output.sha256) for result in read for _, output in result.outputs}
        there = self.store.sizes(sorted(outputs))
        whole = []
        for result in read:
            wrong = [
                (name, output) for name, output in result.outputs if there.get(blob_name(output.sha256)) != output.size
            ]
            if not wrong:
                whole.append(result)
            else:
                self._incomplete(result)
        return whole

    def _result(self, kind: str, key: Digest) -> Result | None:
        self.count(results=1)
        name = result_name(kind, key)
        for last in (False, True):
            try:
                return self.read(name, lambda: self.store.result(kind, key))
            except IntegrityError as error:
                if last:
                    self.found(Finding(name=name, problem="bad-record", message=error.message))
        return None

    def _incomplete(self, result: Result) -> None:
        """Tell of outputs that are not there, or are of another size than the record says, if it still says so."""
        try:
            if self.store.result(result.kind, result.key) != result:
                return
        except IntegrityError:
            return
        sizes = self.store.sizes([blob_name(output.sha256) for _, output in result.outputs])
        name = result_name(result.kind, result.key)
        for label, output in result.outputs:
            size = sizes.get(blob_name(output.sha256))
            if size is None and self.unreadable(blob_name(output.sha256)):
                continue
            if size is None:
                message = f"names its output {label} ({short(output.sha256)}), which is not there"
                self.found(Finding(name=name, problem="missing-output", message=message, digest=output.sha256))
            elif size != output.size and self.blob(output.sha256):
                message = f"says {output.size} bytes of its output {label}, which has {size}"
                self.found(Finding(name=name, problem="wrong-size", message=message))

    def closure(self, platform: Platform, request: Digest, environment: Digest) -> bytes | None:
        """Read a closure; gives it when it is right."""
        self.count(environments=1)
        name = closure_name(platform, request, environment)
        for last in (False, True):
            try:
                return self.read(name, lambda: self.store.closure(platform, request, environment))
            except IntegrityError as error:
                if last:
                    self.found(Finding(name=name, problem="bad-closure", message=error.message))
        return None

    def outputs(self, name: str, platform: Platform, environment: Digest, digest: Digest) -> None:
        """Hold a document of what an environment's builds came to against its name."""
        for last in (False, True):
            try:
                data = self.read(name, lambda: self.store.objects.read(name, LARGEST_OUTPUTS))
                if data is not None:
                    parse_outputs(data, digest, platform, environment)
                return
            except IntegrityError as error:
                if last:
                    self.found(Finding(name=name, problem="bad-outputs", message=error.message))

    def signature(self, name: str) -> None:
        """Hold a signature against the bytes that it is about, and its key where that is known here."""
        subject = envelopes.subject_name(name)
        assert subject is not None
        self.count(signatures=1)
        problem = ""
        for _ in range(2):
            data = self.read(name, lambda: self.store.objects.read(name, envelopes.LARGEST_ENVELOPE))
            if data is None:
                return
            about = self.store.objects.read(subject[0])
            try:
                envelope = envelopes.parse_envelope(data)
            except ValueError as error:
                problem = f"is no signature: {error}"
                continue
            if (envelope.payload, envelope.keyid) == (about, subject[1]):
                if self._is_signed(envelope, subject[0]):
                    return
                problem = "is none that its key made"
                continue
            problem = "is a signature of what is not there" if about is None else "signs other bytes than are there"
        self.found(Finding(name=name, problem="bad-signature", message=problem))

    def _is_signed(self, envelope: Envelope, subject: str) -> bool:
        """Whether a key made a signature, as far as the key is known."""
        key = self._keys.get(envelope.keyid)
        if key is None:
            return True
        from envbuild.store.signatures import is_valid

        return envelope.payload_type == envelopes.payload_type(subject) and is_valid(envelope, key)
