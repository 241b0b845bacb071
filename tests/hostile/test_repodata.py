"""H49-H52: channels whose index lies, is broken, is without end, or goes back in time."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from rattler.index import index_fs

from envbuild.lock import LockedEnvironment
from envbuild.locks.lockfile import parse_lock
from tests.case import Case
from tests.support.channel import this_platform
from tests.support.conda_package import PackageRecipe, write_package
from tests.support.servers import Server

SECONDS = 60.0


def channel(
    folder: Path, *versions: str, name: str = "nice", depends: tuple[str, ...] = (), shards: bool = False
) -> str:
    for version in versions:
        package = PackageRecipe(name=name, version=version, subdir="noarch", noarch="generic", depends=depends)
        write_package(package, folder)
    asyncio.run(index_fs(folder, write_zst=False, write_shards=shards, force=True))
    return folder.as_uri()


def recipe(*channels: str, more: str = "") -> str:
    return f"platforms: [{this_platform()}]\nconda:\n  channels: {list(channels)}\n  packages: {{nice: , {more}}}\n"


def locked(case: Case) -> LockedEnvironment:
    (environment,) = parse_lock((case.project / "x.lock.yaml").read_bytes(), "x").platforms
    return environment


def edit(folder: Path, change: Mapping[str, Any], *, file: str | None = None) -> None:
    """Change the record of ``nice`` in a channel's index, and (with ``file``) the name that it stands under."""
    place = folder / "noarch" / "repodata.json"
    document = json.loads(place.read_bytes())
    records = document["packages.conda"]
    for name in list(records):
        record = records.pop(name)
        records[file or name] = {**record, **change}
    place.write_text(json.dumps(document))


def refused(case: Case) -> None:
    """The command ends with an error and without a lock, and nothing is left."""
    case.run("lock", "x.yaml", code=None, timeout=SECONDS)
    assert case.code in {3, 4, 5, 11}, case.err
    assert "error[" in case.err
    assert len(case.err) < 20_000
    assert not (case.project / "x.lock.yaml").exists()
    assert not list((case.home / "tmp").glob("*"))


def test_h49_a_higher_version_in_a_channel_that_comes_later(case: Case, tmp_path: Path) -> None:
    first, second = channel(tmp_path / "first", "1.0"), channel(tmp_path / "second", "1.0", "9.0")
    case.recipe(recipe(first, second)).run("lock", "x.yaml")
    assert [(item.version, item.channel) for item in locked(case).conda] == [("1.0", first)]


def test_h49_one_file_name_with_two_hashes(case: Case, tmp_path: Path) -> None:
    """The lock's digest decides: other bytes under the same name are never linked."""
    url = channel(tmp_path / "c", "1.0")
    case.recipe(recipe(url)).run("lock", "x.yaml")
    place = tmp_path / "c" / "noarch" / "nice-1.0-0.conda"
    other = PackageRecipe(name="nice", version="1.0", subdir="noarch", noarch="generic", files={"share/evil": "x"})
    place.write_bytes(write_package(other, tmp_path / "other").read_bytes())
    asyncio.run(index_fs(tmp_path / "c", write_zst=False, write_shards=False, force=True))
    case.run("realize", "x.yaml", code=4).mentions("nice-1.0-0.conda")
    assert not any((case.home / "prefixes").glob("[0-9a-f]*"))


def test_h49_a_record_that_is_not_its_file(case: Case, tmp_path: Path) -> None:
    url = channel(tmp_path / "c", "1.0")
    edit(tmp_path / "c", {"sha256": "1" * 64})
    case.recipe(recipe(url)).run("realize", "x.yaml", code=4)
    assert not any((case.home / "prefixes").glob("[0-9a-f]*"))


@pytest.mark.parametrize(
    "change",
    [
        {"name": "../nice"},
        {"name": "nice/../../x"},
        {"build": "../../x"},
        {"build": "0/../../../x"},
        {"version": "1.0/../.."},
        {"subdir": "../noarch"},
        {"subdir": "/etc"},
    ],
)
def test_h50_words_of_a_record_that_are_paths(change: dict[str, str], case: Case, tmp_path: Path) -> None:
    url = channel(tmp_path / "c", "1.0")
    edit(tmp_path / "c", change)
    case.recipe(recipe(url))
    refused(case)


