"""Marks, their logs and what environments need: the values behind collecting a shared store."""

from __future__ import annotations

import json
import random
import threading
import time
from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from envbuild.compile import build_graph
from envbuild.derivations.fetch import Fetch
from envbuild.derivations.transmute import FORMATS
from envbuild.digest import Digest, digest_bytes
from envbuild.errors import IntegrityError, UnreachableError
from envbuild.objects import SMALL, Listed, Odd, Put, unheard
from envbuild.objects.memory import MemoryObjects
from envbuild.store import mark_logs, marks
from envbuild.store.collect_shared import collect_store
from envbuild.store.collected import Policy
from envbuild.store.envelopes import signature_name
from envbuild.store.holding import Holder
from envbuild.store.marks import fingerprint, mark_from_bytes, mark_to_bytes, new_mark
from envbuild.store.needs import needs_of
from envbuild.store.object_names import result_name
from tests.support.faulty_objects import FaultyObjects
from tests.support.name_objects import TableObjects
from tests.support.stored import again, call, made, stored, there
from tests.unit.test_compile import BY_URL, CLICK, GIT, PYTHON, ZLIB, environment, lock_of


def mark_of(*names: str) -> marks.Mark:
    return new_mark(array("I", map(fingerprint, names)), 5)


def test_a_mark_knows_its_names_and_hardly_any_other() -> None:
    names = [f"blobs/sha256/00/{digest_bytes(b'%d' % number)}" for number in range(20_000)]
    mark = mark_from_bytes(mark_to_bytes(mark_of(*names[:10_000])))
    assert all(name in mark for name in names[:10_000])
    assert sum(name in mark for name in names[10_000:]) < 5
    assert (mark.count, mark.size) == (10_000, 5)
    assert len(mark_to_bytes(mark)) < 6 * 10_000
    assert "x" not in mark_of()


@pytest.mark.parametrize(
    "data",
    [b"", b"{}", b"[]", b"\xff", b"[" * 100_000, b'{"version": 2}', b'{"version": 1, "mark": "x", "count": 1}'],
)
def test_a_mark_that_is_none_is_refused(data: bytes) -> None:
    with pytest.raises(IntegrityError) as caught:
        mark_from_bytes(data)
    assert caught.value.reference == "bad-mark"


@pytest.mark.parametrize(
    "change", [{"names": "!"}, {"names": "AAA="}, {"count": -1}, {"count": True}, {"mark": "../../x"}, {"more": 1}]
)
def test_every_field_of_a_mark_is_looked_at(change: dict[str, object]) -> None:
    tree = {**json.loads(mark_to_bytes(mark_of("a"))), **change}
    with pytest.raises(IntegrityError):
        mark_from_bytes(json.dumps(tree).encode())


def test_entries_of_many_are_contiguous_and_none_follows_the_last() -> None:
    objects = TableObjects()
    mark = mark_of("a")
    told: list[tuple[int, bool]] = []
    barrier = threading.Barrier(12)

    def work(number: int) -> None:
        barrier.wait()
        for step in range(6):
            closes = number == 7 and step == 3
            added = mark_logs.append(objects, mark.identity, closes=closes, names=[f"n{number}-{step}"])
            told.append((number * 10 + step, added))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = list(mark_logs.entries(objects, mark.identity))
    assert [entry.closes for entry in found] == [False] * (len(found) - 1) + [True]
    held = {name for entry in found for name in entry.names}
    assert held == {f"n{number // 10}-{number % 10}" for number, added in told if added}
    assert len(found) == sum(added for _, added in told)


@pytest.mark.parametrize("lost", ["lose", "double"])
def test_an_entry_whose_answer_was_lost_is_ours(lost: str) -> None:
    objects = TableObjects()
    mark = mark_of("a")
    setattr(objects, lost, 1)
    assert mark_logs.append(objects, mark.identity, closes=False, names=["a"])
    assert [entry.names for entry in mark_logs.entries(objects, mark.identity)] == [("a",)]
    objects.drop = 1
    with pytest.raises(UnreachableError):
        mark_logs.append(objects, mark.identity, closes=False, names=["b"])


def test_a_log_may_be_long() -> None:
    objects = TableObjects()
    for number in range(150):
        assert mark_logs.append(objects, "0" * 32, closes=number == 149, names=[str(number)])
    assert mark_logs.is_closed(objects, "0" * 32)
    assert len(list(mark_logs.entries(objects, "0" * 32))) == 150


