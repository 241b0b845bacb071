"""``remove``: a name means nothing from then on and keeps its past; an environment leaves this machine and no other."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.conftest import _world, world  # noqa: F401  fixtures
from tests.faults.world import World, differences, tree_of
from tests.flows.test_shared_stores import Team, _team, team  # noqa: F401  fixtures


def removed(world: World, *words: str, code: int = 0) -> dict:  # noqa: F811
    return json.loads(world.run("remove", "--json", *words, code=code).out)


# Names


def test_a_removed_name_says_since_when_and_keeps_its_past(team: Team) -> None:  # noqa: F811
    for tag in ("stable", "candidate"):
        team.run("alias", "everything.yaml", f"shop/train:{tag}")
    before = team.snapshot()
    said = team.run("remove", "shop/train:stable", "--dry-run")
    assert "Would remove shop/train:stable, generation 1" in said.err
    assert team.snapshot() == before
    said = team.run("remove", "shop/train:stable")
    assert said.out == "shop/train:stable\n"
    assert "envbuild rollback shop/train:stable" in said.err
    now = team.snapshot()
    assert {name: now[name] for name in before} == before, "nothing is overwritten or deleted"
    for words in (("get",), ("realize",), ("run",), ("alias",)):
        rest = ("--", "true") if words == ("run",) else ("shop/other",) if words == ("alias",) else ()
        outcome = team.run(*words, "shop/train:stable", *rest, code=3)
        assert "removed-name" in outcome.err
        assert "(generation 2)" in outcome.err
    listed = json.loads(team.run("list", "--json").out)["names"]
    assert [item["name"] for item in listed] == ["shop/train:candidate"]
    past = json.loads(team.run("history", "shop/train:stable", "--json").out)["generations"]
    assert [bool(item["environments"]) for item in past] == [False, True]
    again = team.run("remove", "shop/train:stable")
    assert "means nothing already" in again.err
    assert team.snapshot() == now
    assert team.run("verify", "--store", "team").out == ""


def test_a_removed_name_comes_back_by_a_rollback_or_an_alias(team: Team) -> None:  # noqa: F811
    team.run("alias", "everything.yaml", "shop/train:stable")
    meant = json.loads(team.run("get", "shop/train:stable", "--json").out)["environments"]
    team.run("remove", "shop/train:stable")
    team.run("rollback", "shop/train:stable", "--to", "2", code=3)
    team.run("rollback", "shop/train:stable")
    back = json.loads(team.run("get", "shop/train:stable", "--json").out)
    assert (back["generation"], back["environments"]) == (3, meant)
    team.run("remove", "shop/train:stable")
    team.recipe("second", team.small())
    team.run("lock", "second.yaml")
    team.run("alias", "second.yaml", "shop/train:stable")
    assert json.loads(team.run("get", "shop/train:stable", "--json").out)["generation"] == 5


def test_a_tag_that_is_written_once_never_means_anything_else_also_when_it_was_removed(team: Team) -> None:  # noqa: F811
    team.run("alias", "everything.yaml", "shop/train:v1")
    team.run("remove", "shop/train:v1")
    team.recipe("second", team.small())
    team.run("lock", "second.yaml")
    told = team.run("alias", "second.yaml", "shop/train:v1", code=6)
    assert "was removed since" in told.err
    team.run("alias", "everything.yaml", "shop/train:v1")
    assert json.loads(team.run("get", "shop/train:v1", "--json").out)["generation"] == 3


def test_a_name_is_removed_only_where_it_is_expected_and_where_one_may_write(team: Team) -> None:  # noqa: F811
    team.run("alias", "everything.yaml", "shop/train:stable")
    assert "name-moved" in team.run("remove", "shop/train:stable", "--expect", "4", code=6).err
    team.configure({"name": "team", "url": str(team.store), "mode": "read-only"}, trusted=[str(team.store)])
    before = team.snapshot()
    assert "read-only" in team.run("remove", "shop/train:stable", code=5).err
    assert "unknown-name" in team.run("remove", "no/such", "--dry-run", code=3).err
    for word in (".envs/none", "./none", "/no/such/prefix"):
        assert f"error[unknown-prefix]: there is no {word}\n" in team.run("remove", word, code=3).err
    assert team.snapshot() == before


def test_what_a_removed_name_meant_is_collected_and_what_others_mean_is_not(world: World) -> None:  # noqa: F811
    world.run("realize", "small.yaml")
    for name in ("shop/one", "shop/two"):
        world.run("alias", "small.yaml", name)
    (closure,) = (world.home / "store" / "environments").glob("*/*/*.json")
    (world.project / ".envs" / "small").unlink()
    world.run("remove", "shop/one")
    world.run("gc", "--keep-days", "0")
    assert closure.exists()
    world.run("remove", "shop/two")
    world.run("gc", "--keep-days", "0")
    assert not closure.exists()
    assert len(list((world.home / "store" / "refs").rglob("*.json"))) == 4


# Environments of this machine


def test_an_environment_goes_with_its_links_and_records_and_comes_back_from_the_store(world: World) -> None:  # noqa: F811
    expected = world.clean("mixed")
    world.fresh()
    world.run("realize", "mixed.yaml")
    world.run("realize", "mixed.yaml", "--out-link", "second")
    prefix = world.prefix("mixed")
    blobs = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in world.blobs().values()}
    environment = json.loads(world.run("list", "--json").out)["environments"][0]["environment"]
    dry = removed(world, environment[:12], "--dry-run")["environments"][0]
    assert prefix.is_dir()
    (gone,) = removed(world, environment[:12])["environments"]
    assert gone == dry
    assert sorted(gone["links"]) == sorted(str(world.project / name) for name in (".envs/mixed", "second"))
    assert gone["size"] > 0
    assert not prefix.exists()
    assert not any(os.path.lexists(link) for link in gone["links"])
    assert json.loads(world.run("list", "--json").out)["environments"] == []
    assert world.leftovers() == []
    now = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in world.blobs().values()}
    assert now == blobs, "packages stay, byte for byte"
    assert world.run("verify").out == ""
    world.server.forget()
    world.run("realize", "mixed.yaml", "--locked")
    assert world.downloads() == {}
    assert not differences(world.tree("mixed"), expected)


def test_a_link_goes_alone_while_another_one_points_there(world: World) -> None:  # noqa: F811
    world.run("realize", "small.yaml")
    world.run("realize", "small.yaml", "--out-link", "second")
    prefix = world.prefix("small")
    said = world.run("remove", "second")
    assert ".envs/small points to it" in said.err
    assert prefix.is_dir()
    assert not (world.project / "second").is_symlink()
    world.run("remove", ".envs/small")
    assert not prefix.exists()
    foreign = world.project / "foreign"
    foreign.symlink_to("/usr")
    assert "did not make" in world.run("remove", "foreign", code=3).err
    assert foreign.is_symlink()
    foreign.unlink()


def test_what_other_environments_share_stays_right(world: World) -> None:  # noqa: F811
    expected = world.clean("mixed")
    world.fresh()
    world.run("realize", "mixed.yaml")
    world.run("realize", "small.yaml")
    world.run("remove", ".envs/small")
    assert not differences(world.tree("mixed"), expected)
    assert world.run("verify").out == ""


@pytest.mark.skipif(sys.platform != "linux", reason="NOT LINUX: only /proc tells who uses a folder")
def test_an_environment_that_a_process_uses_is_refused_and_left_whole(world: World) -> None:  # noqa: F811
    world.run("realize", "mixed.yaml")
    world.run("realize", "small.yaml")
    prefix, before = world.prefix("mixed"), world.tree("mixed")
    with subprocess.Popen(["sleep", "60"], cwd=prefix / "bin") as process:
        told = world.run("remove", ".envs/small", ".envs/mixed", code=7)
        assert "in-use" in told.err
        assert str(prefix) in told.err
        assert (world.project / ".envs" / "small").is_dir(), "everything is looked at before anything goes"
        process.kill()
    assert not differences(world.tree("mixed"), before)
    running = world.start("run", "mixed.yaml", "--", "sleep", "60")
    try:
        held = world.home / "locks" / f"use-{prefix.name}"
        while not held.exists():
            assert running.poll() is None
        told = world.run("remove", ".envs/mixed", code=None)
        assert told.code in {7}, told
    finally:
        running.kill()
        running.communicate()
    world.run("remove", ".envs/mixed")
    assert not prefix.exists()


def test_a_prefix_elsewhere_is_removed_with_its_record(world: World, tmp_path: Path) -> None:  # noqa: F811
    place = tmp_path / "elsewhere" / "env"
    world.run("realize", "small.yaml", "--prefix", str(place))
    assert tree_of(place)
    world.run("remove", str(place))
    assert list(place.parent.iterdir()) == []
    assert list((world.home / "roots").glob("*.json")) == []


def test_recipes_and_strangers_are_no_environments(world: World, tmp_path: Path) -> None:  # noqa: F811
    assert "not-removed" in world.run("remove", "small.yaml", code=2).err
    assert (world.project / "small.yaml").exists()
    assert "unknown-id" in world.run("remove", "deadbeef", code=3).err
    stranger = tmp_path / "venv"
    stranger.mkdir()
    (stranger / "pyvenv.cfg").write_text("")
    assert "unknown-prefix" in world.run("remove", str(stranger), code=3).err
    assert stranger.is_dir()
