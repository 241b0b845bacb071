"""Which versions an advisory touches, as OSV's specification evaluates ranges."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from envbuild.errors import InvalidInput
from envbuild.review.advisories import read_advisory
from envbuild.review.advisory_sources import from_file
from envbuild.review.auditing import Place, judged
from tests.support.osv_service import advisory


@pytest.mark.parametrize(
    ("events", "inside", "outside"),
    [
        ([("introduced", "0"), ("fixed", "1.5")], ["0.1.dev1", "0.9", "1.4.99", "1.5rc1"], ["1.5", "1.5.0", "2"]),
        ([("introduced", "1.0")], ["1.0", "99"], ["0.9", "1.0rc1"]),
        ([("introduced", "0"), ("last_affected", "1.5")], ["1.5", "1.5.0"], ["1.5.post1", "1.6"]),
        (
            [("introduced", "2.0"), ("fixed", "2.3"), ("introduced", "0"), ("fixed", "1.9")],
            ["1.8", "2.0", "2.2"],
            ["1.9", "1.9.5", "2.3"],
        ),
        ([("introduced", "1.0"), ("fixed", "1.0"), ("introduced", "1.1")], ["1.1"], ["1.0", "1.0.5"]),
        ([], [], ["1.0"]),
    ],
)
def test_ranges(events: list[tuple[str, str]], inside: list[str], outside: list[str]) -> None:
    found = read_advisory(advisory("OSV-1", "Lib.A", *events), "x")
    assert found is not None
    (affected,) = found.about("lib-a")
    assert [version for version in inside if not affected.touches(version)] == []
    assert [version for version in outside if affected.touches(version)] == []


def test_versions_that_are_listed_are_touched_whatever_ranges_say() -> None:
    document = advisory("OSV-1", "lib", ("introduced", "0"), ("fixed", "1.0"))
    document["affected"][0]["versions"] = ["3.0", "weird-version"]
    found = read_advisory(document, "x")
    assert found is not None
    assert found.affected[0].touches("3.0.0")
    assert found.affected[0].touches("weird-version")
    assert not found.affected[0].touches("2.0")


def test_the_lowest_fix_above_is_named() -> None:
    events = [("introduced", "0"), ("fixed", "1.2"), ("introduced", "2.0"), ("fixed", "2.4")]
    found = read_advisory(advisory("OSV-1", "lib", *events), "x")
    assert found is not None
    assert [found.affected[0].fixed(version) for version in ("1.0", "2.1", "3.0")] == ["1.2", "2.4", None]


def test_what_was_withdrawn_or_is_about_others_is_none() -> None:
    assert read_advisory(advisory("OSV-1", "lib", withdrawn="2026-01-01T00:00:00Z"), "x") is None
    other = advisory("OSV-2", "lib")
    other["affected"][0]["package"]["ecosystem"] = "npm"
    assert read_advisory(other, "x") is None


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"id": 3, "affected": []},
        {"id": "a", "affected": [{"package": {"ecosystem": "PyPI"}}]},
        {"id": "a", "affected": [{"package": {"ecosystem": "PyPI", "name": "x"}, "ranges": [{"type": "ECOSYSTEM"}]}]},
        {"id": "a", "affected": 7},
        [],
        "x",
    ],
)
def test_what_is_no_advisory_is_an_error_with_its_place(document: object) -> None:
    with pytest.raises(InvalidInput, match="no advisory") as caught:
        read_advisory(document, "there.json")
    assert str(caught.value.where) == "there.json"


def test_advisories_that_name_each_other_are_one_finding() -> None:
    events = (("introduced", "0"), ("fixed", "2"))
    documents = [
        advisory("PYSEC-1", "lib", *events, aliases=["CVE-1"]),
        advisory("GHSA-1", "lib", *events, aliases=["CVE-1"], summary="it breaks"),
        advisory("PYSEC-2", "lib", *events),
    ]
    read = [found for item in documents if (found := read_advisory(item, "x")) is not None]
    place = Place(name="lib", version="1", kind="pypi", project="lib", known_as="1", environment="a (linux-64)")
    audited = judged([place], [], read, [])
    assert [(item.id, item.aliases, item.summary) for item in audited.found] == [
        ("GHSA-1", ("CVE-1", "PYSEC-1"), "it breaks"),
        ("PYSEC-2", (), ""),
    ]
    assert [item.id for item in judged([place], [], read, ["CVE-1"]).found] == ["PYSEC-2"]
    assert judged([place], [], read, ["CVE-1"]).ignored == 1


def test_a_database_that_is_no_zip_is_refused(tmp_path: Path) -> None:
    (tmp_path / "all.zip").write_bytes(b"PK nothing")
    with pytest.raises(InvalidInput) as caught:
        from_file(tmp_path / "all.zip", ["lib"])
    assert caught.value.reference == "bad-database"
    with pytest.raises(InvalidInput) as caught:
        from_file(tmp_path / "none.zip", ["lib"])
    assert caught.value.reference == "missing-file"
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr("a.json", '{"PyPI": ')
    with pytest.raises(InvalidInput) as caught:
        from_file(tmp_path / "bad.zip", ["lib"])
    assert "a.json" in str(caught.value.where)
