"""Collecting a shared store: what nobody wants is announced, and deleted a grace later, if still nobody wants it.

One run does what is due: it ends a collection that was interrupted, deletes what was announced long enough ago, and
announces what is to go next. Every step may be the last of a process that is killed, and any number of collectors may
work at once: what is there says how far the collection is.

1. ``collect/mark.json`` announces, create-only, what nobody wants now.
2. A grace later, by the store's clock, the mark's log is closed: from then on nobody can hold any of it.
3. Then everything is looked at anew. Deleted is what the mark announced, what is older than the mark, what nobody wants
   now, nothing that stays refers to, and the log does not hold: first what refers, then what is referred to.
4. The mark is taken away.

Whoever reads meanwhile finds an object or does not, and one that is gone is a miss. Whoever writes holds what it needs
of what is announced (``envbuild.store.holding``), or makes nothing that names it.

Rules of the file: only names of the layout are deleted; ages are differences of the store's own times.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable

from envbuild.digest import Digest
from envbuild.errors import StaleError, UnreachableError
from envbuild.faults import reach
from envbuild.objects import Listed, Objects
from envbuild.store import mark_logs, marks
from envbuild.store.collected import Collected, Policy, share_of, sum_of
from envbuild.store.marks import MARK_NAME, Mark
from envbuild.store.parallel import in_parallel
from envbuild.store.pins import pinned
from envbuild.store.shared import SharedStore
from envbuild.store.staying import FOREVER, Roots, Staying
from envbuild.store.sweeping import Sweep
from envbuild.value import replace

DAY = 86400.0
_NOW = "collect/now/"


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
        return replace(again, removed=sum_of(done.removed, again.removed), odd=max(done.odd, again.odd))
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
        self._pins: set[Digest] = set()
        self._logs: dict[str, list[tuple[int, float]]] = {}
        self._marked_at = FOREVER

    def run(self) -> Collected:
        now = store_time(self._objects)
        self._look_at_collections()
        mark = marks.read_mark(self._objects)
        if mark is not None and mark_logs.is_ended(self._objects, mark.identity) and not self._dry:
            self._objects.delete(MARK_NAME)  # all that was left to do
            mark = None
        due = None if mark is None else self._due(mark, now)
        if mark is not None and due and not self._dry:
            return Collected(announced=mark.count, announced_size=mark.size, due=due, pins=len(self._pins))
        if mark is not None and due == 0.0 and not self._dry:
            mark_logs.append(self._objects, mark.identity, closes=True)  # or somebody else did
            reach("store-gc-closed")
        since = now - self._policy.days * DAY
        staying = Staying(self._store, since, self._note, self._step, mark if due == 0.0 else None)
        staying.find(self._roots(mark, since), self._is_odd)
        sweep = Sweep(
            self._store,
            staying,
            marked_at=self._marked_at,
            dry_run=self._dry,
            tell=self._tell,
            note=self._note,
            step=self._step,
            odd=self._is_odd,
        )
        threshold = since if self._policy.largest is None else sweep.fitting(since, self._policy.largest)
        ended = sweep.go_through(threshold, mark, sweeping=due == 0.0)
        if not self._dry and not ended:
            if mark is not None:
                self._end(mark)
            self._announce(sweep)
            self._forget_logs(now)
        self._say_odd()
        waiting = due or (self._policy.grace * DAY if sweep.announced else None)
        return Collected(
            removed=share_of(sweep.removed),
            announced=len(sweep.announced),
            announced_size=sweep.announced_size,
            due=None if ended else waiting,
            kept=share_of(sweep.kept),
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
            elif (environment := pinned(item.name)) is not None:
                self._pins.add(environment)
            elif (entry := mark_logs.entry_of(item.name)) is not None:
                self._logs.setdefault(entry[0], []).append((entry[1], item.modified))

    def _due(self, mark: Mark, now: float) -> float:
        """Seconds until what is announced may be deleted: none once it was begun."""
        if mark_logs.is_closed(self._objects, mark.identity):
            return 0.0
        if self._marked_at == FOREVER:  # it came after the listing
            return self._policy.grace * DAY or 1.0
        return max(0.0, self._marked_at + self._policy.grace * DAY - now)

    def _roots(self, mark: Mark | None, since: float) -> Roots:
        spared: set[str] = set()
        for entry in mark_logs.entries(self._objects, mark.identity) if mark is not None else ():
            spared.update(entry.names)
        young = [
            (identity, number, when)
            for identity, entries in self._logs.items()
            for number, when in entries
            if when >= since and (mark is None or identity != mark.identity)
        ]

        def held(where: tuple[str, int, float]) -> list[tuple[str, float]]:
            identity, number, when = where
            return [(name, when) for name in mark_logs.read_entry(self._objects, identity, number).names]

        return Roots(
            environments=self._policy.environments | self._pins,
            spared=frozenset(spared),
            touched=tuple(item for several in in_parallel(held, young) for item in several),
            keep_generations=self._policy.keep_generations,
        )

    # What is left behind

    def _end(self, mark: Mark) -> None:
        """Say that a collection has ended: first to other collectors, then to whoever writes."""
        self._objects.put(mark_logs.end_name(mark.identity), b"{}\n")
        reach("store-gc-pre-end")
        self._objects.delete(MARK_NAME)

    def _announce(self, sweep: Sweep) -> None:
        if sweep.announced:
            mark = marks.new_mark(sweep.announced, sweep.announced_size)
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
                names = [mark_logs.entry_name(identity, number) for number, _ in sorted(entries, reverse=True)]
                in_parallel(self._objects.delete, [*names, mark_logs.end_name(identity)])

    # What is none of ours

    def _is_odd(self, name: str, problem: str) -> None:
        self._odd.setdefault(name, problem)

    def _say_odd(self) -> None:
        if self._odd:
            (name, problem), *others = sorted(self._odd.items())
            more = f", and so are {len(others)} more" if others else ""
            self._note(f"left alone in {self._store.name}: {name[:120]!r} {problem}{more}")


def store_time(objects: Objects) -> float:
    """What time it is by the store's own clock; also a trial of the three rights that collecting takes.

    Raises:
        UnreachableError: ``refused`` with the right that is missing; when it does not answer.
    """
    name = f"{_NOW}{secrets.token_hex(16)}"
    objects.put(name, b"now\n")
    found: Listed | None = None
    old = []
    for item in objects.list(_NOW):
        if item.name == name:
            found = item
        else:
            old.append(item)
    objects.delete(name)
    if found is None:
        raise UnreachableError(
            f"{objects.address} does not list what was written a moment ago: it cannot be collected", reference="unfit"
        )
    for item in old:
        if item.modified < found.modified - 3600:  # of collections that were killed
            objects.delete(item.name)
    return found.modified
