"""Kept copies of channels' indices: what is found in a cache that is empty, broken or somebody else's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from envbuild.durations import span
from envbuild.solvers.cached_indices import cached_indices, listed
from envbuild.solvers.index_copies import keep_indices, kept_copies

CHANNEL = "https://conda.example.org/good"
SUBDIRS = ("linux-64", "noarch")
WHEN = "Tue, 14 Nov 2023 22:13:20 GMT"


def write_index(
    cache: Path, *, records: int, mod: str | None = WHEN, tag: str = "1", channel: str = CHANNEL, stem: str = "1234abcd"
) -> Path:
    """An index of ``noarch`` as py-rattler leaves it in its cache."""
    cache.mkdir(parents=True, exist_ok=True)
    place = cache / f"{stem}.json"
    place.unlink(missing_ok=True)  # as the engine does: a new index is a new file
    packages = {f"x-{number}-0.conda": {"build_number": 0} for number in range(records)}
    place.write_text(json.dumps({"packages.conda": packages}))
    about = {"url": f"{channel}/noarch/repodata.json", "mod": mod, "blake2_hash": tag}
    (cache / f"{stem}.info.json").write_text(json.dumps(about))
    return place


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "rattler" / "repodata"


def test_an_empty_cache_has_no_copies(cache: Path) -> None:
    assert keep_indices(cache, [CHANNEL, "file:///here"], SUBDIRS) == {}
    assert kept_copies(cache, [CHANNEL], SUBDIRS) == {}
    assert not (cache.parent / "read-indices").exists()


def test_what_was_read_is_kept_when_the_cache_gets_another(cache: Path) -> None:
    place = write_index(cache, records=3)
    assert keep_indices(cache, [CHANNEL], SUBDIRS) == {}
    kept = kept_copies(cache, [CHANNEL], SUBDIRS)[CHANNEL]
    assert kept.document()["subdirs"] == ["noarch"]
    assert (kept.folder / place.name).samefile(place)
    good = place.read_bytes()
    place.unlink()
    place.write_bytes(b"broken")
    assert (kept.folder / place.name).read_bytes() == good
    assert not list(kept.folder.glob("*.part"))


def test_a_copy_is_for_the_folders_that_it_knows(cache: Path) -> None:
    write_index(cache, records=3)
    keep_indices(cache, [CHANNEL], SUBDIRS)
    assert CHANNEL in kept_copies(cache, [CHANNEL], ["noarch"])
    assert kept_copies(cache, [CHANNEL], ["osx-arm64", "noarch"]) == {}, "nobody asked whether there is one"
    keep_indices(cache, [CHANNEL], ["osx-arm64", "noarch"])
    assert CHANNEL in kept_copies(cache, [CHANNEL], ["osx-arm64", "noarch"])
    assert kept_copies(cache, ["https://conda.example.org/goo"], SUBDIRS) == {}


def test_a_copy_older_than_a_cut_off_does_not_count(cache: Path) -> None:
    write_index(cache, records=3)
    keep_indices(cache, [CHANNEL], SUBDIRS)
    assert CHANNEL in kept_copies(cache, [CHANNEL], SUBDIRS, "2023-11-14T22:13:20Z")
    assert kept_copies(cache, [CHANNEL], SUBDIRS, "2023-11-14T22:13:21Z") == {}


def test_the_newer_copy_stays_until_the_channel_caught_up(cache: Path) -> None:
    write_index(cache, records=3, tag="new")
    keep_indices(cache, [CHANNEL], SUBDIRS)
    write_index(cache, records=2, mod="Mon, 13 Nov 2023 22:13:20 GMT", tag="old")
    told = "noarch is of 2023-11-13 22:13 UTC, but one of 2023-11-14 22:13 UTC was seen before"
    for _ in range(2):
        back = keep_indices(cache, [CHANNEL], SUBDIRS)
        assert back == {CHANNEL: f"{told} and lists 2 packages, 1 fewer than before"}
    (kept,) = kept_copies(cache, [CHANNEL], SUBDIRS).values()
    assert kept.marks["noarch"].count == 3
    write_index(cache, records=4, mod="Wed, 15 Nov 2023 22:13:20 GMT", tag="newest")
    assert keep_indices(cache, [CHANNEL], SUBDIRS) == {}


def test_a_server_whose_clock_is_ahead_dates_nothing(cache: Path) -> None:
    write_index(cache, records=3, mod="Tue, 14 Nov 2124 22:13:20 GMT", tag="ahead")
    keep_indices(cache, [CHANNEL], SUBDIRS)
    assert kept_copies(cache, [CHANNEL], SUBDIRS, "2124-01-01T00:00:00Z") == {}
    write_index(cache, records=4, tag="right")
    assert keep_indices(cache, [CHANNEL], SUBDIRS) == {}
    (kept,) = kept_copies(cache, [CHANNEL], SUBDIRS).values()
    assert kept.marks["noarch"].tag == "right"


def test_without_dates_what_vanished_is_told_once(cache: Path) -> None:
    write_index(cache, records=100, mod=None)
    keep_indices(cache, [CHANNEL], SUBDIRS)
    write_index(cache, records=96, mod=None, tag="2")
    assert keep_indices(cache, [CHANNEL], SUBDIRS) == {}
    write_index(cache, records=50, mod=None, tag="3")
    assert keep_indices(cache, [CHANNEL], SUBDIRS) == {CHANNEL: "noarch lists 50 packages, 46 fewer than before"}
    assert keep_indices(cache, [CHANNEL], SUBDIRS) == {}


@pytest.mark.parametrize(
    "garbage", [b"", b"[]", b"{}", b'{"marks": {"noarch": {}}, "absent": []}', b"\xff", b'{"marks": 1}']
)
def test_marks_that_are_none_are_made_anew(garbage: bytes, cache: Path) -> None:
    write_index(cache, records=3)
    keep_indices(cache, [CHANNEL], SUBDIRS)
    (marks,) = (cache.parent / "read-indices").glob("*/marks")
    marks.write_bytes(garbage)
    assert kept_copies(cache, [CHANNEL], SUBDIRS) == {}
    assert keep_indices(cache, [CHANNEL], SUBDIRS) == {}
    assert CHANNEL in kept_copies(cache, [CHANNEL], SUBDIRS)


@pytest.mark.parametrize(("name", "value"), [("dated", "y"), ("dated", 1e300), ("count", "z"), ("files", 1)])
def test_marks_with_values_of_another_kind_are_made_anew(name: str, value: object, cache: Path) -> None:
    write_index(cache, records=3)
    keep_indices(cache, [CHANNEL], SUBDIRS)
    (marks,) = (cache.parent / "read-indices").glob("*/marks")
    tree = json.loads(marks.read_bytes())
    tree["marks"]["noarch"][name] = value
    marks.write_text(json.dumps(tree))
    assert kept_copies(cache, [CHANNEL], SUBDIRS, "2020-01-01T00:00:00Z") == {}
    assert keep_indices(cache, [CHANNEL], SUBDIRS) == {}


def test_files_of_a_cache_that_are_none_are_passed_over(cache: Path) -> None:
    write_index(cache, records=3)
    for name, data in {
        "a.info.json": b"[]",
        "b.info.json": b"{",
        "c.info.json": json.dumps({"url": 7, "blake2_hash": "x"}).encode(),
        "d.info.json": json.dumps({"url": f"{CHANNEL}/linux-64/repodata.json", "mod": "then"}).encode(),
        "e.shards-cache-v1": b"",
        "f.shards-cache-v1": b"SHARD-CACHE-V1",
        "g.shards-cache-v1": b"SHARD-CACHE-V1\xff\xff\xff\xff",
        "h.shards-cache-v1": b"SHARD-CACHE-V2\0\0\0\0" + f"{CHANNEL}/noarch/repodata_shards.msgpack.zst".encode(),
    }.items():
        (cache / name).write_bytes(data)
    (cache / "i.info.json").mkdir()
    assert list(cached_indices(cache, {f"{CHANNEL}/{subdir}" for subdir in SUBDIRS})) == [f"{CHANNEL}/noarch"]


@pytest.mark.parametrize(
    ("head", "names"),
    [(b"\x80", 0), (b"\x83", 3), (b"\xde\x01\x00", 256), (b"\xdf\x00\x01\x00\x00", 65536), (b"\xc0", 0)],
)
def test_names_of_a_sharded_index_are_counted_by_the_head_of_its_map(head: bytes, names: int, cache: Path) -> None:
    policy = f"\xd9{CHANNEL}/noarch/repodata_shards.msgpack.zst".encode("latin-1")
    body = b"\x82\xa4info\x81\xaacreated_at\xbe2023-11-14T22:13:20.123456789Z\xa6shards" + head
    cache.mkdir(parents=True)
    (cache / "1.shards-cache-v1").write_bytes(b"SHARD-CACHE-V1" + len(policy).to_bytes(4, "little") + policy + body)
    (index,) = cached_indices(cache, {f"{CHANNEL}/noarch"}).values()
    assert (index.dated, listed(index)) == (1_700_000_000.0, names)


def test_a_folder_that_cannot_be_written_has_no_copies(cache: Path) -> None:
    write_index(cache, records=3)
    (cache.parent / "read-indices").write_text("a file in its place")
    assert keep_indices(cache, [CHANNEL], SUBDIRS) == {}


def test_durations_are_said_in_their_largest_unit() -> None:
    told = [span(item) for item in (5, 60, 7199, 7200, 90000, 2 * 86400)]
    assert told == ["less than a minute", "1 minute", "1 hour", "2 hours", "1 day", "2 days"]
