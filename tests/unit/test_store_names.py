"""Generations of names: found without a listing, moved by create-only puts, nothing lost, nothing believed unread."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from envbuild.digest import digest_bytes, unsealed
from envbuild.environments.name_stores import NameStore, authority
from envbuild.environments.naming import Names
from envbuild.errors import IntegrityError, InvalidInput, NameConflictError, StaleError, UnreachableError
from envbuild.names import Name, parse_name
from envbuild.objects import Put
from envbuild.package import Platform
from envbuild.store.generation import Named, object_name
from envbuild.store.names import current, history, listed, move, read
from envbuild.store.parallel import in_parallel
from tests.support.name_objects import TableObjects

STABLE, V1 = parse_name("team/x:stable"), parse_name("team/x:v1")


def named(number: int, *platforms: str) -> Named:
    """Some environments that no other number has."""
    return Named(
        request=digest_bytes(b"request %d" % number),
        environments=tuple(
            (Platform(platform), digest_bytes(f"{platform} {number}".encode()))
            for platform in platforms or ("linux-64",)
        ),
    )


def names(objects: TableObjects, folder: Path, *, offline: bool = False) -> tuple[Names, list[str]]:
    notes: list[str] = []
    return Names(NameStore(objects=objects, home=True), folder, offline=offline, note=notes.append), notes


def test_a_name_that_moves_has_a_past() -> None:
    objects = TableObjects()
    assert current(objects, STABLE) is None
    for number in range(1, 6):
        moved = move(objects, STABLE, named(number))
        assert (moved.written, moved.now.number) == (True, number)
    now = current(objects, STABLE)
    assert now is not None
    assert now.named == named(5)
    assert [item.number for item in history(objects, STABLE, now)] == [5, 4, 3, 2, 1]
    assert sorted(objects.table) == [object_name(STABLE, number) for number in range(1, 6)]
    assert listed(objects) == {STABLE: 5}


def test_one_name_covers_several_platforms() -> None:
    objects = TableObjects()
    both = named(1, "linux-64", "osx-arm64")
    assert move(objects, V1, both).now.named == both
    with pytest.raises(NameConflictError) as caught:  # a tag that is written once gets no other platform either
        move(objects, V1, named(1, "linux-64"))
    assert caught.value.exit_code == 6
    assert caught.value.reference == "name-taken"
    for platform, digest in both.environments:
        assert f"{platform} {both.request[:12]}:{digest[:12]}" in caught.value.message
    again = move(objects, V1, both)
    assert (again.written, again.now.number) == (False, 1)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 7, 8, 9, 65, 100, 1000])
def test_the_current_generation_is_found_in_few_rounds_and_without_a_listing(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects = TableObjects()
    rounds: list[int] = []

    def counted(work, items):  # type: ignore[no-untyped-def]
        rounds.append(len(items))
        return in_parallel(work, items)

    monkeypatch.setattr("envbuild.store.names.in_parallel", counted)
    seen = None
    for number in range(1, count + 1):
        seen = move(objects, STABLE, named(number), seen=seen).now
    objects.asked.clear()
    rounds.clear()
    now = current(objects, STABLE)
    assert (now.number if now else 0) == count
    assert len(rounds) <= (1 if count < 2 else 3 if count <= 65 else 4)
    assert len(objects.asked) == sum(rounds) <= (2 if count < 2 else 130)
    objects.asked.clear()
    assert current(objects, STABLE, now) == now
    assert len(objects.asked) <= 2
    assert not [what for what in objects.asked if what.startswith("list")]


def test_who_expects_another_generation_is_told_what_there_is() -> None:
    objects = TableObjects()
    with pytest.raises(NameConflictError, match="generation 3 was expected"):
        move(objects, STABLE, named(1), expect=3)
    assert move(objects, STABLE, named(1), expect=0).written
    with pytest.raises(NameConflictError, match=r"is at generation 1 \(.*\) already"):
        move(objects, STABLE, named(2), expect=0)
    assert move(objects, STABLE, named(2), expect=1).now.number == 2
    with pytest.raises(NameConflictError) as caught:
        move(objects, STABLE, named(3), expect=1)
    assert caught.value.reference == "name-moved"
    assert str(named(2)) in caught.value.message
    assert len(objects.table) == 2


def test_R18_an_answer_that_was_lost_is_no_loss() -> None:
    objects = TableObjects()
    objects.lose = 1
    moved = move(objects, STABLE, named(1))
    assert (moved.written, moved.now.number) == (True, 1)
    objects.double = 1  # the client tried again by itself, and was told that its own object exists
    moved = move(objects, STABLE, named(2))
    assert (moved.written, moved.now.number) == (True, 2)
    assert len(objects.table) == 2


def test_R18_a_put_that_did_not_arrive_is_an_error_and_changes_nothing() -> None:
    objects = TableObjects()
    objects.drop = 1
    with pytest.raises(UnreachableError, match="did not arrive"):
        move(objects, STABLE, named(1))
    assert objects.table == {}
    assert move(objects, STABLE, named(1)).written


def test_a_lost_answer_of_a_lost_race_goes_on_from_the_newest() -> None:
    """Somebody else created the generation, and our own put's answer did not come either."""

    class Raced(TableObjects):
        others = 2

        def put(self, name: str, source: Path | bytes) -> Put:
            if self.others:
                self.others -= 1
                other = TableObjects(self.address)
                other.table = self.table
                move(other, STABLE, named(100 + self.others))
                self.lose = 1
            return super().put(name, source)

    objects = Raced()
    moved = move(objects, STABLE, named(1))
    assert (moved.written, moved.now.number) == (True, 3)
    assert [item.named for item in history(objects, STABLE, moved.now)] == [named(1), named(100), named(101)]


