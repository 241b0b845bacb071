"""Verifying a shared store: every blob is hashed, every document read strictly, and what it names is looked for.

One listing of everything, in batches, dozens of objects at a time; memory grows with what is wrong and with the names
that there are, not with the store. Whatever looks wrong is looked at once more before it is told: others write, mend
and collect meanwhile.

What is told:

- a blob with other bytes than its name says; a record, closure or generation that is none, or is another's;
- a record whose blobs are not there, a generation that is missing, or whose environments are not there;
- a signature that is not of the bytes that it stands beside;
- what lies under a name that no object of ours can have, and links;
- what a listing names and cannot be read: to who only reads that is a miss, as a cloud says the same of what is absent.

A closure may name packages that the store does not have: they come from where they came from. Whether an environment is
whole there says ``envbuild.store.verify_environment``.

Rules of the file: reads only; what becomes of a finding is ``envbuild.store.mending``'s.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import MappingProxyType
from typing import cast

from envbuild.derivations import KINDS
from envbuild.digest import Digest
from envbuild.names import Name
from envbuild.objects import Listed
from envbuild.package import PLATFORMS, Platform
from envbuild.store import envelopes
from envbuild.store.findings import Finding, StoreReport, Tell
from envbuild.store.object_names import BLOB, CLOSURE, RESULT
from envbuild.store.outputs import OUTPUTS
from envbuild.store.parallel import in_parallel
from envbuild.store.shared import SharedStore
from envbuild.store.shared_format import FORMAT_NAME
from envbuild.store.verify_names import generation_of, verify_name
from envbuild.store.verify_objects import THREADS, ObjectChecks
from envbuild.store.verify_parts import EVERY_PART, Parts
from envbuild.trust import PublicKey

BATCH = 1000

AREAS = ("blobs/", "results/", "environments/", "outputs/", "refs/", "requests/", "signatures/")
OTHERS = ("packs/", "collect/", "probe/")
"""What other rooms keep there, and look after."""


class Verification(ObjectChecks):
    """One store being verified.

    Args:
        store: Which; its format must be one that we read.
        tell: Told each finding at once; gives what is kept of it.
        share: The share of blobs that are hashed, 0 to 1; documents are all read.
        keys: As of ``ObjectChecks``.
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
        super().__init__(store, tell=tell, keys=keys)
        self._share = share
        self._progress = progress
        self._strangers: Counter[str] = Counter()
        self._named: dict[Name, list[int]] = {}

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
            right = True
            for batch in batches(self.store.objects.list(f"blobs/sha256/{part}/"), BATCH):
                digests = [Digest(found[2]) for item in batch if (found := BLOB.fullmatch(item.name))]
                right = all(in_parallel(self.blob, digests, THREADS)) and right
                self.count(objects=len(batch))
                self._progress(self._count["objects"], self._count["size"])
            if right:
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
        elif (named := generation_of(name)) is not None:
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


_STRANGER = "nothing of envbuild is called so: delete it if nobody needs it"


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
