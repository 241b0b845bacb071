"""What of a shared store stays: what each object was last wanted for, found from the roots.

Roots are what names mean and meant, environments that are pinned or that somebody's locks hold, what schedulers may
start, what was locked, sent or launched within the days to keep, and what writers hold of what was announced. A closure
that stays keeps every file and record that its build graph can ask for, a record its outputs. Each object gets a time:
the youngest of all that want it, its own among them; ``FOREVER`` for what a root wants. So "older than 30 days" and
"the oldest until the rest fits" are one question.

While something is deleted there is one more: what nobody announced stays this time, whatever its age, for somebody made
it after what was announced was listed; and so does all that it wants.

Nothing stays undecided: a name or a closure that cannot be read ends the collection before anything is deleted, and so
does what is listed and refused.

Rules of the file: reads only. Of a digest 60 bits are kept in memory: two that share them only keep each other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import cast

from envbuild.derivations import KINDS
from envbuild.digest import Digest
from envbuild.errors import IntegrityError, InvalidInput, UnreachableError
from envbuild.locks.lockfile import parse_closure
from envbuild.objects import Listed, Objects, Odd
from envbuild.package import PLATFORMS, Platform
from envbuild.pattern import pattern
from envbuild.store import rooted
from envbuild.store.deployments import AREA, DEPLOYMENT, Deployment, from_bytes, newest
from envbuild.store.marks import Mark
from envbuild.store.needs import needs_of
from envbuild.store.object_names import BLOB, CLOSURE, RESULT, closure_name, result_name
from envbuild.store.outputs import OUTPUTS
from envbuild.store.parallel import in_parallel
from envbuild.store.shared import LARGEST_CLOSURE, SharedStore
from envbuild.value import dataclass

FOREVER = math.inf
NEVER = -math.inf

_SIGNATURE = pattern(r"signatures/results/([a-z-]+)/([0-9a-f]{2})/(\2[0-9a-f]{62})/[0-9a-f]{64}\.json")
_PACK = pattern(r"packs/([a-z0-9-]+)/([0-9a-f]{64})/([0-9a-f]{64})\.[a-z]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Roots:
    """What stays whatever its age.

    Attributes:
        environments: Ids of environments that are pinned, or held by locks.
        spared: Objects that writers hold, by name.
        touched: Objects that writers held once, each with when.
        keep_generations: Of tags that move, how many of the newest generations count; all when None.
    """

    environments: frozenset[Digest]
    spared: frozenset[str] = frozenset()
    touched: tuple[tuple[str, float], ...] = ()
    keep_generations: int | None = None


class Staying:
    """When each object of a store was last wanted; see the module's docstring.

    Args:
        store: Which.
        since: Nothing older is wanted by its age alone: seconds since 1970, by the store's clock.
        note: Told what is odd about names.
        step: Told now and then what was read so far.
        announced: What is deleted now, as far as nobody wants it; None when nothing is.

    Attributes:
        names: How many generations of names are roots.
    """

    def __init__(
        self,
        store: SharedStore,
        since: float,
        note: Callable[[str], None] = lambda _: None,
        step: Callable[[str, int], None] = lambda *_: None,
        announced: Mark | None = None,
    ) -> None:
        self._store = store
        self._objects: Objects = store.objects
        self._since = since
        self._note = note
        self._step = step
        self._announced = announced
        self._spared: set[int] = set()
        self._spared_closures: set[str] = set()
        self._when: dict[int, float] = {}
        self._closures: dict[str, float] = {}
        self._deployments: dict[str, float] = {}
        self.names = 0

    def find(self, roots: Roots, odd: Odd) -> None:
        """Find out what stays.

        Args:
            roots: What stays whatever its age.
            odd: Told of what can be nothing of a store's.

        Raises:
            IntegrityError: When a name or a closure that stays cannot be read.
            UnreachableError: When the store does not answer.
        """
        named, self.names = rooted.named(self._objects, roots.keep_generations, odd, self._step)
        for name in named:
            self._closures[name] = FOREVER
        for name, when in [*((name, FOREVER) for name in roots.spared), *roots.touched]:
            self._want(name, when)
        for closures, when in rooted.locked(self._objects, self._since):
            for name in closures:
                self._want(name, when)
        self._launched()
        self._follow_closures(roots.environments, frozenset(named))
        self._follow_results()

    def when(self, item: Listed) -> float | None:
        """When an object was last wanted; None for one that is not ours to collect."""
        name = item.name
        if DEPLOYMENT.fullmatch(name):
            return self._deployments.get(name, item.modified)
        if found := BLOB.fullmatch(name):
            return max(self._when.get(_bits(found[2]), NEVER), item.modified)
        if (found := RESULT.fullmatch(name)) and found[1] in KINDS:
            return max(self._when.get(_bits(found[3]), NEVER), item.modified)
        if (found := CLOSURE.fullmatch(name)) and found[1] in PLATFORMS:
            return max(self._closures.get(name, NEVER), item.modified)
        if (found := _SIGNATURE.fullmatch(name)) and found[1] in KINDS:
            return self._when.get(_bits(found[3]), NEVER)
        if (found := _PACK.fullmatch(name)) and found[1] in PLATFORMS:
            return self._closures.get(f"environments/{found[1]}/{found[2]}/{found[3]}.json", NEVER)
        if (found := OUTPUTS.fullmatch(name)) and found[1] in PLATFORMS:
            return self._closures.get(f"environments/{found[1]}/{found[2]}/{found[3]}.json", NEVER)
        return None

    def spares(self, item: Listed) -> bool:
        """Whether something wants it that stays this time because nobody announced it."""
        name = item.name
        if found := BLOB.fullmatch(name):
            return _bits(found[2]) in self._spared
        if found := RESULT.fullmatch(name) or _SIGNATURE.fullmatch(name):
            return _bits(found[3]) in self._spared
        if found := _PACK.fullmatch(name) or OUTPUTS.fullmatch(name):
            name = f"environments/{found[1]}/{found[2]}/{found[3]}.json"
        return name in self._spared_closures

    def _is_new(self, name: str) -> bool:
        return self._announced is not None and name not in self._announced

    def _want(self, name: str, when: float) -> None:
        if found := BLOB.fullmatch(name):
            self._add(found[2], when)
        elif found := RESULT.fullmatch(name) or _SIGNATURE.fullmatch(name):
            self._add(found[3], when)
        elif CLOSURE.fullmatch(name):
            self._closures[name] = max(self._closures.get(name, NEVER), when)
        elif found := OUTPUTS.fullmatch(name):  # who holds it is about to put its closure
            self._want(f"environments/{found[1]}/{found[2]}/{found[3]}.json", when)

    def _add(self, digest: str, when: float, *, spared: bool = False) -> None:
        bits = _bits(digest)
        if self._when.get(bits, NEVER) < when:
            self._when[bits] = when
        if spared and when < FOREVER:
            self._spared.add(bits)

    # Launches onto other machines

    def _launched(self) -> None:
        """What schedulers may start at any time, and what was launched within the days to keep."""
        when, lasting = newest(self._objects.list(AREA))
        self._deployments = {name: FOREVER if name in lasting else modified for name, modified in when.items()}
        new = {name for name in self._deployments if self._is_new(name)}
        wanted = [item for item in self._deployments.items() if item[1] >= self._since or item[0] in new]
        for batch in rooted.batches(wanted):
            for name, time, deployment in in_parallel(self._deployment, batch):
                closures = [closure_name(*where) for where in deployment.environments]
                for closure in closures:
                    self._want(closure, time)
                if name in new:
                    self._spared_closures.update(closures)
                for digest in deployment.blobs:
                    self._add(digest, time, spared=name in new)

    def _deployment(self, where: tuple[str, float]) -> tuple[str, float, Deployment]:
        name, when = where
        try:
            data = self._objects.read(name)
            if data is None:  # somebody let go of it just now
                self._check_gone(name)
                return name, when, Deployment(of="", lasts=False, environments=(), blobs=())
            return name, when, from_bytes(data, name)
        except IntegrityError as error:
            raise rooted.refused(self._objects, error.message, error.reference) from error

    # What closures and records want

    def _follow_closures(self, environments: frozenset[Digest], named: frozenset[str]) -> None:
        absent = set(named)
        for batch in rooted.batches(self._objects.list("environments/")):
            wanted = []
            for item in batch:
                match = CLOSURE.fullmatch(item.name)
                if match is None or match[1] not in PLATFORMS:
                    continue
                absent.discard(item.name)
                when = FOREVER if match[3] in environments else max(self._closures.get(item.name, NEVER), item.modified)
                if when < FOREVER and self._is_new(item.name):
                    self._spared_closures.add(item.name)
                if when >= self._since or item.name in self._spared_closures:
                    self._closures[item.name] = when
                    wanted.append((item.name, cast(Platform, match[1]), Digest(match[2]), Digest(match[3]), when))
            for name, when, digests in in_parallel(self._needs, wanted):
                for digest in digests:
                    self._add(digest, when, spared=name in self._spared_closures)
            self._step("environments", len(batch))
        for name in sorted(absent):
            self._closures.pop(name, None)
        if absent:
            more = f" and {len(absent) - 1} more" if len(absent) > 1 else ""
            self._note(f"names mean environments whose closures are not there: {sorted(absent)[0]}{more}")

    def _needs(self, where: tuple[str, Platform, Digest, Digest, float]) -> tuple[str, float, list[Digest]]:
        """What a closure needs; nothing when somebody else has just collected it."""
        name, platform, request, environment, when = where
        try:
            data = self._objects.read(name, LARGEST_CLOSURE)
            if data is None:
                self._check_gone(name)
                return name, when, []
            lock = parse_closure(data, name)
            if lock.request != request or [(item.platform, item.id) for item in lock.platforms] != [
                (platform, environment)
            ]:
                raise IntegrityError("it is another environment's", reference="bad-closure")
            needs = needs_of(lock, lock.platforms[0])
        except (IntegrityError, InvalidInput) as error:
            raise rooted.refused(self._objects, f"{name} cannot be read: {error.message}", "bad-closure") from error
        return name, when, [*needs.blobs, *(key for _, key in needs.results)]

    def _follow_results(self) -> None:
        def wanted() -> Iterator[tuple[str, Digest, float, bool]]:
            for item in self._objects.list("results/"):
                match = RESULT.fullmatch(item.name)
                if match is not None and match[1] in KINDS:
                    when = max(self._when.get(_bits(match[3]), NEVER), item.modified)
                    spared = self._is_new(item.name) or _bits(match[3]) in self._spared
                    if when >= self._since or spared:
                        yield match[1], Digest(match[3]), when, spared

        for batch in rooted.batches(wanted()):
            for when, spared, digests in in_parallel(self._outputs, batch):
                for digest in digests:
                    self._add(digest, when, spared=spared)
            self._step("results", len(batch))

    def _outputs(self, where: tuple[str, Digest, float, bool]) -> tuple[float, bool, list[Digest]]:
        """A record and what it names; of one that cannot be read, which counts for nobody, itself alone."""
        kind, key, when, spared = where
        with suppress(IntegrityError):
            result = self._store.result(kind, key)
            if result is not None:
                return when, spared, [key, *(output.sha256 for _, output in result.outputs)]
            self._check_gone(result_name(kind, key))
        return when, spared, [key]

    def _check_gone(self, name: str) -> None:
        """What was listed and is absent now was collected, or is refused: clouds may say one as the other.

        Raises:
            UnreachableError: ``refused`` for what is still listed: what it wants cannot be known.
        """
        if self._store.lists(name):
            raise UnreachableError(
                f"nothing in {self._objects.address} is collected while something that stays is refused: {name}",
                reference="refused",
                hint="look at the rights, the encryption key and the storage class of that object",
            )


def _bits(digest: str) -> int:
    return int(digest[:15], 16)
