"""Shared stores and layers of them: what is asked, what is believed, and what a failure costs."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from envbuild.derivations import Output
from envbuild.digest import Digest, digest_bytes, unsealed
from envbuild.errors import IntegrityError, NoSpaceError, UnreachableError
from envbuild.machine.publish import Incoming
from envbuild.store import Result
from envbuild.store.copying import Copied, Copy
from envbuild.store.folder import result_to_bytes
from envbuild.store.layer import Layer
from envbuild.store.layers import Layers
from envbuild.store.object_names import blob_name, result_name
from envbuild.store.sending import Sender
from envbuild.store.shared import SharedStore
from tests.support.faulty_objects import FaultyObjects

ONE, TWO = b"one" * 1000, b"two" * 1000
KEY = Digest("5" * 64)


def result(*blobs: bytes, key: Digest = KEY, builder: str = "me") -> Result:
    outputs = tuple(
        (f"out{number}", Output(sha256=digest_bytes(blob), size=len(blob))) for number, blob in enumerate(blobs)
    )
    return Result(
        kind="transmute", key=key, outputs=outputs, platform="linux-64", created="", milliseconds=1, builder=builder
    )


def held(*things: bytes | Result) -> dict[str, bytes]:
    return {
        **{blob_name(digest_bytes(each)): each for each in things if isinstance(each, bytes)},
        **{result_name(each.kind, each.key): result_to_bytes(each) for each in things if isinstance(each, Result)},
    }


class Home:
    """A home's blobs as files, and everything that was said."""

    def __init__(self, folder: Path, *blobs: bytes) -> None:
        self.folder = folder
        self.notes: list[str] = []
        for blob in blobs:
            (folder / digest_bytes(blob)).write_bytes(blob)

    def path(self, digest: Digest) -> Path | None:
        path = self.folder / digest
        return path if path.exists() else None

    def layer(
        self,
        objects: FaultyObjects,
        *,
        name: str = "team",
        believed: bool = True,
        written: bool = True,
        strict: bool = False,
    ) -> Layer:
        store = SharedStore(name, lambda: objects)
        return Layer(store, believed=believed, written=written, note=self.notes.append, strict=strict)

    def bring(self, layers: Layers, blob: bytes) -> bytes | None:
        with Incoming(self.folder / "tmp", None) as incoming:
            return incoming.path.read_bytes() if layers.blob(digest_bytes(blob), incoming, len(blob)) else None


@pytest.fixture
def home(tmp_path: Path) -> Home:
    (tmp_path / "blobs").mkdir()
    return Home(tmp_path / "blobs", ONE, TWO)


def test_one_question_tells_what_is_there_and_nothing_is_asked_twice(home: Home) -> None:
    objects = FaultyObjects(**held(ONE, result(ONE)))
    layers = Layers([home.layer(objects)])
    sizes = [(digest_bytes(blob), len(blob)) for blob in (ONE, TWO)]
    found = layers.ask(sizes, [("transmute", KEY), ("transmute", Digest("6" * 64))])
    assert dict(found.blobs) == {digest_bytes(ONE): "team"}
    assert dict(found.results) == {KEY: "team"}
    assert sorted(objects.calls) == [
        ("read", "collect/mark.json"),
        ("read", "format.json"),
        ("read", result_name("transmute", KEY)),
        ("read", result_name("transmute", Digest("6" * 64))),
        ("sizes", "2"),
    ]
    asked = len(objects.calls)
    assert home.bring(layers, TWO) is None
    assert layers.result("transmute", KEY) is not None
    assert layers.result("transmute", Digest("6" * 64)) is None
    assert len(objects.calls) == asked
    assert home.bring(layers, ONE) == ONE
    assert objects.count("list") == 0


def test_a_farther_store_is_asked_only_for_what_no_nearer_one_has(home: Home) -> None:
    near, far = FaultyObjects(**held(ONE)), FaultyObjects(**held(ONE, TWO))
    layers = Layers([home.layer(near, name="near"), home.layer(far, name="far")])
    found = layers.ask([(digest_bytes(blob), len(blob)) for blob in (ONE, TWO)], [])
    assert dict(found.blobs) == {digest_bytes(ONE): "near", digest_bytes(TWO): "far"}
    assert far.count("sizes", "1") == 1
    assert home.bring(layers, TWO) == TWO
    assert near.count("fetch") == 0


CLOSURE = "environments/linux-64/" + "1" * 64 + "/" + "2" * 64 + ".json"


