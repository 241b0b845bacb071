"""Collecting shared stores of every kind, on real servers: what goes, what stays, and when."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from envbuild.errors import IntegrityError, UnreachableError
from envbuild.objects import Listed, Objects, Put
from envbuild.store import mark_logs, marks, pins
from envbuild.store.collect_shared import collect_store
from envbuild.store.collected import Collected, Policy
from envbuild.store.deployments import Deployment, to_bytes
from envbuild.store.object_names import blob_name, result_name
from envbuild.store.shared import SharedStore
from tests.objects.conftest import CLOUDS, Place, everywhere
from tests.support.stored import LINUX, Stored, again, call, made, stored, there

NOW = Policy(days=0, grace=0)
"""Announce, and delete at once."""
WEEK = Policy(days=0, grace=7)
DENIED = b"<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"


def collect(store: SharedStore, policy: Policy = NOW, **options: object) -> Collected:
    """Another command collects."""
    return collect_store(again(store), policy, **options)  # type: ignore[arg-type]


def filled(place: Place, *environments: Stored) -> SharedStore:
    """A store with these, all of them older than what is written next."""
    store = made(place.open())
    for item in environments:
        item.push(again(store))
    time.sleep(1.1)  # times of stores have seconds
    return store


def wait_for_a_minute() -> None:
    """What is cut to a size goes by whole minutes: have all that is written next in one."""
    left = 60 - time.time() % 60
    if left < 10:
        time.sleep(left)


def everything(store: SharedStore) -> set[str]:
    return {item.name for item in store.objects.list("")}


@everywhere()
def test_what_nobody_wants_is_announced_and_goes_a_grace_later(place: Place) -> None:
    kept, gone = stored("kept", "shared", "own"), stored("gone", "shared", "other")
    store = filled(place, kept, gone)
    call(store, "team/kept:stable", kept)
    before = everything(store)
    tried: list[tuple[str, str]] = []

    def tell(verb: str, item: Listed) -> None:
        tried.append((verb, item.name))

    found = collect(store, WEEK, dry_run=True, tell=tell)
    assert everything(store) == before
    only = gone.objects - kept.objects
    assert set(tried) == {("announce", name) for name in only}
    assert found.announced == len(only)
    first = collect(store, WEEK)
    assert (first.removed.size, first.announced, first.due) == (0, len(only), 7 * 86400.0)
    assert everything(store) == before | {marks.MARK_NAME}
    second = collect(store, WEEK)
    assert second.due is not None
    assert 6.9 * 86400 < second.due <= 7 * 86400
    assert there(store, only) == only
    third = collect(store)
    assert everything(store) == before - only | {name for name in everything(store) if name.startswith("collect/")}
    assert (third.removed.environments, third.removed.blobs) == (1, 4)
    assert third.removed.size > 0
    assert marks.read_mark(store.objects) is None
    assert again(store).closure("linux-64", kept.lock.request, kept.environment.id)
    assert collect(store).removed.size == 0


@everywhere()
def test_what_is_wanted_since_it_was_announced_stays(place: Place) -> None:
    named, pushed, pinned, lost = (stored(word) for word in ("named", "pushed", "pinned", "lost"))
    store = filled(place, named, pushed, pinned, lost)
    collect(store, WEEK)
    call(store, "team/x:stable", named)
    pushed.push(again(store))  # all of it is there already
    store.objects.put(pins.pin_name(pinned.environment.id), b"{}")
    collect(store)
    for item in (named, pushed, pinned):
        assert there(store, item.objects) == item.objects, item.name
    assert there(store, lost.objects) == set()


@everywhere("file", "s3", "az", "gs")
def test_what_was_written_again_stays(place: Place) -> None:
    item = stored("item")
    store = filled(place, item)
    collect(store, WEEK)
    time.sleep(1.1)
    digest, data = next(iter(item.blobs.items()))
    store.objects.delete(blob_name(digest))
    store.objects.put(blob_name(digest), data)
    mark = marks.read_mark(store.objects)
    assert mark is not None
    mark_logs.append(store.objects, mark.identity, closes=True)
    collect(store, WEEK)
    assert there(store, item.objects) == {blob_name(digest)}


class Between:
    """A store in which somebody does something after a collector has listed all of it, and before it announces any."""

    def __init__(self, objects: Objects, work: Callable[[], object]) -> None:
        self._objects = objects
        self._work: Callable[[], object] | None = work

    def put(self, name: str, source: Path | bytes) -> Put:
        if name == marks.MARK_NAME and self._work:
            work, self._work = self._work, None
            work()
        return self._objects.put(name, source)

    def __getattr__(self, name: str) -> object:
        return getattr(self._objects, name)


@everywhere("memory", "file", "s3")
@pytest.mark.parametrize("what", ["closure", "record", "deployment"])
@pytest.mark.parametrize("largest", [None, 0])
def test_what_is_made_while_others_are_announced_lacks_nothing(place: Place, what: str, largest: int | None) -> None:
    """However few days are kept: nothing announced it, so it stays this time, and with it what it found there."""
    old, new = stored("old", "shared", "own"), stored("new", "shared")
    store = filled(place, old)
    record = new.results[0]
    launched, data = to_bytes(
        Deployment(of="Train", lasts=False, environments=((LINUX, old.lock.request, old.environment.id),), blobs=())
    )

    if what == "record":
        store.objects.delete(result_name(record.kind, record.key))

    def write() -> None:
        if what == "closure":
            new.push(again(store))
        elif what == "record":
            again(store).put_result(record)
        else:
            store.objects.put(launched, data)

    made_then, wanted = {
        "closure": (new.closure, new.objects),
        "record": (result_name(record.kind, record.key), {blob_name(output.sha256) for _, output in record.outputs}),
        "deployment": (launched, old.objects),
    }[what]
    watched = SharedStore("team", lambda: cast(Objects, Between(store.objects, write)))
    collect_store(watched, Policy(days=0, grace=7))
    time.sleep(1.1)
    collect(store, Policy(days=0, grace=0.00001, largest=largest))
    assert there(store, {made_then, *wanted}) == {made_then, *wanted}
    if what != "deployment":
        assert there(store, [old.closure]) == set()
    time.sleep(1.1)
    collect(store)
    collect(store)
    assert there(store, old.objects | new.objects | {made_then}) == set()


@everywhere()
def test_what_one_writer_held_in_time_others_may_rely_on(place: Place) -> None:
    item = stored("item")
    store = filled(place, item)
    collect(store, WEEK)
    mark = marks.read_mark(store.objects)
    assert mark is not None
    early, late = again(store), again(store)
    early.holder()
    late.holder()
    item.push(early)
    assert mark_logs.append(store.objects, mark.identity, closes=True)
    item.push(late)  # all of it is held by the other
    other = stored("other", "item", "more")
    other.push(again(store))
    collect(store, Policy(days=1, grace=7))  # closed, so it is ended at once
    assert there(store, item.objects | other.objects) == item.objects | other.objects
    assert marks.read_mark(store.objects) is None


@everywhere()
def test_who_comes_too_late_makes_no_record_that_names_what_goes(place: Place) -> None:
    item = stored("item")
    store = filled(place, item)
    collect(store, WEEK)
    mark = marks.read_mark(store.objects)
    assert mark is not None
    assert mark_logs.append(store.objects, mark.identity, closes=True)
    assert not mark_logs.append(store.objects, mark.identity, closes=True)
    with pytest.raises(UnreachableError) as caught:
        item.push(again(store))
    assert caught.value.reference == "being-collected"
    assert "envbuild gc" in (caught.value.hint or "")
    collect(store, WEEK)
    assert there(store, item.objects) == set()
    item.push(again(store))
    assert there(store, item.objects) == item.objects


@everywhere("file", "s3")
def test_the_young_stay_and_so_does_what_was_held_lately(place: Place) -> None:
    item = stored("item")
    store = filled(place, item)
    month = Policy(days=30, grace=0)
    assert collect(store, month).announced == 0
    collect(store, WEEK)
    item.push(again(store))
    collect(store)
    assert there(store, item.objects) == item.objects
    lone = stored("lone")
    for result in lone.results:
        for _, output in result.outputs:
            store.objects.put(blob_name(output.sha256), lone.blobs[output.sha256])
        again(store).put_result(result)
    assert collect(store, month).announced == 0
    records = {result_name(each.kind, each.key) for each in lone.results}
    assert there(store, records) == records
    time.sleep(1.1)  # times of stores have seconds
    collect(store)
    collect(store)
    assert there(store, item.objects | lone.objects) == set()


@everywhere("file", "s3")
def test_generations_of_tags_that_move_count_as_many_as_are_said(place: Place) -> None:
    first, second, third = stored("first"), stored("second"), stored("third")
    store = filled(place, first, second, third)
    for item in (first, second, third):
        call(store, "team/x:stable", item)
    call(store, "team/x:v1", first)
    assert collect(store).announced == 0
    collect(store, Policy(days=0, grace=0, keep_generations=1))
    assert there(store, second.objects) == set()
    assert there(store, first.objects | third.objects) == first.objects | third.objects
    assert len(list(store.objects.list("refs/"))) == 4, "generations themselves are never collected"


@everywhere("file", "az")
def test_the_oldest_goes_until_the_rest_fits(place: Place) -> None:
    store = made(place.open())
    wait_for_a_minute()
    old, young, rooted = (stored(word, size=50_000) for word in ("old", "young", "rooted"))
    rooted.push(again(store))
    old.push(again(store))
    time.sleep(1.1)  # times of stores have seconds: what is as old as the mark may have come after it
    call(store, "team/x:v1", rooted)
    used = sum(item.size for item in store.objects.list("blobs/"))
    notes: list[str] = []
    assert collect(store, Policy(days=30, grace=0, largest=used * 2)).announced == 0
    collect(store, Policy(days=30, grace=0, largest=used - 1000))
    time.sleep(1.1)
    collect(store, Policy(days=30, grace=0, largest=used - 1000))
    assert there(store, old.objects) == set()
    assert there(store, rooted.objects) == rooted.objects
    young.push(again(store))
    collect(store, Policy(days=30, grace=7, largest=1), note=notes.append)
    assert there(store, rooted.objects | young.objects) == rooted.objects | young.objects
    assert any("more than the 1 allowed" in note for note in notes)


@everywhere("file", "s3", "gs", "az")
@pytest.mark.parametrize("damage", ["generation", "gap", "closure"])
def test_nothing_goes_while_something_that_stays_cannot_be_read(place: Place, damage: str) -> None:
    kept, gone = stored("kept"), stored("gone")
    store = filled(place, kept, gone)
    call(store, "team/x:stable", kept)
    call(store, "team/x:stable", gone)
    call(store, "team/x:stable", kept)
    generation = "refs/team/x/@stable/" + f"{2:020}.json"
    name = kept.closure if damage == "closure" else generation
    data = store.objects.read(name)
    assert data is not None
    store.objects.delete(name)
    if damage != "gap":
        store.objects.put(name, data[: len(data) // 2])
    before = everything(store)
    with pytest.raises(IntegrityError) as caught:
        collect(store)
    assert "while something that stays cannot be read" in str(caught.value)
    assert everything(store) == before


@everywhere(*CLOUDS)
def test_H59_only_what_has_a_name_of_ours_is_deleted(place: Place) -> None:
    gone = stored("gone")
    store = filled(place, gone)
    assert place.server is not None
    bucket = place.url.split("/")[2]
    digest = next(iter(gone.blobs))
    odd = [
        "environments/linux-64/x.json",
        f"blobs/sha256/{digest[:2]}/{digest.upper()}",
        f"blobs/sha256/00/{'f' * 64}",
        f"blobs/{digest}",
        "blobs/sha256/" + "b" * 700,
        "blobs/sha256/with space",
        f"results/unheard-of/{'1' * 2}/{'1' * 64}.json",
        f"environments/amiga-68k/{'1' * 64}/{'2' * 64}.json",
        "home/user/thesis.txt",
    ]
    if place.kind == "s3":  # the emulators of the others refuse these themselves
        odd += ["blobs/sha256/../../thesis.txt", "results//"]
    for key in odd:
        place.server.put_key(bucket, f"team/store/{key}", b"precious")
    place.server.put_key(bucket, "team/store-beside/a", b"precious")
    time.sleep(1.1)
    notes: list[str] = []
    found = collect(store, note=notes.append)
    assert there(store, gone.objects) == set()
    told: dict[str, str] = {}
    left = {item.name for item in store.objects.list("", told.__setitem__)}
    assert set(odd) <= left | told.keys()
    assert found.odd >= 7
    assert len([note for note in notes if "left alone" in note]) == 1


@everywhere("s3")
@pytest.mark.parametrize(("method", "pattern", "right"), [("DELETE", "*", "s3:DeleteObject"), ("GET", "*", "s3:List")])
def test_a_right_that_is_missing_is_named_before_anything_is_announced(
    place: Place, method: str, pattern: str, right: str
) -> None:
    gone = stored("gone")
    store = filled(place, gone)
    assert place.proxy is not None
    again(store).use()
    if method == "DELETE":
        place.proxy.fault("DELETE", times=1000, status=403)
    else:
        place.proxy.fault("GET", f"/{place.url.split('/')[2]}", times=1000, status=403)
    with pytest.raises(UnreachableError) as caught:
        collect(store)
    assert caught.value.reference == "refused"
    assert right in (caught.value.hint or "")
    place.proxy.forget()
    assert marks.read_mark(store.objects) is None
    assert there(store, gone.objects) == gone.objects


@everywhere()
def test_several_collectors_at_once_do_no_harm(place: Place) -> None:
    kept = stored("kept")
    gone = [stored(f"gone-{number}") for number in range(6)]
    store = filled(place, kept, *gone)
    call(store, "team/x:v1", kept)
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(3):
                collect(store)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    collect(store)
    assert there(store, kept.objects) == kept.objects
    for item in gone:
        assert there(store, item.objects) == set()


@everywhere("s3", "gs")
@pytest.mark.parametrize("kind", ["environments", "results"])
def test_nothing_goes_while_something_that_stays_is_listed_and_refused(place: Place, kind: str) -> None:
    """A cloud says 403 of it as it does of what is absent to those who may not list."""
    kept, gone = stored("kept"), stored("gone")
    store = filled(place, kept, gone)
    call(store, "team/kept:stable", kept)
    (name,) = (name for name in kept.objects if name.startswith(f"{kind}/"))
    collect(store, WEEK)
    before = everything(store)
    assert place.proxy is not None
    place.proxy.fault("GET", f"*{name}*", status=403, body=DENIED, times=1000)
    with pytest.raises(UnreachableError, match="is refused") as caught:
        collect(store)
    assert caught.value.reference == "refused"
    place.proxy.forget()
    assert {item for item in before if not item.startswith("collect/")} <= everything(store)
