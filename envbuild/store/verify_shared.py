"""Verifying a shared store: every blob is hashed, every document read strictly, and what it names is looked for.

One listing of everything, in batches, dozens of objects at a time; memory grows with what is wrong and with the names
that there are, not with the store. Whatever looks wrong is looked at once more before it is told: others write, mend
and collect meanwhile.

What is told:

- a blob with other bytes than its name says; a record, closure or generation that is none, or is another's;
- a record whose blobs are not there, a generation that is missing, or whose environments are not there;
- a signature that is not of the bytes that it stands beside;
- what lies under a name that no object of ours can have, and links.

A closure may name packages that the store does not have: they come from where they came from. Whether an environment is
whole there says ``envbuild.store.verify_environment``.

Rules of the file: reads only; what becomes of a finding is ``envbuild.store.mending``'s.
"""

from __future__ import annotations

import random
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from types import MappingProxyType
from typing import cast

from envbuild.derivations import KINDS
from envbuild.digest import Digest, short
from envbuild.errors import IntegrityError, InvalidInput
from envbuild.names import Name, parse_name
from envbuild.objects import Listed
from envbuild.package import PLATFORMS, Platform
from envbuild.store import Result, envelopes
from envbuild.store.envelopes import Envelope
from envbuild.store.findings import Finding, StoreReport, Tell
from envbuild.store.object_names import BLOB, CLOSURE, NAMED, RESULT, blob_name, closure_name, result_name
from envbuild.store.outputs import LARGEST_OUTPUTS, OUTPUTS, parse_outputs
from envbuild.store.parallel import in_parallel
from envbuild.store.shared import FORMAT_NAME, Hashing, SharedStore
from envbuild.store.verify_names import verify_name
from envbuild.store.verify_parts import EVERY_PART, Parts
from envbuild.trust import PublicKey

THREADS = 24
BATCH = 1000

AREAS = ("blobs/", "results/", "environments/", "outputs/", "refs/", "requests/", "signatures/")
OTHERS = ("packs/", "collect/", "probe/")
"""What other rooms keep there, and look after."""