def test_R23_sixteen_writers_lose_nothing() -> None:
    objects = TableObjects()
    moves, writers = 20, 16
    won: list[tuple[int, int]] = []
    barrier = threading.Barrier(writers)

    def write(writer: int) -> None:
        barrier.wait()
        for step in range(moves):
            moved = move(objects, STABLE, named(writer * 1000 + step))
            assert moved.written
            seen = current(objects, STABLE)
            assert seen is not None
            assert seen.number >= moved.now.number  # a success is what the next read sees, or something newer
            won.append((moved.now.number, writer * 1000 + step))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(number for number, _ in won) == list(range(1, moves * writers + 1))
    now = current(objects, STABLE)
    assert now is not None
    past = {item.number: item.named for item in history(objects, STABLE, now)}
    assert past == {number: named(which) for number, which in won}


def test_R23_of_sixteen_that_expect_the_same_one_wins_and_the_others_are_told() -> None:
    objects = TableObjects()
    move(objects, STABLE, named(0))
    outcomes: list[str] = []
    barrier = threading.Barrier(16)

    def write(writer: int) -> None:
        barrier.wait()
        try:
            move(objects, STABLE, named(1 + writer), expect=1)
            outcomes.append("won")
        except NameConflictError as error:
            outcomes.append(error.reference)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["name-moved"] * 15 + ["won"]
    assert len(objects.table) == 2


def edited(objects: TableObjects, number: int, **changes: object) -> None:
    """One generation with some fields changed."""
    place = object_name(STABLE, number)
    objects.table[place] = json.dumps({**json.loads(unsealed(objects.table[place])), **changes}).encode()