def test_a_closure_that_is_there_stands_for_its_blobs_and_one_that_is_gone_is_a_miss(home: Home) -> None:
    objects = FaultyObjects(**{**held(ONE), CLOSURE: b"{}"})
    layers = Layers([home.layer(objects)])
    found = layers.ask([(digest_bytes(blob), len(blob)) for blob in (ONE, TWO)], [], [CLOSURE])
    assert set(found.blobs) == {digest_bytes(ONE), digest_bytes(TWO)}
    assert sorted(objects.calls) == [("read", "collect/mark.json"), ("read", "format.json"), ("sizes", "1")]
    assert home.bring(layers, ONE) == ONE
    assert home.bring(layers, TWO) is None
    assert home.bring(layers, TWO) is None
    assert objects.count("fetch", "*") == 2, "what is gone is asked for once"


def test_a_closure_that_is_absent_or_was_read_costs_no_question_of_its_own_kind(home: Home) -> None:
    blobs = [(digest_bytes(blob), len(blob)) for blob in (ONE, TWO)]
    objects = FaultyObjects(**held(ONE))
    assert set(Layers([home.layer(objects)]).ask(blobs, [], [CLOSURE]).blobs) == {digest_bytes(ONE)}
    assert objects.count("sizes", "2") == 1
    objects = FaultyObjects(**held(ONE))
    layer = home.layer(objects)
    assert layer.ready("read")
    layer.store.saw(FaultyObjects(), CLOSURE)  # another store's
    assert not layer.store.seen
    layer.store.saw(objects, CLOSURE)
    objects.calls.clear()
    assert len(Layers([layer]).ask(blobs, [], [CLOSURE]).blobs) == 2
    assert not objects.calls


def test_a_store_that_is_none_has_no_closures_either(home: Home) -> None:
    objects = FaultyObjects(**{**held(ONE), CLOSURE: b"{}"})
    objects.delete("format.json")
    layers = Layers([home.layer(objects)])
    assert not layers.ask([(digest_bytes(ONE), len(ONE))], [], [CLOSURE]).blobs
    assert home.bring(layers, ONE) is None


def test_many_records_are_read_dozens_at_a_time(home: Home) -> None:
    objects = FaultyObjects()
    objects.latency = 0.02
    home.layer(objects).ask([], [("transmute", Digest(f"{number:064x}")) for number in range(200)])
    assert objects.count("read", "results/*") == 200
    assert 24 <= objects.most <= 64


@pytest.mark.parametrize("call", ["read", "sizes"])
def test_a_store_that_does_not_answer_is_said_once_and_left_alone(home: Home, call: str) -> None:
    objects = FaultyObjects(**held(ONE, TWO, result(ONE)))
    objects.fault(call)
    layers = Layers([home.layer(objects)])
    assert not layers.ask([(digest_bytes(ONE), None)], [("transmute", KEY)]).blobs
    asked = len(objects.calls)
    assert home.bring(layers, ONE) is None
    assert layers.result("transmute", KEY) is None
    assert layers.written == []
    assert len(objects.calls) == asked
    assert home.notes == ["the store team is left alone for now: nobody answers"]


def test_a_transfer_that_ends_half_way_goes_on_in_the_next_store(home: Home) -> None:
    near, far = FaultyObjects(**held(ONE)), FaultyObjects(**held(ONE))
    near.fault("fetch")
    layers = Layers([home.layer(near, name="near"), home.layer(far, name="far")])
    assert home.bring(layers, ONE) == ONE
    assert layers.came_from({"out": Output(sha256=digest_bytes(ONE), size=len(ONE))}) == "far"
    assert len(home.notes) == 1