def test_whoever_needs_nothing_that_is_announced_asks_once_and_writes_nothing() -> None:
    objects = FaultyObjects()
    Holder(objects).hold(["a", "b"])
    assert objects.calls == [("read", marks.MARK_NAME)]
    objects.put(marks.MARK_NAME, mark_to_bytes(mark_of("other")))
    holder = Holder(objects)
    objects.calls.clear()
    holder.hold(["a", "b"])
    assert objects.calls == []
    objects.held[marks.MARK_NAME] = mark_to_bytes(mark_of("a"))
    holder = Holder(objects)
    for _ in range(3):
        holder.hold(["a", "b"])
    assert objects.count("put") == 1


@pytest.mark.parametrize("fields", [{"conda": (ZLIB, BY_URL)}, {"wheels": (CLICK,)}, {}])
def test_needs_are_what_the_build_graphs_ask_for(fields: dict[str, object]) -> None:
    for sources in ((), (GIT,)):
        given = {**fields, "sources": sources, **({"conda": (*fields.get("conda", ()), PYTHON)} if sources else {})}
        made_of = environment(**given)
        lock = lock_of(made_of)
        blobs: set[Digest] = set()
        results = set()
        for conda_format in (*FORMATS, "keep"):
            for item in build_graph(lock, made_of, conda_format=conda_format):
                if isinstance(item, Fetch):
                    blobs.add(item.sha256)
                elif item.kind != "link":
                    results.add((item.kind, item.key))
        needs = needs_of(lock, made_of)
        assert (needs.blobs, needs.results) == (blobs, results)


def test_signatures_and_logs_go_with_what_they_are_of() -> None:
    store = made(MemoryObjects(f"signed-{random.random()}"))
    kept, gone = stored("kept"), stored("gone")
    signatures = {}
    for item in (kept, gone):
        item.push(again(store))
        (result,) = item.results
        signatures[item.name] = signature_name(result_name(result.kind, result.key), "a" * 64)
        store.objects.put(signatures[item.name], b"{}")
    orphan = signature_name(result_name("transmute", Digest("b" * 64)), "a" * 64)
    named = signature_name("refs/team/x/@v1/00000000000000000001.json", "a" * 64)
    for name in (orphan, named):
        store.objects.put(name, b"{}")
    call(store, "team/x:v1", kept)
    told: list[tuple[str, str]] = []

    def tell(verb: str, item: Listed) -> None:
        told.append((verb, item.name))

    collect_store(again(store), Policy(days=0, grace=0), tell=tell)
    assert there(store, [*signatures.values(), orphan, named]) == {signatures["kept"], named}
    order = [name.split("/")[0] for _, name in told]
    assert order == sorted(order, key=["environments", "signatures", "results", "blobs"].index)
    assert there(store, kept.objects) == kept.objects


class Counting(MemoryObjects):
    """Counts what it is asked, and how much of it at a time."""

    def __init__(self) -> None:
        super().__init__(f"counting-{random.random()}")
        self.asked: Counter[str] = Counter()
        self.most = 0
        self._open = 0
        self._counting = threading.Lock()

    def _count(self, call: str, answer: Callable[[], Any]) -> Any:
        with self._counting:
            self.asked[call] += 1
            self._open += 1
            self.most = max(self.most, self._open)
        try:
            time.sleep(0.02)  # so long that on a busy machine, too, they are under way together
            return answer()
        finally:
            with self._counting:
                self._open -= 1

    def read(self, name: str, limit: int = SMALL) -> bytes | None:
        found: bytes | None = self._count("read", lambda: super(Counting, self).read(name, limit))
        return found

    def put(self, name: str, source: Path | bytes) -> Put:
        told: Put = self._count("put", lambda: super(Counting, self).put(name, source))
        return told

    def delete(self, name: str) -> None:
        self._count("delete", lambda: super(Counting, self).delete(name))

    def list(self, prefix: str, odd: Odd = unheard) -> Iterator[Listed]:
        self.asked["list"] += 1
        return super().list(prefix, odd)


def test_requests_do_not_grow_beyond_what_is_there() -> None:
    objects = Counting()
    store = made(objects)
    for number in range(30):
        stored(f"e{number}").push(again(store))
    objects.asked.clear()
    collect_store(again(store), Policy(days=0, grace=7))
    assert objects.asked == {"put": 2, "read": 2, "list": 14, "delete": 1}, "the store's time, its format, and the mark"
    objects.asked.clear()
    collect_store(again(store), Policy(days=0, grace=7))
    assert objects.asked["list"] == 2, "nothing is due, so nothing is looked at"
    objects.asked.clear()
    objects.most = 0
    collect_store(again(store), Policy(days=0, grace=0))
    assert objects.asked["delete"] == 30 * 6 + 1 + 1
    assert 1 < objects.most <= 64
