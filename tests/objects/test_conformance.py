"""What every kind of place promises: one suite for folder, memory, web server, S3, Google's and Azure's."""

from __future__ import annotations

import hashlib
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from envbuild.errors import IntegrityError, InvalidInput, UnreachableError
from envbuild.machine.publish import Incoming
from envbuild.objects.probe import Probed, probe
from tests.objects.conftest import CLOUDS, WRITABLE, Place, everywhere
from tests.support.memory import at_most

ALL = (*WRITABLE, "http")
BIG = 30_000_000


class Collected:
    """A writer that keeps what it is given."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.restarts = 0

    def write(self, data: bytes) -> None:
        self.data += data

    def restart(self) -> None:
        self.data.clear()
        self.restarts += 1


def names(count: int) -> list[str]:
    return [
        f"blobs/sha256/{number % 256:02x}/{hashlib.sha256(str(number).encode()).hexdigest()}" for number in range(count)
    ]


@everywhere()
def test_the_first_put_creates_and_the_second_is_told_that_it_exists(place: Place) -> None:
    objects = place.open()
    assert objects.put("results/fetch/ab/one.json", b"first") == "created"
    assert objects.put("results/fetch/ab/one.json", b"second") == "exists"
    assert objects.read("results/fetch/ab/one.json") == b"first"


@everywhere()
def test_a_file_is_put_like_bytes(place: Place, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"bytes of a file")
    objects = place.open()
    assert objects.put("a/file", source) == "created"
    assert objects.put("a/file", source) == "exists"
    assert objects.read("a/file") == b"bytes of a file"
    assert source.read_bytes() == b"bytes of a file"


@everywhere()
def test_an_object_of_no_bytes_is_an_object_and_is_never_replaced(place: Place) -> None:
    objects = place.open()
    assert objects.put("a/empty", b"") == "created"
    assert objects.put("a/empty", b"no longer") == "exists"
    assert objects.put("a/empty", b"") == "exists"
    assert objects.read("a/empty") == b""
    assert objects.sizes(["a/empty"]) == {"a/empty": 0}
    into = Collected()
    assert objects.fetch("a/empty", into, 0)
    assert not into.data


@everywhere()
def test_no_bytes_do_not_replace_an_object(place: Place, tmp_path: Path) -> None:
    objects = place.open()
    objects.put("a/full", b"full")
    (tmp_path / "none").touch()
    assert objects.put("a/full", b"") == "exists"
    assert objects.put("a/full", tmp_path / "none") == "exists"
    assert objects.read("a/full") == b"full"


@everywhere()
def test_of_sixteen_threads_that_put_one_name_one_creates_it(place: Place) -> None:
    objects = place.open()
    for turn in range(5):
        start = threading.Barrier(16)

        def put(number: int, name: str = f"races/{turn}", start: threading.Barrier = start) -> str:
            start.wait()
            return objects.put(name, f"{number}".encode() * 100)

        with ThreadPoolExecutor(16) as pool:
            told = list(pool.map(put, range(16)))
        assert sorted(told) == ["created"] + ["exists"] * 15
        assert objects.read(f"races/{turn}") == f"{told.index('created')}".encode() * 100


@everywhere("file", *CLOUDS)
def test_of_four_that_put_one_large_object_one_creates_it(place: Place, tmp_path: Path) -> None:
    sources = [tmp_path / str(number) for number in range(4)]
    for source in sources:
        source.write_bytes(os.urandom(1 << 20) * 20)
    openings = [place.open() for _ in sources]
    with ThreadPoolExecutor(4) as pool:
        told = list(pool.map(lambda pair: pair[0].put("a/large", pair[1]), zip(openings, sources, strict=True)))
    assert sorted(told) == ["created", "exists", "exists", "exists"]
    into = Collected()
    assert openings[0].fetch("a/large", into)
    assert bytes(into.data) == sources[told.index("created")].read_bytes()


@everywhere(*ALL)
def test_what_is_absent_is_a_value_and_no_error(place: Place) -> None:
    objects = place.open()
    place.fill("a/there", b"there")
    into = Collected()
    assert objects.read("a/absent") is None
    assert objects.fetch("a/absent", into) is False
    assert not into.data
    assert objects.sizes(["a/absent"]) == {}
    assert objects.read("a") is None  # what others would call a folder


@everywhere(*ALL)
def test_sizes_answers_for_five_hundred_at_once(place: Place) -> None:
    wanted = names(500)
    there = wanted[::25]
    for number, name in enumerate(there):
        place.fill(name, b"x" * number)
    objects = place.open()
    assert objects.sizes(wanted) == {name: number for number, name in enumerate(there)}
    assert objects.sizes([]) == {}
    assert objects.sizes([there[3], there[3]]) == {there[3]: 3}


@everywhere(*ALL)
def test_thirty_megabytes_stream_through_little_memory(place: Place, tmp_path: Path) -> None:
    source = tmp_path / "big"
    with source.open("wb") as stream:
        for _ in range(BIG // 100_000):
            stream.write(os.urandom(100_000))
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    writer, objects = place.writer or place.open(), place.open()
    writer.sizes(["warm"])  # libraries are imported before anything is counted
    objects.read("warm")
    if place.kind != "memory":
        # Four parts of 8 MiB, or four blocks of 4 MiB, are under way at once, each with what the libraries make of it.
        with at_most({"az": 50, "s3": 80}.get(place.kind, 20)):
            assert writer.put("a/big", source) == "created"
        with Incoming(tmp_path / "incoming") as into, at_most(40 if place.kind == "az" else 15):
            assert objects.fetch("a/big", into, BIG)
            assert into.digest == digest
    else:
        assert writer.put("a/big", source) == "created"
        with Incoming(tmp_path / "incoming") as into:
            assert objects.fetch("a/big", into, BIG)
            assert into.digest == digest


@everywhere(*ALL)
def test_more_bytes_than_expected_end_the_transfer(place: Place) -> None:
    place.fill("a/large", b"x" * 3_000_000)
    objects = place.open()
    into = Collected()
    for ask in (lambda: objects.fetch("a/large", into, 1_000_000), lambda: objects.read("a/large", 1_000_000)):
        with pytest.raises(IntegrityError) as caught:
            ask()
        assert caught.value.reference == "too-large"
    assert len(into.data) <= 2_000_000
    assert len(objects.read("a/large", 3_000_000) or b"") == 3_000_000


@everywhere(*ALL)
def test_a_whole_object_that_is_too_short_is_given_for_its_hash_to_tell(place: Place) -> None:
    place.fill("a/short", b"short")
    into = Collected()
    assert place.open().fetch("a/short", into, 1000)
    assert into.data == b"short"


@everywhere(*ALL)
@pytest.mark.parametrize(
    "name",
    [
        "",
        "/a",
        "a/",
        "a//b",
        "../a",
        "a/../b",
        "a/./b",
        ".",
        "a b",
        "a%2fb",
        "ä",
        "a\0b",
        "a\nb",
        "a" * 256,
        "a?b",
        "a#b",
    ],
)
def test_what_is_no_name_is_refused_before_anything_is_asked(place: Place, name: str) -> None:
    objects = place.open()
    into = Collected()
    asked = len(place.proxy.seen) if place.proxy else 0
    for ask in (
        lambda: objects.read(name),
        lambda: objects.fetch(name, into),
        lambda: objects.sizes(["fine", name]),
        lambda: objects.put(name, b"") if place.kind != "http" else objects.read(name),
        lambda: objects.delete(name) if place.kind != "http" else objects.read(name),
    ):
        with pytest.raises(InvalidInput) as caught:
            ask()
        assert caught.value.reference == "bad-name"
    assert asked == (len(place.proxy.seen) if place.proxy else 0)


@everywhere(*ALL)
def test_every_letter_of_the_alphabet_comes_back(place: Place) -> None:
    wanted = [
        "refs/team/x/@latest/00000000000000000001.json",
        "a/b+c",
        "A.B_C-d@e",
        "a/..b",
        "x" * 255,
        "a+b/c+d.conda",
    ]
    for name in wanted:
        place.fill(name, name.encode())
    objects = place.open()
    assert [objects.read(name) for name in wanted] == [name.encode() for name in wanted]
    assert set(objects.sizes(wanted)) == set(wanted)
    if place.kind != "http":
        assert {item.name for item in objects.list("")} == set(wanted)


@everywhere()
def test_a_listing_gives_names_sizes_and_times_under_a_prefix(place: Place) -> None:
    objects = place.open()
    objects.put("blobs/sha256/ab/one", b"1")
    objects.put("blobs/sha256/ab/two", b"22")
    objects.put("blobs/sha256/cd/three", b"333")
    objects.put("results/x", b"4444")
    listed = {item.name: item.size for item in objects.list("blobs/")}
    assert listed == {"blobs/sha256/ab/one": 1, "blobs/sha256/ab/two": 2, "blobs/sha256/cd/three": 3}
    assert {item.name for item in objects.list("blobs/sha256/ab/t")} == {"blobs/sha256/ab/two"}
    assert len(list(objects.list(""))) == 4
    assert list(objects.list("absent/")) == []
    times = [item.modified for item in objects.list("")]
    assert all(abs(time - times[0]) < 120 for time in times)


@everywhere(*CLOUDS)
def test_H59_keys_that_are_no_names_are_neither_listed_nor_in_the_way(place: Place) -> None:
    assert place.server is not None
    bucket = place.url.split("/")[2]
    hostile = ["with space", "a\u0308", "b" * 700, "percent%2f", "semi;colon", "Case", "case"]
    if place.kind == "s3":  # the emulators of the others refuse these themselves
        hostile += ["of/../dots", "double//slash", "trailing/"]
    for key in hostile:
        place.server.put_key(bucket, f"team/store/{key}", b"x")
    place.server.put_key(bucket, "team/store-beside/a", b"x")
    place.server.put_key(bucket, "a", b"x")
    objects = place.open()
    objects.put("a", b"mine")
    told: dict[str, str] = {}
    assert {item.name for item in objects.list("", told.__setitem__)} == {"a", "Case", "case"}
    assert told == dict.fromkeys(set(hostile) - {"Case", "case"}, "is no name of an object")
    objects.delete("a")
    assert {item.name for item in objects.list("")} == {"Case", "case"}


@everywhere()
def test_a_deleted_object_is_absent_and_can_be_made_again(place: Place) -> None:
    objects = place.open()
    objects.put("a/b", b"one")
    objects.delete("a/b")
    objects.delete("a/b")
    assert objects.read("a/b") is None
    assert objects.sizes(["a/b"]) == {}
    assert list(objects.list("a/")) == []
    assert objects.put("a/b", b"two") == "created"
    assert objects.read("a/b") == b"two"


@everywhere(*ALL)
def test_read_only_refuses_to_write_and_sends_nothing(place: Place) -> None:
    place.fill("a/b", b"there")
    objects = place.open(mode="read-only")
    assert objects.read("a/b") == b"there"
    assert objects.sizes(["a/b"]) == {"a/b": 5}
    seen = len(place.proxy.seen) if place.proxy else 0
    for write in (lambda: objects.put("a/c", b""), lambda: objects.delete("a/b")):
        with pytest.raises(UnreachableError) as caught:
            write()
        assert caught.value.reference == "read-only"
        assert not caught.value.retryable
    assert seen == (len(place.proxy.seen) if place.proxy else 0)
    assert objects.read("a/b") == b"there"


@everywhere()
def test_the_probe_passes_and_leaves_nothing(place: Place) -> None:
    objects = place.open()
    assert probe(objects) == Probed(lists=True, deletes=True)
    assert list(objects.list("")) == []


@everywhere()
def test_two_openings_see_each_others_objects_at_once(place: Place) -> None:
    one, other = place.open(), place.open()
    assert other.read("a/b") is None
    assert list(other.list("a/")) == []
    one.put("a/b", b"now")
    assert other.read("a/b") == b"now"
    assert other.sizes(["a/b"]) == {"a/b": 3}
    assert [item.name for item in other.list("a/")] == ["a/b"]
    one.delete("a/b")
    assert other.read("a/b") is None
    assert other.sizes(["a/b"]) == {}


@everywhere(*CLOUDS)
def test_places_under_one_bucket_do_not_see_each_other(place: Place) -> None:
    beside = Place(kind=place.kind, url=place.url + "-beside").open()
    place.open().put("a/b", b"mine")
    assert beside.read("a/b") is None
    assert list(beside.list("")) == []
    beside.put("a/b", b"yours")
    assert place.open().read("a/b") == b"mine"


@everywhere()
def test_a_writer_that_fails_ends_the_transfer_and_not_the_store(place: Place) -> None:
    objects = place.open()
    objects.put("a/large", os.urandom(5_000_000))

    class Full(Collected):
        def write(self, data: bytes) -> None:
            raise OSError("the disk is full")

    for _ in range(20):
        with pytest.raises(OSError, match="the disk is full"):
            objects.fetch("a/large", Full())
    into = Collected()
    assert objects.fetch("a/large", into)
    assert len(into.data) == 5_000_000