@pytest.mark.parametrize(
    "change",
    [
        {"generation": 3},
        {"name": "team/y"},
        {"tag": "latest"},
        {"version": 2},
        {"request": "team/y:stable"},  # a name of a name: there are no circles to run in
        {"request": "../../x"},
        {"environments": {"linux-64": "team/y"}},
        {"environments": {"beos-32": "f" * 64}},
        {"environments": ["linux-64"]},
        {"previous": None},
        {"previous": 7},
        {"nonce": "x"},
        {"nonce": None},
        {"created": "\x1b[2J"},
        {"more": 1},
    ],
    ids=str,
)
def test_H63_a_generation_that_is_none_is_refused(change: dict[str, object]) -> None:
    objects = TableObjects()
    move(objects, STABLE, named(1))
    move(objects, STABLE, named(2))
    edited(objects, 2, **change)
    with pytest.raises(IntegrityError) as caught:
        current(objects, STABLE)
    assert caught.value.reference == "bad-generation"
    with pytest.raises(IntegrityError):
        move(objects, STABLE, named(3))


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000, b'{"version": 1, "version": 1}', b"1e999"], ids=repr
)
def test_H63_bytes_that_are_no_generation_are_refused(data: bytes) -> None:
    objects = TableObjects()
    objects.table[object_name(STABLE, 1)] = data
    with pytest.raises(IntegrityError):
        current(objects, STABLE)


def test_a_past_that_was_changed_is_found_by_history() -> None:
    objects = TableObjects()
    for number in range(3):
        move(objects, STABLE, named(number))
    now = current(objects, STABLE)
    assert now is not None
    edited(objects, 1, created="2020-01-01T00:00:00Z")
    with pytest.raises(IntegrityError, match="not what was continued"):
        list(history(objects, STABLE, now))
    del objects.table[object_name(STABLE, 1)]
    with pytest.raises(IntegrityError, match="missing"):
        list(history(objects, STABLE, now))


@pytest.mark.parametrize(("lost", "there"), [(1, 2), (3, 6), (66, 300)])
def test_a_generation_that_is_missing_below_one_that_is_met_is_said_and_never_made_anew(lost: int, there: int) -> None:
    objects = TableObjects()
    for number in range(there):
        move(objects, STABLE, named(number))
    kept = objects.table.pop(object_name(STABLE, lost))
    before = dict(objects.table)
    with pytest.raises(IntegrityError, match="is missing, and there is a later one") as caught:
        move(objects, STABLE, named(999))
    assert caught.value.reference == "bad-generation"
    assert objects.table == before
    objects.table[object_name(STABLE, lost)] = kept
    assert move(objects, STABLE, named(999)).now.number == there + 1


def test_two_generations_that_come_while_they_are_asked_for_are_no_gap() -> None:
    came = threading.Event()

    class Racing(TableObjects):
        def read(self, name: str, limit: int = 1 << 16) -> bytes | None:
            if name == object_name(STABLE, 2):  # it is asked for beside the first, and answered after it
                assert came.wait(60)
            data = super().read(name, limit)
            if data is None and name == object_name(STABLE, 1):
                for number in range(3):
                    move(kept, STABLE, named(number))
                came.set()
            return data

    objects, kept = Racing(), TableObjects()
    objects.table = kept.table
    found = current(objects, STABLE)
    assert found is not None
    assert found.number == 3


def test_a_store_that_contradicts_itself_ends_in_an_error_not_in_a_loop() -> None:
    class Confused(TableObjects):
        def put(self, name: str, source: Path | bytes) -> Put:
            return "exists"

    with pytest.raises(IntegrityError, match="exists, and has none"):
        move(Confused(), STABLE, named(1))


# What a machine remembers


def test_a_movable_tag_is_asked_each_time_and_one_written_once_is_not(tmp_path: Path) -> None:
    objects = TableObjects()
    known, _ = names(objects, tmp_path)
    known.move(STABLE, named(1))
    known.move(V1, named(1))
    objects.asked.clear()
    assert known.get(V1).named == named(1)
    assert objects.asked == []
    for _ in range(2):
        known.get(STABLE)
    assert len(objects.asked) == 4
    move(objects, STABLE, named(2))  # by somebody else
    assert known.get(STABLE).named == named(2)