class Verification:
    """One store being verified.

    Args:
        store: Which; its format must be one that we read.
        tell: Told each finding at once; gives what is kept of it.
        share: The share of blobs that are hashed, 0 to 1; documents are all read.
        keys: The keys that are known here, by id: what they are said to have signed is held against them.
        progress: Told how many objects and bytes are done.
    """

    def __init__(
        self,
        store: SharedStore,
        *,
        tell: Tell = lambda finding: finding,
        share: float = 1.0,
        keys: Mapping[str, PublicKey] = MappingProxyType({}),
        progress: Callable[[int, int], None] = lambda *_: None,
    ) -> None:
        self.store = store
        self._tell = tell
        self._share = share
        self._keys = keys
        self._progress = progress
        self._findings: list[Finding] = []
        self._told: set[Finding] = set()
        self._count: Counter[str] = Counter()
        self._strangers: Counter[str] = Counter()
        self._named: dict[Name, list[int]] = {}
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

    def everything(self, parts: Parts | None = None) -> StoreReport:
        """Verify all that is there.

        Args:
            parts: Hash blobs part by part, but for those that were found right before; None hashes all as they come.

        Raises:
            UnreachableError: When the store does not answer; ``no-listing`` for a web server.
        """
        for batch in batches(self.store.objects.list("", self._odd), BATCH):
            records: list[tuple[Listed, str, Digest]] = []
            work: list[Callable[[], object]] = []
            for item in batch:
                if parts is None or not self._later(item.name, parts):
                    self._sort(item, work, records)
            in_parallel(lambda each: each(), work, THREADS)
            self.results([(kind, key) for _, kind, key in records])
            self.count(objects=len(batch))
            self._progress(self._count["objects"], self._count["size"])
        for name, numbers in self._named.items():
            verify_name(self, name, numbers)
        if parts is not None:
            self._by_parts(parts)
        return self.report()

    def _later(self, name: str, parts: Parts) -> bool:
        """Whether an object is a blob, which its part's turn comes for, or came for before."""
        found = BLOB.fullmatch(name)
        if found is not None and found[2][:2] in parts.done:
            self.count(before=1)
        return found is not None

    def _by_parts(self, parts: Parts) -> None:
        """Hash the blobs of each part that is open; a part in which nothing is wrong need not be hashed again."""
        for part in EVERY_PART:
            if part in parts.done:
                continue
            wrong = len(self._findings)
            for batch in batches(self.store.objects.list(f"blobs/sha256/{part}/"), BATCH):
                digests = [Digest(found[2]) for item in batch if (found := BLOB.fullmatch(item.name))]
                in_parallel(self.blob, digests, THREADS)
                self.count(objects=len(batch))
                self._progress(self._count["objects"], self._count["size"])
            if len(self._findings) == wrong:
                parts.add(part)
        parts.end()

    def report(self) -> StoreReport:
        """What was found so far."""
        count = self._count
        return StoreReport(
            blobs=count["blobs"],
            size=count["size"],
            skipped=count["skipped"],
            before=count["before"],
            results=count["results"],
            environments=count["environments"],
            names=count["names"],
            signatures=count["signatures"],
            strangers=tuple(sorted(self._strangers.items())),
            forgotten=count["forgotten"],
            findings=tuple(sorted(self._findings, key=lambda finding: (finding.name, finding.problem))),
        )

    def _sort(self, item: Listed, work: list[Callable[[], object]], records: list[tuple[Listed, str, Digest]]) -> None:
        """What has to be done about one object, by its name."""
        name = item.name
        if found := BLOB.fullmatch(name):
            if self._share < 1 and random.random() >= self._share:  # noqa: S311  a sample, not a secret
                self.count(skipped=1)
            else:
                work.append(partial(self.blob, Digest(found[2])))
        elif (found := RESULT.fullmatch(name)) and found[1] in KINDS:
            records.append((item, found[1], Digest(found[3])))
        elif (found := CLOSURE.fullmatch(name)) and found[1] in PLATFORMS:
            where = cast(Platform, found[1]), Digest(found[2]), Digest(found[3])
            work.append(lambda: self.closure(*where))
        elif (found := OUTPUTS.fullmatch(name)) and found[1] in PLATFORMS:
            work.append(partial(self.outputs, name, cast(Platform, found[1]), Digest(found[3]), Digest(found[4])))
        elif (named := _name(name)) is not None:
            self._named.setdefault(named[0], []).append(named[1])
        elif envelopes.subject_name(name) is not None:
            work.append(partial(self.signature, name))
        elif name.startswith(AREAS):
            self.found(Finding(name=name, problem="misplaced", message="is no name of an object", todo=_STRANGER))
        elif name != FORMAT_NAME and not name.startswith(OTHERS):
            self._strangers[name.split("/")[0]] += 1

    def _odd(self, name: str, what: str) -> None:
        problem = "link" if "link" in what else "misplaced"
        ours = any(pattern.fullmatch(name) for pattern in (BLOB, RESULT, CLOSURE, OUTPUTS))
        todo = "--repair removes the link, never what it leads to" if problem == "link" and ours else _STRANGER
        self.found(Finding(name=name, problem=problem, message=what, todo=todo))

    # One object

    def blob(self, digest: Digest) -> bool:
        """Hash a blob; gives whether it is there and right."""
        name = blob_name(digest)
        into = Hashing()
        for _ in range(2):
            into.restart()
            if not self.store.objects.fetch(name, into):
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
        for last in (False, True):
            try:
                return self.store.result(kind, key)
            except IntegrityError as error:
                if last:
                    self.found(Finding(name=result_name(kind, key), problem="bad-record", message=error.message))
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
            if size is None:
                message = f"names its output {label} ({short(output.sha256)}), which is not there"
                self.found(Finding(name=name, problem="missing-output", message=message, digest=output.sha256))
            elif size != output.size and self.blob(output.sha256):
                message = f"says {output.size} bytes of its output {label}, which has {size}"
                self.found(Finding(name=name, problem="wrong-size", message=message))

    def closure(self, platform: Platform, request: Digest, environment: Digest) -> bytes | None:
        """Read a closure; gives it when it is right."""
        self.count(environments=1)
        for last in (False, True):
            try:
                return self.store.closure(platform, request, environment)
            except IntegrityError as error:
                if last:
                    name = closure_name(platform, request, environment)
                    self.found(Finding(name=name, problem="bad-closure", message=error.message))
        return None

    def outputs(self, name: str, platform: Platform, environment: Digest, digest: Digest) -> None:
        """Hold a document of what an environment's builds came to against its name."""
        for last in (False, True):
            try:
                data = self.store.objects.read(name, LARGEST_OUTPUTS)
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
            data = self.store.objects.read(name, envelopes.LARGEST_ENVELOPE)
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


_STRANGER = "nothing of envbuild is called so: delete it if nobody needs it"


def _name(name: str) -> tuple[Name, int] | None:
    """The name and generation that an object is, by how it is called."""
    found = NAMED.fullmatch(name)
    if found is None or int(found[4]) == 0:
        return None
    if found[1] == "requests":
        right = re.fullmatch(r"[0-9a-f]{64}", found[2]) and re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,63}", found[3])
        return (Name(path=f"_/{found[2]}", tag=found[3]), int(found[4])) if right else None
    try:
        return parse_name(f"{found[2]}:{found[3]}"), int(found[4])
    except InvalidInput:
        return None


def batches(items: Iterator[Listed], size: int) -> Iterator[list[Listed]]:
    """Items, so many at a time."""
    batch: list[Listed] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
