"""H49-H52: channels whose index lies, is broken, is without end, or goes back in time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from rattler.index import index_fs

from envbuild.lock import LockedEnvironment
from envbuild.locks.lockfile import parse_lock
from tests.case import Case
from tests.support.channel import this_platform
from tests.support.conda_package import PackageRecipe, write_package

SECONDS = 60.0


def channel(folder: Path, *versions: str, name: str = "nice") -> str:
    for version in versions:
        write_package(PackageRecipe(name=name, version=version, subdir="noarch", noarch="generic"), folder)
    asyncio.run(index_fs(folder, write_zst=False, write_shards=False, force=True))
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