def test_offline_the_answer_is_what_was_last_seen_and_says_how_old_it_is(tmp_path: Path) -> None:
    objects = TableObjects()
    online, _ = names(objects, tmp_path)
    online.move(STABLE, named(1))
    offline, notes = names(objects, tmp_path, offline=True)
    objects.asked.clear()
    move(objects, STABLE, named(2))
    objects.asked.clear()
    assert offline.get(STABLE).named == named(1)
    assert objects.asked == []
    assert len(notes) == 1
    assert "team/x:stable as memory://table had it less than a minute ago (generation 1): offline" in notes[0]
    with pytest.raises(UnreachableError) as caught:
        offline.get(parse_name("team/y"))
    assert caught.value.reference == "offline"
    for refused in (lambda: offline.move(STABLE, named(3)), lambda: offline.history(STABLE), offline.listed):
        with pytest.raises(UnreachableError):
            refused()
    assert objects.asked == []


def test_a_store_that_does_not_answer_is_not_a_store_without_the_name(tmp_path: Path) -> None:
    objects = TableObjects()
    known, notes = names(objects, tmp_path)
    known.move(STABLE, named(1))
    objects.down = True
    with pytest.raises(UnreachableError, match="does not answer"):
        known.get(STABLE)
    assert notes == []


@pytest.mark.parametrize("how", ["less", "nothing", "another", "another and more"])
def test_a_store_that_goes_back_is_an_error(tmp_path: Path, how: str) -> None:
    objects = TableObjects()
    known, _ = names(objects, tmp_path)
    for number in range(3):
        known.move(STABLE, named(number))
    kept = dict(objects.table)
    objects.table.clear()
    if how == "less":
        objects.table |= {place: data for place, data in kept.items() if not place.endswith("3.json")}
    elif how.startswith("another"):
        for number in range(10, 13 if how == "another" else 15):
            move(objects, STABLE, named(number))
    with pytest.raises(IntegrityError, match="generation 3"):
        known.move(STABLE, named(9))
    with pytest.raises(IntegrityError, match="generation 3") as caught:
        known.get(STABLE)
    assert caught.value.reference == "name-rolled-back"
    hint = caught.value.hint or ""
    assert hint.startswith("if that is meant: rm ")
    for record in Path(hint.partition("rm ")[2]).parent.glob("*"):
        record.unlink()
    names(objects, tmp_path)[0].find(STABLE)  # whoever knows better says so, and it is asked anew


def test_two_stores_are_remembered_apart(tmp_path: Path) -> None:
    one, other = TableObjects("memory://one"), TableObjects("memory://other")
    names(one, tmp_path)[0].move(STABLE, named(1))
    assert names(other, tmp_path)[0].find(STABLE) is None


def test_a_memory_that_is_damaged_is_none(tmp_path: Path) -> None:
    objects = TableObjects()
    known, _ = names(objects, tmp_path)
    known.move(STABLE, named(1))
    (record,) = (path for path in tmp_path.rglob("*") if path.is_file())
    record.write_bytes(b"{")
    assert known.get(STABLE).named == named(1)
    assert known.get(STABLE).number == 1


def test_rolling_back_is_going_on(tmp_path: Path) -> None:
    objects = TableObjects()
    known, _ = names(objects, tmp_path)
    for number in (1, 2, 2, 3):
        known.move(STABLE, named(number))
    moved = known.rollback(STABLE)
    assert (moved.now.number, moved.now.named) == (4, named(2))
    assert known.rollback(STABLE, to=1).now.named == named(1)
    assert [item.number for item in known.history(STABLE)] == [5, 4, 3, 2, 1]
    for name, to in ((STABLE, 9), (V1, None)):
        with pytest.raises(InvalidInput):
            known.rollback(name, to=to)
    known.move(V1, named(1))
    with pytest.raises(InvalidInput, match="never meant anything else"):
        known.rollback(V1)