@pytest.mark.parametrize(
    "file",
    [
        "../nice-1.0-0.conda",
        "%2e%2e%2fnice-1.0-0.conda",
        "%252e%252e%252fnice-1.0-0.conda",
        "..\\nice-1.0-0.conda",
        "/nice-1.0-0.conda",
        "nice-1.0-0.conda\n",
        "x" * 300 + ".conda",
    ],
)
def test_h50_file_names_that_are_paths(file: str, case: Case, tmp_path: Path) -> None:
    url = channel(tmp_path / "c", "1.0")
    edit(tmp_path / "c", {}, file=file)
    case.recipe(recipe(url))
    refused(case)


BROKEN: Mapping[str, bytes] = {
    "brackets": b"[" * 1_000_000,
    "braces": b'{"a":' * 200_000,
    "NaN": b'{"packages": {}, "packages.conda": {"nice-1.0-0.conda": {"build_number": NaN}}}',
    "1e999": b'{"packages": {}, "packages.conda": {"nice-1.0-0.conda": {"size": 1e999}}}',
    "a long text": b'{"packages": {}, "packages.conda": {"' + b"x" * 50_000_000 + b'": {}}}',
    "cut": b'{"packages": {}, "packages.conda": {"nice-1.0-0.conda": {"name": "ni',
    "no JSON": b"<html>sign in</html>",
    "a list": b"[]",
    "NUL": b"\0" * 1000,
    "nothing": b"",
}


@pytest.mark.parametrize("case_name", BROKEN)
def test_h51_an_index_that_is_none(case_name: str, case: Case, tmp_path: Path) -> None:
    url = channel(tmp_path / "c", "1.0")
    (tmp_path / "c" / "noarch" / "repodata.json").write_bytes(BROKEN[case_name])
    case.recipe(recipe(url))
    refused(case)