WRONG = {
    "first byte": b"X" + ONE[1:],
    "last byte": ONE[:-1] + b"X",
    "nothing": b"",
    "one byte": ONE[:1],
    "half": ONE[: len(ONE) // 2],
    "all but one": ONE[:-1],
    "one more": ONE + b"X",
    "another blob": TWO,
}


@pytest.mark.parametrize("damage", WRONG)
@pytest.mark.parametrize("asked_before", [True, False])
def test_wrong_bytes_are_never_given_said_once_and_mended_by_right_ones(
    home: Home, damage: str, asked_before: bool
) -> None:
    name = blob_name(digest_bytes(ONE))
    objects = FaultyObjects(**{name: WRONG[damage]})
    layers = Layers([home.layer(objects)])
    if asked_before:
        layers.ask([(digest_bytes(ONE), len(ONE))], [])
    assert home.bring(layers, ONE) is None
    assert home.bring(layers, ONE) is None
    assert len(home.notes) == 1
    assert "damaged" in home.notes[0]
    (layer,) = layers.written
    assert layer.deliver(home.path, [digest_bytes(ONE)], None)
    assert objects.held[name] == ONE
    assert home.bring(layers, ONE) == ONE


def test_wrong_bytes_stay_where_we_may_not_write(home: Home) -> None:
    name = blob_name(digest_bytes(ONE))
    objects = FaultyObjects(**{name: TWO})
    layer = home.layer(objects, written=False)
    assert home.bring(Layers([layer]), ONE) is None
    assert not layer.deliver(home.path, [digest_bytes(ONE)], None)
    assert objects.held[name] == TWO
    assert objects.count("put") == objects.count("delete") == 0


def test_what_somebody_else_mended_meanwhile_is_not_taken_away(home: Home) -> None:
    name = blob_name(digest_bytes(ONE))
    objects = FaultyObjects(**{name: TWO})
    layers = Layers([home.layer(objects)])
    assert home.bring(layers, ONE) is None
    objects.held[name] = ONE
    assert layers.layers[0].deliver(home.path, [digest_bytes(ONE)], None)
    assert objects.count("delete") == 0


BARE = unsealed(result_to_bytes(result(ONE)))
"""A record as it may say nothing of its own digest: what is wrong with it is found without."""


@pytest.mark.parametrize(
    "data",
    [
        result_to_bytes(result(ONE)).replace(b'"milliseconds": 1', b'"milliseconds": 2'),
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"version": 1}',
        b"[" * 100_000,
        result_to_bytes(result(ONE, key=Digest("7" * 64))),
        BARE.replace(b'"version": 1', b'"version": 2'),
        BARE.replace(b'"builder"', b'"cls": "os", "builder"'),
        BARE.replace(b'"kind"', b'"kind": "transmute", "kind"'),
        BARE.replace(digest_bytes(ONE).encode(), b"../../../../etc/passwd"),
        b'"' + b"x" * (2 << 20) + b'"',
    ],
    ids=lambda data: repr(data[:20]),
)
def test_what_is_no_record_does_not_count_and_makes_way_for_one(home: Home, data: bytes) -> None:
    objects = FaultyObjects(**{**held(ONE), result_name("transmute", KEY): data})
    layers = Layers([home.layer(objects)])
    assert layers.result("transmute", KEY) is None
    assert layers.result("transmute", KEY) is None
    assert len(home.notes) == 1
    assert layers.layers[0].deliver(home.path, [digest_bytes(ONE)], result(ONE))
    assert objects.held[result_name("transmute", KEY)] == result_to_bytes(result(ONE))


def test_a_record_whose_blobs_are_gone_makes_way(home: Home) -> None:
    objects = FaultyObjects(**held(result(b"gone", builder="somebody")))
    layers = Layers([home.layer(objects)])
    found = layers.result("transmute", KEY)
    assert found is not None
    found[0].incomplete(found[1])
    assert layers.result("transmute", KEY) is None
    assert found[0].deliver(home.path, [digest_bytes(ONE)], result(ONE))
    assert objects.held[result_name("transmute", KEY)] == result_to_bytes(result(ONE))


def test_of_two_records_the_first_stays(home: Home) -> None:
    first = result(TWO, builder="somebody")
    objects = FaultyObjects(**held(TWO, first))
    layer = home.layer(objects)
    assert layer.deliver(home.path, [digest_bytes(ONE)], result(ONE))
    assert layer.winner(result(ONE)) == first


def test_a_record_is_put_after_its_blobs_and_not_without_them(home: Home) -> None:
    objects = FaultyObjects()
    layer = home.layer(objects)
    assert layer.deliver(home.path, [digest_bytes(ONE), digest_bytes(TWO)], result(ONE, TWO))
    puts = [name for call, name in objects.calls if call == "put" and name != "format.json"]
    assert puts[-1] == result_name("transmute", KEY)
    assert len(puts) == 3
    other = result(ONE, b"never made", key=Digest("8" * 64))
    assert not layer.deliver(home.path, [digest_bytes(ONE), digest_bytes(b"never made")], other)
    assert result_name("transmute", other.key) not in objects.held