def test_a_store_that_may_only_be_read_is_not_written(tmp_path: Path) -> None:
    objects = TableObjects()
    store = NameStore(objects=objects, writable=False)
    known = Names(store, tmp_path, offline=False, note=lambda _: None)
    with pytest.raises(UnreachableError) as caught:
        known.move(STABLE, named(1))
    assert caught.value.reference == "read-only"
    assert objects.table == {}


def test_R24_a_store_that_ignores_conditions_gets_no_names(tmp_path: Path) -> None:
    """What overwrites could lose a move without a word: blobs may be kept there, names not."""

    class Overwriting(TableObjects):
        def put(self, name: str, source: Path | bytes) -> Put:
            self.table[name] = source if isinstance(source, bytes) else source.read_bytes()
            return "created"

    objects = Overwriting()
    objects.table["format.json"] = b'{"format": 1}'
    known = Names(NameStore(objects=objects), tmp_path, offline=False, note=lambda _: None)
    with pytest.raises(UnreachableError) as caught:
        known.move(STABLE, named(1))
    assert caught.value.reference == "overwrites"
    assert set(objects.table) == {"format.json"}
    assert known.find(STABLE) is None


def test_a_shared_store_is_probed_once_and_must_be_one(tmp_path: Path) -> None:
    objects = TableObjects()
    known = Names(NameStore(objects=objects), tmp_path, offline=False, note=lambda _: None)
    with pytest.raises(UnreachableError) as caught:
        known.move(STABLE, named(1))
    assert caught.value.reference == "no-store"
    objects.table["format.json"] = b'{"format": 2}'
    known = Names(NameStore(objects=objects), tmp_path, offline=False, note=lambda _: None)
    with pytest.raises(StaleError, match="another version"):
        known.move(STABLE, named(1))
    objects.table["format.json"] = b'{"format": 1}'
    known = Names(NameStore(objects=objects), tmp_path, offline=False, note=lambda _: None)
    known.move(STABLE, named(1))
    objects.asked.clear()
    known.move(STABLE, named(2))
    assert len(objects.asked) <= 4
    assert set(objects.table) == {"format.json", object_name(STABLE, 1), object_name(STABLE, 2)}


def test_one_store_says_what_names_mean() -> None:
    def store(address: str, *, writable: bool) -> NameStore:
        return NameStore(objects=TableObjects(address), writable=writable)

    home, public, team = (store(word, writable=word != "public") for word in ("home", "public", "team"))
    assert authority((), home) is home
    assert authority((public,), home) is public
    assert authority((public, team), home) is team
    assert authority((team, public), home) is team


def test_names_are_listed(tmp_path: Path) -> None:
    objects = TableObjects()
    known, notes = names(objects, tmp_path)
    for name in (STABLE, V1, parse_name("a")):
        known.move(name, named(1))
    known.move(STABLE, named(2))
    objects.table["refs/../x/@y/00000000000000000001.json"] = b"x"
    objects.table["refs/team/x/readme"] = b"x"
    objects.table[object_name(parse_name("team/bad"), 1)] = b"{}"
    found = [(item.name, item.number) for item in known.listed()]
    assert found == [(Name(path="a"), 1), (STABLE, 2), (V1, 1)]
    assert [note for note in notes if "generation 1 of team/bad:latest cannot be believed" in note] == notes
    assert len(notes) == 1


def test_a_generation_without_environments_removes_the_name_and_is_never_its_first() -> None:
    objects = TableObjects()
    move(objects, STABLE, named(0))
    gone = Named(request=named(0).request, environments=())
    assert move(objects, STABLE, gone).now.named.removed
    assert [item.named.removed for item in history(objects, STABLE, current(objects, STABLE))] == [True, False]
    assert move(objects, STABLE, named(1)).now.number == 3
    edited(objects, 1, environments={})
    with pytest.raises(IntegrityError) as caught:
        read(objects, STABLE, 1)
    assert caught.value.reference == "bad-generation"
