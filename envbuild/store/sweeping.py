"""Going through a shared store that is collected: what is due is deleted, and what is to go next is found.

What refers goes before what it refers to, a batch at a time; before each batch is asked whether somebody else has ended
the collection meanwhile.

Rules of the file: only names of the layout are deleted; who stays is ``envbuild.store.staying``'s word.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable

from envbuild.faults import reach
from envbuild.objects import Listed
from envbuild.store.mark_logs import is_ended
from envbuild.store.marks import Mark, fingerprint
from envbuild.store.parallel import in_parallel
from envbuild.store.shared import SharedStore
from envbuild.store.staying import FOREVER, Staying

_ORDER = ("deployments/", "environments/", "outputs/", "packs/", "signatures/results/", "results/", "blobs/sha256/")
"""What refers goes before what it refers to."""
_BATCH = 512
_TOLD = 1000
_MINUTE = 60.0


class Sweep:
    """One going through one store.

    Args:
        store: Which.
        staying: What stays in it.
        marked_at: When what is announced was, by the store's clock.
        dry_run: Delete nothing.
        tell: Told ``remove`` or ``announce``, with the object.
        note: Told what a user must know.
        step: Told what is looked at, and how many more of it were.
        odd: Told of what is nothing of a store's.

    Attributes:
        removed: What was deleted, counted by kind, and its bytes; ``kept``: what stays, with what is announced.
        announced: Fingerprints of what is to go next; ``announced_size``: its bytes.
    """

    def __init__(
        self,
        store: SharedStore,
        staying: Staying,
        *,
        marked_at: float,
        dry_run: bool,
        tell: Callable[[str, Listed], object],
        note: Callable[[str], None],
        step: Callable[[str, int], None],
        odd: Callable[[str, str], None],
    ) -> None:
        self._store = store
        self._objects = store.objects
        self._staying = staying
        self._marked_at = marked_at
        self._dry = dry_run
        self._tell = tell
        self._note = note
        self._step = step
        self._odd = odd
        self.removed: Counter[str] = Counter()
        self.kept: Counter[str] = Counter()
        self.announced = array("I")
        self.announced_size = 0

    def fitting(self, since: float, largest: int) -> float:
        """The age at which what is not rooted has to go, so that the rest has no more bytes than it may have."""
        rooted = 0
        sizes: Counter[int] = Counter()
        for prefix in _ORDER:
            for item in self._objects.list(prefix):
                when = self._staying.when(item)
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

    def go_through(self, threshold: float, mark: Mark | None, *, sweeping: bool) -> bool:
        """Delete what is due, and find what is to be announced; True when somebody else has ended the collection."""
        for prefix in _ORDER:
            due: list[Listed] = []
            kind = prefix.partition("/")[0]
            for number, item in enumerate(self._objects.list(prefix, self._odd), 1):
                when = self._staying.when(item)
                if number % _TOLD == 0:
                    self._step(kind, _TOLD)
                if when is None:
                    self._odd(item.name, "is nothing of a store's")
                elif when < threshold and sweeping and mark and self._goes(item, mark):
                    self.removed.update({kind: 1, "size": item.size})
                    due.append(item)
                    if len(due) >= _BATCH and self._delete(due, mark):
                        return True
                else:
                    self.kept.update({kind: 1, "size": item.size})
                    if when < threshold:
                        self._announced(item)
            if due and mark is not None and self._delete(due, mark):
                return True
        return False

    def _goes(self, item: Listed, mark: Mark) -> bool:
        return item.name in mark and item.modified < self._marked_at and not self._staying.spares(item)

    def _announced(self, item: Listed) -> None:
        self.announced.append(fingerprint(item.name))
        self.announced_size += item.size
        if self._dry:
            self._tell("announce", item)

    def _delete(self, due: list[Listed], mark: Mark) -> bool:
        """Delete a batch, emptying it; True when somebody else has ended the collection: what is there is new."""
        if not self._dry and is_ended(self._objects, mark.identity):
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