def test_a_store_that_overwrites_or_is_gone_is_asked_once_by_all_who_would_write(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("envbuild.store.standing.SLOW_START", 0.01)  # an answer that takes longer than others wait
    for error, gone in ((None, False), (UnreachableError("nobody answers", retryable=True), True)):
        objects = FaultyObjects()
        if error is None:
            objects.held.pop("format.json")  # as if what is put there took the place of what was
            objects.read = lambda name, limit=0: b'{"format": 1}\n' if name == "format.json" else None  # type: ignore[method-assign]
        else:
            objects.fault("put", "format.json", error=error)
        objects.latency = 0.2
        layers = Layers([layer := home.layer(objects)])
        home.notes.clear()
        sender = Sender(home.path, home.notes.append)
        for number in range(30):
            blob = str(number).encode()
            (home.folder / digest_bytes(blob)).write_bytes(blob)
            sender.send(layers.written, [digest_bytes(blob)])
        sender.settle()
        assert objects.count("put", "format.json") == objects.count("put") == 1
        assert (layer.gone, layer.written, len(home.notes)) == (gone, False, 1)


@pytest.mark.parametrize(
    ("error", "gone"),
    [
        (UnreachableError("403", reference="refused"), False),
        (NoSpaceError("the disk there is full"), False),
        (UnreachableError("nobody answers"), True),
    ],
)
def test_a_write_that_fails_ends_writing_with_one_word(home: Home, error: Exception, gone: bool) -> None:
    objects = FaultyObjects(**held(TWO))
    objects.fault("put", "blobs/*", error=error, after=1)  # type: ignore[arg-type]
    layers = Layers([home.layer(objects)])
    blobs = [str(number).encode() for number in range(40)]
    for blob in blobs:
        (home.folder / digest_bytes(blob)).write_bytes(blob)
    sender = Sender(home.path, home.notes.append)
    sender.send(layers.written, [digest_bytes(blobs[0])])
    sender.settle()
    for blob in blobs[1:]:
        sender.send(layers.written, [digest_bytes(blob)])
    sender.settle()
    assert len(home.notes) == 1
    assert sum(name.startswith("blobs/") for name in objects.held) == 2
    assert layers.layers[0].gone == gone
    assert (home.bring(layers, TWO) == TWO) != gone


@pytest.mark.parametrize(("good", "tried"), [(0, 1), (3, 2), (21, 11)])
def test_R19_few_puts_are_under_way_when_a_store_begins_to_refuse(home: Home, good: int, tried: int) -> None:
    objects = FaultyObjects()
    objects.fault("put", error=UnreachableError("403", reference="refused"), after=good)
    objects.latency = 0.02
    layers = Layers([layer := home.layer(objects)])
    sender = Sender(home.path, home.notes.append)
    for number in range(60):
        blob = str(number).encode()
        (home.folder / digest_bytes(blob)).write_bytes(blob)
        sender.send(layers.written, [digest_bytes(blob)])
    sender.settle()
    assert 1 <= objects.count("put") - good <= tried, "and none that began after the refusal was known"
    assert (layer.gone, layer.written, len(home.notes)) == (False, False, 1)


def test_others_do_not_wait_long_for_a_first_write_that_takes_long(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("envbuild.store.standing.SLOW_START", 0.05)
    objects, other = FaultyObjects(), threading.Event()
    put, slow = objects.put, digest_bytes(ONE)

    def waits(name: str, source: Path | bytes) -> str:
        if slow not in name:
            other.set()
        elif not other.wait(60):
            raise AssertionError("nobody else came")
        return put(name, source)

    objects.put = waits  # type: ignore[method-assign,assignment]
    layers = Layers([home.layer(objects)])
    layers.layers[0].store.check_keeps()
    other.clear()
    sender = Sender(home.path)
    sender.send(layers.written, [slow])
    sender.send(layers.written, [digest_bytes(TWO)])
    sender.settle()
    assert objects.held.keys() >= {f"blobs/sha256/{each[:2]}/{each}" for each in (slow, digest_bytes(TWO))}


def test_an_unbelieved_store_gives_files_and_is_asked_for_no_record(home: Home) -> None:
    objects = FaultyObjects(**held(ONE, result(ONE)))
    told: list[str] = []
    layers = Layers([home.layer(objects, believed=False, written=False)], unbelieved=lambda: told.append("x"))
    found = layers.ask([(digest_bytes(ONE), len(ONE))], [("transmute", KEY)])
    assert dict(found.blobs) == {digest_bytes(ONE): "team"}
    assert not found.results
    assert layers.result("transmute", KEY) is None
    assert home.bring(layers, ONE) == ONE
    assert objects.count("read", "results/*") == 0
    assert told == ["x"]


@pytest.mark.parametrize(
    ("format_json", "reads", "writes"),
    [
        (b'{"format": 1}', True, True),
        (b'{"format": 2, "readable-by": 1}', True, False),
        (b'{"format": 2}', False, False),
        (b'{"format": 2, "readable-by": 2}', False, False),
        (b'{"format": 1, "mandatory": ["packs"]}', False, False),
        (b'{"format": true}', False, False),
        (b"[1]", False, False),
        (b"", False, False),
        (None, False, False),
    ],
)
def test_a_format_that_we_do_not_know_is_not_written(
    home: Home, format_json: bytes | None, reads: bool, writes: bool
) -> None:
    objects = FaultyObjects(**held(TWO))
    if format_json is None:
        del objects.held["format.json"]
    else:
        objects.held["format.json"] = format_json
    layer = home.layer(objects)
    before = dict(objects.held)
    assert (home.bring(Layers([layer]), TWO) == TWO) == reads
    assert layer.deliver(home.path, [digest_bytes(ONE)], None) == writes
    assert (objects.held == before) == (not writes)
    assert bool(home.notes) == (not writes)


def test_a_strict_layer_raises_what_goes_wrong(home: Home) -> None:
    objects = FaultyObjects()
    objects.fault("put", error=UnreachableError("403", reference="refused"))
    layer = home.layer(objects, strict=True)
    with pytest.raises(UnreachableError, match="403"):
        layer.deliver(home.path, [digest_bytes(ONE)], None)
    objects.held.clear()
    with pytest.raises(UnreachableError, match="there is no store"):
        home.layer(objects, strict=True).ready("write")


def test_sending_is_done_by_dozens_and_waited_for(home: Home) -> None:
    objects = FaultyObjects()
    objects.latency = 0.02
    blobs = [f"blob {number}".encode() for number in range(100)]
    for blob in blobs:
        (home.folder / digest_bytes(blob)).write_bytes(blob)
    layer = home.layer(objects)
    assert layer.ready("write")
    sender = Sender(home.path, home.notes.append)
    for blob in blobs:
        sender.send([layer], [digest_bytes(blob)])
    sender.settle()
    assert sum(name.startswith("blobs/") for name in objects.held) == 100
    assert 12 <= objects.most <= 24


def test_cancelled_sending_lets_go_at_once(home: Home) -> None:
    objects = FaultyObjects()
    hold = threading.Event()
    put = objects.put
    objects.put = lambda name, source: (hold.wait(), put(name, source))[1]  # type: ignore[method-assign]
    sender = Sender(home.path, home.notes.append)
    sender.send([home.layer(objects)], [digest_bytes(ONE)])
    sender.cancel()
    sender.settle()
    assert not any(name.startswith("blobs/") for name in objects.held)
    hold.set()


def test_a_copy_leaves_behind_what_is_not_what_its_name_says(home: Home) -> None:
    whole, lost = result(ONE), result(b"lost", key=Digest("9" * 64))
    source = FaultyObjects(**held(ONE, TWO, whole, lost))
    source.held[blob_name(digest_bytes(TWO))] = b"flipped"
    source.held["blobs/sha256/aa/../../x"] = source.held["blobs/sha256/zz/" + "z" * 64] = b"?"
    source.held["results/cls/55/" + "5" * 64 + ".json"] = b"{}"
    source.held["refs/x/@latest/1.json"] = b"{}"
    target = FaultyObjects()
    stores = SharedStore("a", lambda: source), SharedStore("b", lambda: target)
    copied = everything(*stores, home.folder / "tmp")
    assert (copied.blobs, copied.size, copied.results, copied.environments) == (1, len(ONE), 1, 0)
    assert copied.damaged == (blob_name(digest_bytes(TWO)),)
    assert target.held == {"format.json": source.held["format.json"], **held(ONE, whole)}
    again = everything(*stores, home.folder / "tmp")
    assert (again.blobs, again.results) == (0, 0)


def everything(source: SharedStore, target: SharedStore, scratch: Path) -> Copied:
    copy = Copy(source, target, scratch)
    copy.everything()
    return copy.report()


def test_a_record_that_is_too_large_is_no_reason_to_leave_a_store(home: Home) -> None:
    objects = FaultyObjects(**held(ONE))
    objects.fault("read", "results/*", IntegrityError("too many bytes", reference="too-large"))
    layers = Layers([home.layer(objects)])
    assert layers.result("transmute", KEY) is None
    assert home.bring(layers, ONE) == ONE


def test_records_travel_as_they_are() -> None:
    tree = json.loads(result_to_bytes(result(ONE, TWO)))
    assert tree["outputs"]["out1"] == {"sha256": digest_bytes(TWO), "size": len(TWO)}
