"""``verify --store``: what is wrong in a shared store is told, each in a line; ``--repair`` mends it or removes it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.faults.world import differences, remove
from tests.flows.test_shared_stores import Team, _team, damaged, team  # noqa: F401  fixtures
from tests.support.servers import serve


def found(team: Team, *flags: str, code: int = 4) -> dict:  # noqa: F811
    return json.loads(team.run("verify", "--store", "team", "--json", *flags, code=code).out)


def problems(report: dict) -> set[tuple[str, str]]:
    return {(item["problem"], item["name"]) for item in report["findings"]}


def name_of(team: Team, path: Path) -> str:  # noqa: F811
    return str(path.relative_to(team.store))


def test_a_store_that_is_whole_has_no_findings_and_is_not_changed(team: Team) -> None:  # noqa: F811
    before = team.snapshot()
    report = found(team, code=0)
    assert (report["blobs"], report["results"], report["environments"]) == (len(team.objects("blobs")), 2, 1)
    assert report["size"] == sum(path.stat().st_size for path in team.objects("blobs"))
    assert found(team, "--repair", code=0)["findings"] == []
    assert team.snapshot() == before
    said = team.run("verify", "--store", str(team.store))
    assert said.out == ""
    assert "0 findings" in said.err


def test_every_finding_is_a_line_that_says_what_to_do(team: Team) -> None:  # noqa: F811
    wrong = team.objects("blobs")[:3]
    for path in wrong:
        damaged(path)
    outcome = team.run("verify", "--store", "team", code=4)
    lines = outcome.out.splitlines()
    assert sorted(line.partition(": ")[0] for line in lines) == [name_of(team, path) for path in wrong]
    assert all("holds other bytes" in line and "--repair" in line for line in lines)
    assert "3 findings" in outcome.err


def test_repair_puts_what_the_home_has_in_the_place_of_what_is_wrong(team: Team) -> None:  # noqa: F811
    team.one("everything", "--locked")
    good = {name: digest for name, digest in team.snapshot().items() if digest not in team.logs()}
    for path in (*team.objects("blobs"), *team.objects("results"), *team.objects("environments")):
        damaged(path)
    report = found(team, "--repair")
    removed = {item["name"] for item in report["findings"] if item["done"] == "removed"}
    assert {item["done"] for item in report["findings"]} <= {"mended", "removed"}
    assert all(name.rpartition("/")[2] in team.logs() or name.startswith("results") for name in removed), removed
    assert found(team, code=0)["findings"] == []
    now = team.snapshot()
    assert {name: now.get(name) for name in good if name not in removed} == {
        name: digest for name, digest in good.items() if name not in removed
    }


def test_without_a_home_repair_takes_right_bytes_from_origins_and_the_rest_away(team: Team) -> None:  # noqa: F811
    good = team.snapshot()
    for path in team.objects("blobs"):
        damaged(path)
    report = found(team, "--repair")
    done = {item["name"]: item["done"] for item in report["findings"]}
    (build,) = (name for name in good if name.startswith("results/build-wheel"))
    (transmute,) = (name for name in good if name.startswith("results/transmute"))
    assert done[build] == "removed"
    assert done[transmute] == "mended"
    assert found(team, code=0)["findings"] == []
    team.sound()
    team.another()
    again = team.one("everything", "--locked")
    assert (again["built"], again["transmuted"]) == (1, 0)
    assert not differences(team.tree("everything"), team.whole)


def test_repair_takes_right_bytes_from_another_store_when_there_is_no_origin(team: Team) -> None:  # noqa: F811
    other = team.folder / "other-store"
    shutil.copytree(team.store, other)
    team.close()
    team.configure({"name": "team", "url": str(team.store)}, {"name": "other", "url": str(other)})
    good = team.snapshot()
    for path in team.objects("blobs"):
        damaged(path)
    outcome = team.run("verify", "--store", "team", "--repair", "--json", code=4)
    assert {item["done"] for item in json.loads(outcome.out)["findings"]} == {"mended"}
    assert "is damaged" not in outcome.err
    assert team.snapshot() == good
    remove(other)


def test_what_a_record_names_is_looked_for(team: Team) -> None:  # noqa: F811
    (record,) = team.objects("results/build-wheel")
    (wheel,) = (item for name, item in json.loads(record.read_bytes())["outputs"].items() if name == "out")
    blob = team.store / "blobs" / "sha256" / wheel["sha256"][:2] / wheel["sha256"]
    blob.unlink()
    assert problems(found(team)) == {("missing-output", name_of(team, record))}
    team.close()
    assert [item["done"] for item in found(team, "--repair")["findings"]] == ["removed"]
    assert not record.exists()
    assert found(team, code=0)["findings"] == []


def test_records_under_the_names_of_others_are_told_and_removed(team: Team) -> None:  # noqa: F811
    build, transmute = team.objects("results/build-wheel")[0], team.objects("results/transmute")[0]
    build.write_bytes(transmute.read_bytes())
    (closure,) = team.objects("environments")
    other = closure.with_name("0" * 64 + ".json")
    other.write_bytes(closure.read_bytes())
    wrong = {("bad-record", name_of(team, build)), ("bad-closure", name_of(team, other))}
    assert problems(found(team)) == wrong
    assert {item["done"] for item in found(team, "--repair")["findings"]} == {"removed"}
    assert not build.exists()
    assert not other.exists()
    assert closure.exists()


def test_names_are_followed_to_their_environments(team: Team) -> None:  # noqa: F811
    team.run("alias", "everything.yaml", "shop/train:v1")
    for tag in ("stable", "candidate"):
        team.run("alias", "everything.yaml", f"shop/train:{tag}")
    assert found(team, code=0)["names"] == 3
    (closure,) = team.objects("environments")
    kept = closure.read_bytes()
    closure.unlink()
    assert problems(found(team)) == {("absent-environment", name_of(team, closure))}
    report = found(team, "--repair")
    assert [item["done"] for item in report["findings"]] == ["mended"], "the home has it"
    assert closure.read_bytes() == kept
    generation = team.objects("refs/shop/train/@stable")[0]
    data = generation.read_bytes()
    generation.write_bytes(team.objects("refs/shop/train/@candidate")[0].read_bytes())
    assert problems(found(team, "--repair")) == {("bad-generation", name_of(team, generation))}
    assert generation.exists(), "nobody but its owner says what a name meant"
    later = generation.with_name(f"{3:020}.json")
    generation.rename(later)
    later.write_bytes(data)
    assert {problem for problem, _ in problems(found(team))} == {"missing-generation", "bad-generation"}


def test_H60_links_and_strangers_are_told_and_no_link_is_followed(team: Team, tmp_path: Path) -> None:  # noqa: F811
    outside = tmp_path / "outside"
    outside.write_text("mine")
    named = team.store / "blobs" / "sha256" / "00" / f"00{'1' * 62}"
    named.parent.mkdir(exist_ok=True)
    named.symlink_to(outside)
    (team.store / "blobs" / "folder").symlink_to(tmp_path)
    (team.store / "results" / "stray").write_text("x")
    (team.store / "with space").write_text("x")
    (team.store / "README").write_text("ours")
    report = found(team)
    assert problems(report) == {
        ("link", name_of(team, named)),
        ("link", "blobs/folder"),
        ("misplaced", "results/stray"),
        ("misplaced", "with space"),
    }
    assert report["strangers"] == {"README": 1}
    found(team, "--repair")
    assert not named.is_symlink()
    assert outside.read_text() == "mine"
    assert (team.store / "results" / "stray").exists(), "what is not ours is left alone"
    assert (team.store / "blobs" / "folder").is_symlink()


@pytest.mark.parametrize("what", ["shop/train:stable", "everything.yaml", "id"])
def test_one_environment_is_verified_alone_and_missed_packages_are_told(team: Team, what: str) -> None:  # noqa: F811
    team.run("alias", "everything.yaml", "shop/train:stable")
    (closure,) = team.objects("environments")
    source = f"{closure.parent.name}:{closure.stem}" if what == "id" else what
    elsewhere = team.store / "blobs" / "sha256" / "00" / ("0" * 64)
    elsewhere.parent.mkdir(exist_ok=True)
    elsewhere.write_bytes(b"damaged, and of no environment")
    assert found(team, source, code=0)["environments"] == 1
    whole = team.snapshot()
    wheels = {digest for digest, file in team.packages("everything").items() if file.endswith(".whl")}
    wheel = next(path for path in team.objects("blobs") if path.name in wheels)
    wheel.unlink()
    report = found(team, source)
    assert problems(report) == {("absent-package", name_of(team, closure))}
    assert "envbuild push" in report["findings"][0]["todo"]
    found(team, source, "--repair")
    assert team.snapshot() == whole
    damaged(wheel)
    assert problems(found(team, source)) == {("wrong-bytes", name_of(team, wheel))}


def test_a_web_server_is_verified_by_the_name_and_never_repaired(team: Team) -> None:  # noqa: F811
    team.run("alias", "everything.yaml", "shop/train:stable")
    with serve(team.store) as server:
        told = team.run("verify", "--store", server.url, code=5)
        assert "no-listing" in told.err
        assert "say what of it" in told.err
        whole = json.loads(team.run("verify", "--store", server.url, "shop/train:stable", "--json").out)
        assert (whole["findings"], whole["environments"]) == ([], 1)
        path = next(path for path in team.objects("blobs") if path.name in team.packages("everything"))
        damaged(path)
        told = team.run("verify", "--store", server.url, "shop/train:stable", code=4)
        assert path.name in told.out
        assert "read-only" in team.run("verify", "--store", server.url, "--repair", code=5).err


def test_R30_an_unknown_format_is_not_judged_and_a_newer_one_not_repaired(team: Team) -> None:  # noqa: F811
    for path in team.objects("blobs"):
        damaged(path)
    before = team.snapshot()
    (team.store / "format.json").write_text('{"format": 9}')
    for flags in ((), ("--repair",)):
        assert "store-format" in team.run("verify", "--store", "team", *flags, code=10).err
    assert "another version's, or damaged: not usable" in team.run("store", "info", str(team.store)).out
    (team.store / "format.json").write_text('{"format": 9, "readable-by": 1}')
    assert "of a newer format: read only" in team.run("store", "info", str(team.store)).out
    assert "store-format" in team.run("verify", "--store", "team", "--repair", code=10).err
    assert len(found(team)["findings"]) == len(team.objects("blobs"))
    (team.store / "format.json").write_text('{"format": 1}\n')
    assert team.snapshot() == before


def test_a_sample_hashes_a_share_and_reads_every_record(team: Team) -> None:  # noqa: F811
    report = found(team, "--sample", "0", code=0)
    assert (report["blobs"], report["skipped"], report["results"]) == (0, len(team.objects("blobs")), 2)
    report = found(team, "--sample", "50", code=0)
    assert report["blobs"] + report["skipped"] == len(team.objects("blobs"))
    assert "say which" in team.run("verify", "--sample", "3", code=2).err
    assert "say which" in team.run("verify", "everything.yaml", code=2).err
    assert "unknown-name" in team.run("verify", "--store", "team", "no/such:name", code=3).err


def test_a_store_that_is_named_for_other_commands_does_not_turn_verify_away_from_the_home(team: Team) -> None:  # noqa: F811
    said = team.run("verify", environ={"ENVBUILD_STORE": str(team.store)}).err
    assert "prefixes" in said