def test_h51_compression_that_is_cut(case: Case, tmp_path: Path) -> None:
    import zstandard

    url = channel(tmp_path / "c", "1.0")
    place = tmp_path / "c" / "noarch" / "repodata.json"
    packed = zstandard.ZstdCompressor().compress(place.read_bytes())
    place.with_suffix(".json.zst").write_bytes(packed[: len(packed) // 2])
    place.unlink()
    case.recipe(recipe(url))
    refused(case)


def test_h51_two_hundred_thousand_records_are_read_in_time(case: Case, tmp_path: Path) -> None:
    url = channel(tmp_path / "c", "1.0")
    place = tmp_path / "c" / "noarch" / "repodata.json"
    document = json.loads(place.read_bytes())
    (record,) = document["packages.conda"].values()
    for number in range(200_000):
        document["packages.conda"][f"other-{number}-0.conda"] = {**record, "name": "other", "version": str(number)}
    place.write_text(json.dumps(document))
    case.recipe(recipe(url)).run("lock", "x.yaml", timeout=SECONDS)
    assert [item.name for item in locked(case).conda] == ["nice"]


def test_h52_an_index_that_goes_back_in_time(case: Case, tmp_path: Path) -> None:
    """What is locked stays locked, also when the recipe asks for more."""
    url = channel(tmp_path / "c", "1.0", "2.0")
    channel(tmp_path / "c", "1.0", name="more")
    case.recipe(recipe(url)).run("realize", "x.yaml")
    before = (case.project / "x.lock.yaml").read_bytes()
    (tmp_path / "c" / "noarch" / "nice-2.0-0.conda").unlink()
    channel(tmp_path / "c")
    case.run("lock", "x.yaml", "--check").run("lock", "x.yaml")
    assert (case.project / "x.lock.yaml").read_bytes() == before
    case.recipe(recipe(url, more="more: ")).run("realize", "x.yaml")
    assert {item.name: item.version for item in locked(case).conda} == {"nice": "2.0", "more": "1.0"}


FORMS = ("repodata.json", "repodata.json.zst", "repodata_shards.msgpack.zst")
"""The forms of an index that a server may have."""

UNREADABLE = "the index of the channel {} cannot be read"


def only_form(folder: Path, form: str, *, dated: float | None = None) -> Path:
    """Leave one form of the index of ``noarch`` in a channel, and give it a date."""
    import zstandard

    place = folder / "noarch"
    if form == "repodata.json.zst":
        (place / form).write_bytes(zstandard.ZstdCompressor().compress((place / "repodata.json").read_bytes()))
    for other in FORMS:
        if other != form:
            (place / other).unlink(missing_ok=True)
    if dated is not None:
        os.utime(place / form, (dated, dated))
    return place / form


def solved(case: Case) -> dict[str, str]:
    return {item.name: item.version for item in locked(case).conda}


@pytest.mark.parametrize("form", FORMS)
def test_h51_the_copy_of_an_index_that_cannot_be_read_any_more(
    form: str, case: Case, tmp_path: Path, serving: Callable[..., Server]
) -> None:
    """It is used with one warning that says what and how old; what is good again is taken again."""
    folder, sharded = tmp_path / "c", form == FORMS[2]
    channel(folder, "1.0", "2.0", shards=sharded)
    if sharded:
        age_shards(folder, "2023-11-14T22:13:20Z")
    place = only_form(folder, form, dated=1_700_000_000)
    good = place.read_bytes()
    url = serving(folder).url
    case.recipe(recipe(url)).run("lock", "x.yaml").hides("cannot be read")
    (case.project / "x.lock.yaml").unlink()
    for broken in (good[: len(good) // 2], b"<html>sign in</html>"):
        place.write_bytes(broken)
        case.run("lock", "x.yaml")
        assert solved(case) == {"nice": "2.0"}
        assert case.err.count("cannot be read") == 1, case.err
        assert re.search(
            re.escape(UNREADABLE.format(url)) + r" \(failed to .*\): its copy of 2023-11-14 22:13 UTC", case.err
        )
        assert re.search(r"is used \(\d+ days old\)", case.err), case.err
        assert parse_lock((case.project / "x.lock.yaml").read_bytes(), "x").platforms[0].conda[0].channel == url
        case.run("realize", "x.yaml")
        (case.project / "x.lock.yaml").unlink()
    channel(folder, "3.0", shards=sharded)
    only_form(folder, form)
    case.run("lock", "x.yaml").hides("cannot be read", "went back")
    assert solved(case) == {"nice": "3.0"}


def test_h51_only_the_broken_channel_s_copy_is_used(case: Case, tmp_path: Path, serving: Callable[..., Server]) -> None:
    """Also when the record that cannot be read is only met on the way from another channel's package."""
    first, second = tmp_path / "first", tmp_path / "second"
    channel(first, "1.0", depends=("below",))
    channel(second, "1.0", name="below")
    urls = serving(first).url, serving(second).url
    case.recipe(recipe(*urls)).run("lock", "x.yaml")
    (case.project / "x.lock.yaml").unlink()
    channel(first, "2.0", depends=("below",))
    place = second / "noarch" / "repodata.json"
    document = json.loads(place.read_bytes())
    for record in document["packages.conda"].values():
        record["build_number"] = "none"
    place.write_text(json.dumps(document))
    case.run("lock", "x.yaml").mentions("cannot be read")
    assert UNREADABLE.format(urls[1]) in case.err
    assert UNREADABLE.format(urls[0]) not in case.err
    assert solved(case) == {"nice": "2.0", "below": "1.0"}


def test_h51_solves_for_several_platforms_use_one_copy_and_say_it_once(
    case: Case, tmp_path: Path, serving: Callable[..., Server]
) -> None:
    folder = tmp_path / "c"
    channel(folder, "1.0")
    url = serving(folder).url
    several = recipe(url).replace(f"[{this_platform()}]", "[linux-64, linux-aarch64, osx-arm64, win-64]")
    case.recipe(several).run("lock", "x.yaml")
    lock = case.project / "x.lock.yaml"
    before = lock.read_bytes()
    lock.unlink()
    (folder / "noarch" / "repodata.json").write_bytes(b"[]")
    case.run("lock", "x.yaml")
    assert case.err.count("cannot be read") == 1, case.err
    assert lock.read_bytes() == before


def test_h51_what_the_copy_does_not_have_is_told_as_the_broken_index(
    case: Case, tmp_path: Path, serving: Callable[..., Server]
) -> None:
    folder = tmp_path / "c"
    channel(folder, "1.0")
    url = serving(folder).url
    case.recipe(recipe(url)).run("lock", "x.yaml")
    before = (case.project / "x.lock.yaml").read_bytes()
    (folder / "noarch" / "repodata.json").write_bytes(b"[]")
    case.recipe(recipe(url, more="more: ")).run("lock", "x.yaml", code=3).mentions("bad-index")
    assert (case.project / "x.lock.yaml").read_bytes() == before


def test_h51_a_copy_older_than_the_cut_off_does_not_count(
    case: Case, tmp_path: Path, serving: Callable[..., Server]
) -> None:
    """A solve with a cut-off is the same for ever, so it must know all that there was until then."""
    folder = tmp_path / "c"
    channel(folder, "1.0")
    edit(folder, {"indexed_timestamp": 1_704_067_200_000})
    place = only_form(folder, "repodata.json", dated=1_717_200_000)
    url = serving(folder).url
    case.recipe(recipe(url)).run("lock", "x.yaml")
    (case.project / "x.lock.yaml").unlink()
    place.write_bytes(b"[]")
    case.recipe(f"exclude-newer: 2024-07-01\n{recipe(url)}").run("lock", "x.yaml", code=3).mentions("bad-index")
    case.recipe(f"exclude-newer: 2024-05-01\n{recipe(url)}").run("lock", "x.yaml")
    assert UNREADABLE.format(url) in case.err
    case.mentions("its copy of 2024-06-01")


@pytest.mark.parametrize("fault", [{"status": 500}, {"status": 403}, {"cut_after": 100}])
def test_h51_a_channel_that_does_not_answer_is_no_broken_one(
    fault: dict[str, int], case: Case, tmp_path: Path, serving: Callable[..., Server]
) -> None:
    """What may be right in a minute is not answered with what was right some time ago."""
    channel(tmp_path / "c", "1.0")
    server = serving(tmp_path / "c")
    case.recipe(recipe(server.url)).run("lock", "x.yaml")
    channel(tmp_path / "c", "2.0")
    (case.project / "x.lock.yaml").unlink()
    server.fault("/noarch/repodata.json", times=99, **fault)
    case.run("lock", "x.yaml", code=5).hides("cannot be read")


@pytest.mark.parametrize("form", FORMS)
def test_h52_a_solve_of_an_index_that_went_back_in_time_warns(
    form: str, case: Case, tmp_path: Path, serving: Callable[..., Server]
) -> None:
    """Once for the channel, each time, until it caught up; what is locked stays locked."""
    folder, sharded = tmp_path / "c", form == FORMS[2]
    channel(folder, "1.0", shards=sharded)
    channel(folder, "1.0", name="more", shards=sharded)
    only_form(folder, form, dated=1_700_000_000)
    old = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    old_time = (folder / "noarch" / form).stat().st_mtime
    channel(folder, "2.0", shards=sharded)
    if sharded:
        age_shards(folder, "2023-11-20T00:00:00Z")
    place = only_form(folder, form, dated=1_700_500_000)
    url = serving(folder).url
    case.recipe(recipe(url)).run("lock", "x.yaml").hides("went back")
    newer = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    before = (case.project / "x.lock.yaml").read_bytes()

    for path, data in old.items():
        path.write_bytes(data)
    if sharded:
        age_shards(folder, "2023-11-14T22:13:20Z")
    os.utime(place, (old_time, old_time))
    case.run("lock", "x.yaml").hides("went back")  # nothing is asked: the lock fits
    case.recipe(recipe(url, more="more: ")).run("lock", "x.yaml")
    assert solved(case) == {"nice": "2.0", "more": "1.0"}
    assert case.err.count("went back in time") == 1, case.err
    case.mentions("noarch is of 2023-11-14 22:13 UTC, but one of 2023-11-20", "what is locked stays as it is")
    for _ in range(2):
        case.run("lock", "x.yaml", "--upgrade")
        assert case.err.count(f"the channel {url} went back in time") == 1, case.err

    for path, data in newer.items():
        path.write_bytes(data)
    os.utime(place, (1_700_500_000, 1_700_500_000))
    case.run("lock", "x.yaml", "--upgrade").hides("went back")
    assert before != b""


def age_shards(folder: Path, created: str) -> None:
    """Give a sharded index another date of its own."""
    import zstandard

    place = folder / "noarch" / "repodata_shards.msgpack.zst"
    data = zstandard.ZstdDecompressor().decompress(place.read_bytes(), max_output_size=1 << 20)
    found = re.search(rb"created_at(.)(\d{4}-[^Z]*Z)", data, re.DOTALL)
    assert found is not None
    text = bytes([0xA0 | len(created)]) + created.encode()
    place.write_bytes(zstandard.ZstdCompressor().compress(data[: found.start(1)] + text + data[found.end(2) :]))


def test_h52_records_that_vanished_are_counted(case: Case, tmp_path: Path, serving: Callable[..., Server]) -> None:
    """Also with a newer date: a channel that was made anew from less."""
    folder = tmp_path / "c"
    channel(folder, "1.0", "2.0", "3.0")
    url = serving(folder).url
    case.recipe(recipe(url)).run("lock", "x.yaml")
    for version in ("2.0", "3.0"):
        (folder / "noarch" / f"nice-{version}-0.conda").unlink()
    channel(folder)
    case.run("lock", "x.yaml", "--upgrade").mentions("went back in time: noarch lists 1 packages, 2 fewer than before")
    case.run("lock", "x.yaml", "--upgrade").hides("went back")


def test_h52_an_index_that_lost_what_is_asked_for(case: Case, tmp_path: Path, serving: Callable[..., Server]) -> None:
    """The error is that nothing fits; the note says why. It is no good index: the copy from before stays."""
    folder = tmp_path / "c"
    channel(folder, "1.0", "2.0")
    url = serving(folder).url
    case.recipe(recipe(url)).run("lock", "x.yaml")
    before = (case.project / "x.lock.yaml").read_bytes()
    place = folder / "noarch" / "repodata.json"
    place.write_text('{"packages": {}, "packages.conda": {}}')
    case.run("lock", "x.yaml", "--upgrade", code=11).mentions(
        "error[unsatisfiable]", "went back in time: noarch lists 0"
    )
    case.run("lock", "x.yaml", "--check")
    place.write_text("<html>sign in</html>")
    case.run("lock", "x.yaml", "--upgrade").mentions("cannot be read")
    assert (case.project / "x.lock.yaml").read_bytes() == before


def test_h52_a_few_records_less_and_an_hour_are_no_news(
    case: Case, tmp_path: Path, serving: Callable[..., Server]
) -> None:
    folder = tmp_path / "c"
    channel(folder, "1.0", "2.0")
    place = folder / "noarch" / "repodata.json"
    document = json.loads(place.read_bytes())
    (record, *_) = document["packages.conda"].values()
    for number in range(100):
        document["packages.conda"][f"other-{number}-0.conda"] = {**record, "name": "other", "version": str(number)}
    place.write_text(json.dumps(document))
    os.utime(place, (1_700_000_000, 1_700_000_000))
    url = serving(folder).url
    case.recipe(recipe(url)).run("lock", "x.yaml")
    del document["packages.conda"]["other-7-0.conda"]
    place.write_text(json.dumps(document))
    os.utime(place, (1_699_997_000, 1_699_997_000))
    case.run("lock", "x.yaml", "--upgrade").hides("went back")
