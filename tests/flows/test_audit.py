"""``audit``: locks against OSV's service on loopback, and against its database in a file."""

from __future__ import annotations

import json
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.case import Case
from tests.support.channel import TestChannel
from tests.support.osv_service import OsvService, advisory
from tests.support.servers import Server

SERIES = f"{sys.version_info.major}.{sys.version_info.minor}"
OLD = advisory(
    "PYSEC-2026-1",
    "Toy",
    ("introduced", "0"),
    ("fixed", "99.0"),
    aliases=["CVE-2026-1"],
    summary="A toy breaks\u001b[31m when thrown",
    database_specific={"severity": "HIGH"},
)
PAST = advisory("PYSEC-2026-2", "toy", ("introduced", "0"), ("fixed", "0.1"))


@pytest.fixture
def shop(case: Case, wheel_index: Server) -> Case:
    case.variable("UV_DEFAULT_INDEX", f"{wheel_index.url}/simple")
    case.file("envbuild.yaml", "recipes: recipes/\n")
    text = f"interpreter: host\npython: {SERIES}\nplatforms: [linux-64, osx-arm64]\npypi:\n  packages:\n    toy:\n"
    return case.file("recipes/shop.yaml", text).run("lock", "recipes/shop.yaml")


def test_a_service_is_asked_for_names_and_versions_and_its_advisories_are_judged(
    shop: Case, serving: Callable[..., Server]
) -> None:
    service = OsvService(OLD, PAST)
    server = serving(service)
    shop.run("audit", "--database", server.url, code=4)
    assert "toy " in shop.out
    assert "PYSEC-2026-1 (CVE-2026-1) [HIGH]" in shop.out
    assert "in shop (linux-64), shop (osx-arm64)" in shop.out
    assert "fixed in 99.0: envbuild lock --upgrade-package toy" in shop.out
    assert "PYSEC-2026-2" not in shop.out, "its range ends before"
    assert "\u001b" not in shop.out
    assert "1 vulnerability in" in shop.err
    assert {"package", "version"} <= set(service.queries[0])
    assert all(set(query) <= {"package", "version", "page_token"} for query in service.queries)
    shop.run("audit", "--database", server.url, "--ignore", "CVE-2026-1")
    shop.mentions("Nothing known in", "1 ignored")
    shop.run("audit", "recipes/shop.yaml", "--database", server.url, "--json", code=4)
    (found,) = json.loads(shop.out)["vulnerabilities"]
    assert (found["id"], found["fixed"], found["kind"]) == ("PYSEC-2026-1", "99.0", "pypi")


def test_a_database_in_a_file_needs_no_network(shop: Case, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for item in (OLD, PAST):
            archive.writestr(f"{item['id']}.json", json.dumps(item))
    shop.run("audit", "--offline", "--database", str(tmp_path / "all.zip"), code=4)
    assert "PYSEC-2026-1" in shop.out
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "one.json").write_text(json.dumps(PAST))
    shop.run("audit", "--offline", "--database", str(folder))
    shop.mentions("Nothing known in")


def test_a_conda_package_is_looked_up_as_what_it_counts_as(case: Case, channel: TestChannel, tmp_path: Path) -> None:
    series = ".".join(channel.pythons[0].split(".")[:2])
    case.recipe(
        f"python: {series}\nplatforms: [{channel.platform}]\nconda:\n  channels: ['{channel.url}']\n"
        "  packages:\n    colours: '1.*'\n",
        "paint.yaml",
    )
    case.run("lock", "paint.yaml")
    (tmp_path / "one.json").write_text(json.dumps(advisory("PYSEC-1", "colours", ("introduced", "0"))))
    case.run("audit", "paint.yaml", "--offline", "--database", str(tmp_path / "one.json"), "--json", code=None)
    tree = json.loads(case.out)
    looked_up = {item["name"] for item in tree["vulnerabilities"]}
    assert ("colours" in looked_up) != ("colours" in tree["unknown"]), "looked up, or said that it is not"


def test_without_a_network_or_a_lock_or_a_database_it_says_what_to_do(shop: Case, tmp_path: Path) -> None:
    shop.run("audit", "--offline", code=5)
    shop.mentions("offline", "--database takes a zip")
    shop.run("audit", "--database", str(tmp_path / "none.zip"), code=3)
    shop.mentions("none.zip")
    (tmp_path / "leer").mkdir()
    (tmp_path / "leer" / "npm.json").write_text("{}")
    shop.run("audit", "--database", str(tmp_path / "leer"), code=3).mentions("bad-database", "no advisory of PyPI")
    (shop.project / "recipes/shop.lock.yaml").unlink()
    shop.run("audit", "--offline", code=2)
    shop.mentions("no-locks")


def test_what_is_no_service_of_osv_is_told(shop: Case, serving: Callable[..., Server]) -> None:
    shop.run("audit", "--database", serving(lambda request: None).url, code=5)
    shop.mentions("--database names the service")

    class Odd(OsvService):
        def _found(self, query: dict) -> dict:  # type: ignore[type-arg]
            return {"vulns": [{"id": "../../secret"}]}

    shop.run("audit", "--database", serving(Odd(OLD)).url, code=5)
    shop.mentions("bad-answer")
