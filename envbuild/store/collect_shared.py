"""Collecting a shared store: what nobody wants is announced, and deleted a grace later, if still nobody wants it.

One run does what is due: it ends a collection that was interrupted, deletes what was announced long enough ago, and
announces what is to go next. Every step may be the last of a process that is killed, and any number of collectors may
work at once: what is there says how far the collection is.

1. ``collect/mark.json`` announces, create-only, what nobody wants now.
2. A grace later, by the store's clock, the mark's log is closed: from then on nobody can hold any of it.
3. Then everything is looked at anew. Deleted is what the mark announced, what is older than the mark, what nobody wants
   now, and what the log does not hold: first what refers, then what is referred to.
4. The mark is taken away.

Whoever reads meanwhile finds an object or does not, and one that is gone is a miss. Whoever writes holds what it needs
of what is announced (``envbuild.store.marks``), or makes nothing that names it.

Rules of the file: only names of the layout are deleted; ages are differences of the store's own times.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable
from dataclasses import field

from envbuild.digest import Digest
from envbuild.errors import StaleError
from envbuild.faults import reach
from envbuild.objects import Listed
from envbuild.store import marks
from envbuild.store.marks import MARK_NAME, Mark
from envbuild.store.parallel import in_parallel
from envbuild.store.shared import SharedStore
from envbuild.store.staying import FOREVER, Roots, Staying
from envbuild.value import dataclass, replace

DAY = 86400.0
_ORDER = ("environments/", "outputs/", "packs/", "signatures/results/", "results/", "blobs/sha256/")
"""What refers goes before what it refers to."""
_BATCH = 512
_TOLD = 1000
_MINUTE = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What stays, and how long everything else does.

    Attributes:
        days: Days for which what was sent or locked stays without a root.
        grace: Days between announcing and deleting.
        keep_generations: Of tags that move, the newest generations that are roots; all when None.
        environments: Ids that stay: those of locks.
        largest: Bytes that the store may have: the oldest without a root goes until it has no more.
    """

    days: float = 30.0
    grace: float = 7.0
    keep_generations: int | None = None
    environments: frozenset[Digest] = frozenset()
    largest: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """Some of what is in a store: how many environments, results and blobs, and the bytes of everything."""

    environments: int = 0
    results: int = 0
    blobs: int = 0
    size: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What a collection did, or would do.

    Attributes:
        removed: What it deleted.
        announced: How many objects will be deleted by a later one, ``announced_size``: their bytes.
        due: Seconds until then; None when nothing is announced.
        kept: What stays, with what is announced; None when nothing was looked at, because nothing was due.
        names: Generations of names that were roots; ``pins``: environments that are pinned.
        odd: Names that are nothing of a store's, and were left alone.
    """

    removed: Share = field(default_factory=Share)
    announced: int = 0
    announced_size: int = 0
    due: float | None = None
    kept: Share | None = None
    names: int = 0
    pins: int = 0
    odd: int = 0


def collect_store(
    store: SharedStore,
    policy: Policy,
    *,
    dry_run: bool = False,
    tell: Callable[[str, Listed], object] = lambda *_: None,
    note: Callable[[str], None] = lambda _: None,
    step: Callable[[str, int], None] = lambda *_: None,
) -> Collected:
    """Do what is due in a store; see the module's docstring.

    Args:
        store: Which; it must be one that may be written, listed and deleted from.
        policy: What stays.
        dry_run: Write nothing but the object that tells the store's time, and delete nothing.
        tell: Told ``remove`` or ``announce``, with the object.
        note: Told what a user must know.
        step: Told what is looked at, and how many more of it were.

    Raises:
        StaleError: ``store-format`` for a store of another version.
        IntegrityError: When a name or a closure that stays cannot be read: nothing is deleted then.
        UnreachableError: When it does not answer, or refuses; ``refused`` names the right that is missing.
    """
    if store.use() != "write":
        raise StaleError(f"another version of envbuild made the store {store.name}", reference="store-format")
    said: set[str] = set()

    def once(text: str) -> None:
        if text not in said:
            said.add(text)
            note(text)

    done = _Collection(store, policy, dry_run, tell, once, step).run()
    if done.due == 0.0 and not dry_run:  # without a grace, what was announced is due at once
        again = _Collection(store, policy, dry_run, tell, once, step).run()
        return replace(again, removed=_sum(done.removed, again.removed), odd=max(done.odd, again.odd))
    return done


class _Collection:
    """One run over one store."""

    def __init__(
        self,
        store: SharedStore,
        policy: Policy,
        dry_run: bool,
        tell: Callable[[str, Listed], object],
        note: Callable[[str], None],
        step: Callable[[str, int], None],
    ) -> None:
        self._store = store
        self._objects = store.objects
        self._policy = policy
        self._dry = dry_run
        self._tell = tell
        self._note = note
        self._step = step
        self._odd: dict[str, str] = {}
        self._removed: Counter[str] = Counter()
        self._kept: Counter[str] = Counter()
        self._next = array("I")
        self._next_size = 0
        self._pins: set[Digest] = set()
        self._logs: dict[str, list[tuple[int, float]]] = {}
        self._marked_at = FOREVER

    def run(self) -> Collected:
        now = marks.store_time(self._objects)
        self._look_at_collections()
        mark = marks.read_mark(self._objects)
        if mark is not None and self._is_ended(mark) and not self._dry:
            self._objects.delete(MARK_NAME)  # all that was left to do
            mark = None
        due = None if mark is None else self._due(mark, now)
        if mark is not None and due and not self._dry:
            return Collected(announced=mark.count, announced_size=mark.size, due=due, pins=len(self._pins))
        if mark is not None and due == 0.0 and not self._dry:
            marks.append(self._objects, mark.identity, closes=True)  # or somebody else did
            reach("store-gc-closed")
        since = now - self._policy.days * DAY
        staying = Staying(self._store, since, self._note, self._step)
        staying.find(self._roots(mark, since), self._is_odd)
        threshold = since if self._policy.largest is None else self._fitting(staying, since, self._policy.largest)
        ended = self._go_through(staying, threshold, mark, sweeping=due == 0.0)
        if not self._dry and not ended:
            if mark is not None:
                self._end(mark)
            self._announce()
            self._forget_logs(now)
        self._say_odd()
        waiting = due or (self._policy.grace * DAY if self._next else None)
        return Collected(
            removed=_share(self._removed),
            announced=len(self._next),
            announced_size=self._next_size,
            due=None if ended else waiting,
            kept=_share(self._kept),
            names=staying.names,
            pins=len(self._pins),
            odd=len(self._odd),
        )

    # Where collections of this store are

    def _look_at_collections(self) -> None:
        """Pins, logs, and since when something is announced."""
        for item in self._objects.list("collect/", self._is_odd):
            if item.name == MARK_NAME:
                self._marked_at = item.modified
            elif (environment := marks.pinned(item.name)) is not None:
                self._pins.add(environment)
            elif (entry := marks.entry_of(item.name)) is not None:
                self._logs.setdefault(entry[0], []).append((entry[1], item.modified))

    def _is_ended(self, mark: Mark) -> bool:
        return bool(self._objects.sizes([marks.end_name(mark.identity)]))

    def _due(self, mark: Mark, now: float) -> float:
        """Seconds until what is announced may be deleted: none once it was begun."""
        if marks.is_closed(self._objects, mark.identity):
            return 0.0
        if self._marked_at == FOREVER:  # it came after the listing
            return self._policy.grace * DAY or 1.0
        return max(0.0, self._marked_at + self._policy.grace * DAY - now)

    def _roots(self, mark: Mark | None, since: float) -> Roots:
        spared: set[str] = set()
        for entry in marks.entries(self._objects, mark.identity) if mark is not None else ():
            spared.update(entry.names)
        young = [
            (identity, number, when)
            for identity, entries in self._logs.items()
            for number, when in entries
            if when >= since and (mark is None or identity != mark.identity)
        ]

        def held(where: tuple[str, int, float]) -> list[tuple[str, float]]:
            identity, number, when = where
            return [(name, when) for name in marks.read_entry(self._objects, identity, number).names]

        return Roots(
            environments=self._policy.environments | self._pins,
            spared=frozenset(spared),
            touched=tuple(item for several in in_parallel(held, young) for item in several),
            keep_generations=self._policy.keep_generations,
        )

    # What goes

    def _fitting(self, staying: Staying, since: float, largest: int) -> float:
        """The age at which what is not rooted has to go, so that the rest has no more bytes than it may have."""
        rooted = 0
        sizes: Counter[int] = Counter()
        for prefix in _ORDER:
            for item in self._objects.list(prefix):
                when = staying.when(item)
                if when == FOREVER:
                    rooted += item.size
                elif when is not None and when >= since:
                    sizes[int(when // _MINUTE)] += item.size
        if rooted > largest:
            self._note(
                f"what is rooted in {self._store.name} alone has {rooted} bytes, more than the {largest} allowed"
            )
        for minute in sorted(sizes, reverse=True):
            rooted += sizes[minute]
            if rooted > largest:
                return (minute + 1) * _MINUTE
        return since

    def _go_through(self, staying: Staying, threshold: float, mark: Mark | None, *, sweeping: bool) -> bool:
        """Delete what is due, and find what is to be announced; True when somebody else has ended the collection."""
        for prefix in _ORDER:
            due: list[Listed] = []
            kind = prefix.partition("/")[0]
            for number, item in enumerate(self._objects.list(prefix, self._is_odd), 1):
                when = staying.when(item)
                if number % _TOLD == 0:
                    self._step(kind, _TOLD)
                if when is None:
                    self._is_odd(item.name, "is nothing of a store's")
                elif when < threshold and sweeping and mark and item.name in mark and item.modified < self._marked_at:
                    self._removed.update({kind: 1, "size": item.size})
                    due.append(item)
                    if len(due) >= _BATCH and self._delete(due, mark):
                        return True
                else:
                    self._kept.update({kind: 1, "size": item.size})
                    if when < threshold:
                        self._announced(item)
            if due and mark is not None and self._delete(due, mark):
                return True
        return False

    def _announced(self, item: Listed) -> None:
        self._next.append(marks.fingerprint(item.name))
        self._next_size += item.size
        if self._dry:
            self._tell("announce", item)

    def _delete(self, due: list[Listed], mark: Mark) -> bool:
        """Delete a batch, emptying it; True when somebody else has ended the collection: what is there is new."""
        if not self._dry and self._is_ended(mark):
            return True
        for item in due:
            self._tell("remove", item)
        if not self._dry:
            in_parallel(self._delete_one, [item.name for item in due])
        self._step("deleted", len(due))
        due.clear()
        return False

    def _delete_one(self, name: str) -> None:
        reach("store-gc-mid-sweep")
        self._objects.delete(name)

    # What is left behind

    def _end(self, mark: Mark) -> None:
        """Say that a collection has ended: first to other collectors, then to whoever writes."""
        self._objects.put(marks.end_name(mark.identity), b"{}\n")
        reach("store-gc-pre-end")
        self._objects.delete(MARK_NAME)

    def _announce(self) -> None:
        if self._next:
            mark = marks.new_mark(self._next, self._next_size)
            reach("store-gc-pre-mark")
            if self._objects.put(MARK_NAME, marks.mark_to_bytes(mark)) == "exists":
                self._note(
                    f"another collection of {self._store.name} announced something at the same time; its word stands"
                )
            reach("store-gc-post-mark")

    def _forget_logs(self, now: float) -> None:
        """Delete logs of collections that ended so long ago that nobody can be looking at them."""
        old = now - max(self._policy.days, self._policy.grace, 1.0) * DAY
        mark = marks.read_mark(self._objects) if self._logs else None
        for identity, entries in self._logs.items():
            if max(when for _, when in entries) < old and (mark is None or identity != mark.identity):
                names = [marks.entry_name(identity, number) for number, _ in sorted(entries, reverse=True)]
                in_parallel(self._objects.delete, [*names, marks.end_name(identity)])

    # What is none of ours

    def _is_odd(self, name: str, problem: str) -> None:
        self._odd.setdefault(name, problem)

    def _say_odd(self) -> None:
        if self._odd:
            (name, problem), *others = sorted(self._odd.items())
            more = f", and so are {len(others)} more" if others else ""
            self._note(f"left alone in {self._store.name}: {name[:120]!r} {problem}{more}")


def _share(counted: Counter[str]) -> Share:
    return Share(
        environments=counted["environments"],
        results=counted["results"],
        blobs=counted["blobs"],
        size=counted["size"],
    )


def _sum(one: Share, other: Share) -> Share:
    return Share(
        environments=one.environments + other.environments,
        results=one.results + other.results,
        blobs=one.blobs + other.blobs,
        size=one.size + other.size,
    )
