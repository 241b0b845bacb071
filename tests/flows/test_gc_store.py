"""``envbuild gc --store`` by the command line: roots of every kind, pins, sizes, and what it says."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.world import remove
from tests.flows.test_shared_clouds import CloudTeam
from tests.flows.test_shared_stores import Team
from tests.support.channel import TestChannel
from tests.support.object_servers import serve_objects
from tests.support.servers import serve

AT_ONCE = ("--keep-days", "0", "--grace", "0", "--nobody-writes")


@pytest.fixture(scope="module")
def _gathered(tmp_path_factory: pytest.TempPathFactory, channel: TestChannel) -> Iterator[Team]:
    with serve(lambda request: None) as server:
        team = Team(tmp_path_factory.mktemp("gathered") / "team", channel, server)
        for name in ("everything", "small"):
            team.one(name)
            team.lock(name).rename(team.folder / f"{name}.locked")
        team.store.rename(team.folder / "first")
        yield team


@pytest.fixture
def team(_gathered: Team) -> Team:
    """A store with two environments that nothing leads to, and what led there is gone."""
    team = _gathered
    team.fresh(locks=True)
    remove(team.store)
    remove(team.project / ".git")
    subprocess.run(["cp", "-a", str(team.folder / "first"), str(team.store)], check=True)
    return team


def lock(team: Team, name: str) -> None:
    """The lock is there again."""
    team.lock(name).write_bytes((team.folder / f"{name}.locked").read_bytes())


def left(team: Team, *flags: str) -> set[str]:
    """The environments that are left after a collection, by the names of their recipes."""
    team.run("gc", "--store", "team", *AT_ONCE, *flags)
    found = {path.stem for path in team.objects("environments")}
    return {name for name in ("everything", "small") if ids(team, name) <= found}


def ids(team: Team, name: str) -> set[str]:
    lines = (team.folder / f"{name}.locked").read_text("utf-8").splitlines()
    return {line.split('"')[1] for line in lines if line.startswith("    environment:")}


def git(team: Team, *arguments: str) -> str:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    words = ["git", "-c", "user.name=x", "-c", "user.email=x@example.org", *arguments]
    done = subprocess.run(words, cwd=team.project, env=environ, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_without_a_root_all_goes_and_blobs_that_others_need_stay(team: Team) -> None:
    lock(team, "small")
    before = {path.name for path in team.objects("blobs")}
    assert left(team) == {"small"}
    after = {path.name for path in team.objects("blobs")}
    assert after < before
    assert set(team.packages("small")) <= after
    assert not team.objects("results/build-wheel")
    team.sound()
    team.lock("small").unlink()
    assert left(team) == set()
    assert team.objects("blobs") == team.objects("results") == []


def test_an_environment_that_stays_keeps_all_that_led_to_it(team: Team) -> None:
    lock(team, "everything")
    before = {path for path in team.objects("") if "collect" not in path.parts}
    assert left(team) == {"everything"}
    gone = {path for path in before if not path.exists()}
    (closure,) = (path for path in gone if "environments" in path.parts)
    assert {closure.stem} == ids(team, "small")
    assert not [path for path in gone if "results" in path.parts and "solve" not in path.parts]
    team.close()
    again = team.one("everything", "--locked")
    assert (again["built"], again["fetched"], again["transmuted"]) == (0, 0, 0)
    team.server.content = team._content()


def test_locks_of_revisions_are_roots(team: Team) -> None:
    git(team, "init", "-q", "-b", "main")
    for name in ("small", "everything"):
        lock(team, name)
        git(team, "add", f"{name}.lock.yaml")
        git(team, "commit", "-qm", name)
        git(team, "tag", name)
        git(team, "rm", "-q", f"{name}.lock.yaml")
        git(team, "commit", "-qm", f"no {name}")
    dry = ("gc", "--store", "team", "--keep-days", "0", "--dry-run", "--json")

    def announced(*flags: str) -> int:
        found = json.loads(team.run(*dry, *flags).out)
        assert isinstance(found["announced"], int)
        return found["announced"]

    everything = announced()
    assert 0 < announced("--keep-revision", "small") < everything
    assert announced("--keep-revision", "small", "--keep-revision", "everything") == 0
    assert announced("--keep-revision", "small^!") < everything
    assert announced("--keep-revision", "small..main") < everything
    git(team, "checkout", "-q", "everything")
    team.lock("everything").unlink()
    assert announced() < everything, "the current commit counts, whatever lies in the folder"
    git(team, "checkout", "-q", "-f", "main")
    for wrong in ("nowhere", "--upload-pack=x", "a b"):
        refused = team.run(*dry[:-1], f"--keep-revision={wrong}", code=2)
        assert "no-revision" in refused.err
    remove(team.project / ".git")
    assert "no-repository" in team.run(*dry[:-1], "--keep-revision", "small", code=2).err


def test_a_lock_that_cannot_be_read_ends_it(team: Team) -> None:
    lock(team, "small")
    team.lock("small").write_text(team.lock("small").read_text("utf-8").replace('"2.0"', '"2.1"'), "utf-8")
    before = team.snapshot()
    refused = team.run("gc", "--store", "team", *AT_ONCE, code=4)
    assert "error[identity]: small.lock.yaml:" in refused.err
    assert team.snapshot() == before


def test_pins_keep_and_unpinning_lets_go(team: Team) -> None:
    lock(team, "small")
    team.run("realize", "small.yaml", "--locked")
    said = team.run("gc", "--store", "team", "--pin", "small.yaml").err
    assert "Pinned small.yaml in team: 1 environment" in said
    lock(team, "everything")
    team.run("alias", "everything.yaml", "team/everything:stable")
    team.run("gc", "--store", "team", "--pin", "team/everything:stable")
    for name in ("small", "everything"):
        team.lock(name).unlink()
    remove(team.store / "refs")
    assert left(team) == {"small", "everything"}
    shown = json.loads(team.run("gc", "--store", "team", "--dry-run", "--json").out)
    assert {pin["of"] for pin in shown["pins"]} == {"small.yaml", "team/everything:stable"}
    team.run("gc", "--store", "team", "--unpin", "team/everything:stable")
    assert left(team) == {"small"}
    (identity,) = ids(team, "small")
    team.run("gc", "--store", "team", "--unpin", identity[:12])
    assert "not-pinned" in team.run("gc", "--store", "team", "--unpin", identity[:12], code=2).err
    assert left(team) == set()
    lock(team, "small")
    refused = team.run("gc", "--store", "team", "--pin", "small.yaml", code=5)
    assert "envbuild push small.yaml --to team" in refused.err


def test_what_it_says_and_refuses(team: Team) -> None:
    first = team.run("gc", "--store", "team", "--keep-days", "0", "--dry-run")
    assert "Would remove nothing from team" in first.err
    assert "would be announced, and go with a gc in 7 days or later" in first.err
    listed = [line.split() for line in first.out.splitlines()]
    assert {words[0] for words in listed} == {"announce"}
    assert {words[-1] for words in listed} == set(team.snapshot()) - {"format.json"}
    assert team.run("gc", "--store", "team", "--keep-days", "0").out == ""
    second = team.run("gc", "--store", "team", "--keep-days", "0")
    assert "Removed nothing from team" in second.err
    assert "are announced" in second.err
    third = team.run("gc", "--store", str(team.store), *AT_ONCE, "--json")
    found = json.loads(third.out)
    assert found["removed"]["environments"] == 2
    assert found["kept"]["size"] == found["announced"] == 0
    for flags, words in (
        (("--grace", "0.5"), "--nobody-writes"),
        (("--caches",), "--caches"),
        (("--max-size", "lots"), "bad-size"),
        (("--pin", "a", "--unpin", "b"), "choose one"),
    ):
        assert words in team.run("gc", "--store", "team", *flags, code=2).err
    assert "--store" in team.run("gc", "--keep-generations", "2", code=2).err
    assert "no-stores" in team.run("gc", "--store", "nowhere", code=2).err
    assert "no-store" in team.run("gc", "--store", str(team.folder / "nowhere"), code=5).err
    (team.store / "format.json").write_text('{"format": 2, "readable-by": 1}\n', "utf-8")
    assert "store-format" in team.run("gc", "--store", "team", code=10).err


def test_a_writer_of_a_later_version_is_not_guessed_at(team: Team) -> None:
    (team.store / "collect").mkdir(exist_ok=True)
    (team.store / "collect" / "mark.json").write_text('{"version": 2}\n', "utf-8")
    lock(team, "small")
    outcome = team.run("realize", "small.yaml", "--locked")
    assert outcome.err.count("is not written") == 1
    assert team.run("gc", "--store", "team", code=4).err.count("bad-mark") == 1
    assert "bad-mark" in team.run("push", "small.yaml", code=4).err


def test_links_in_a_store_are_left_alone_and_their_targets_too(team: Team) -> None:
    precious = team.folder / "precious"
    precious.mkdir(exist_ok=True)
    (precious / "thesis.txt").write_text("mine", "utf-8")
    (team.store / "blobs" / "sha256" / "00").mkdir(exist_ok=True)
    link = team.store / "blobs" / "sha256" / "00" / ("0" * 64)
    link.symlink_to(precious / "thesis.txt")
    (team.store / "results" / "fetch").symlink_to(precious)
    outcome = team.run("gc", "--store", "team", *AT_ONCE)
    assert outcome.err.count("left alone in team") == 1
    assert "symbolic link" in outcome.err
    assert (precious / "thesis.txt").read_text("utf-8") == "mine"
    assert team.objects("environments") == []


def test_this_machine_is_cut_to_a_size_oldest_first(team: Team) -> None:
    made = {}
    for name in ("small", "everything"):
        lock(team, name)
        found = team.run("realize", f"{name}.yaml", "--locked", "--no-out-link", "--json").out
        made[name] = Path(json.loads(found)["environments"][0]["prefix"])
    old = [made["small"], *(team.home / "stamps").glob("*.json"), *team.blobs().values()]
    for path in old:
        if path.is_dir() or path.suffix != ".json" or str(made["small"]) in path.read_text("utf-8"):
            os.utime(path, (path.stat().st_mtime - 3 * 86400,) * 2)
    team.run("gc", "--max-size", "10GB")
    assert set(team.prefixes()) == set(made.values())
    files = {}
    for folder in ("prefixes", "store/blobs"):
        for path in (team.home / folder).rglob("*"):
            if path.is_file() and not path.is_symlink():
                files[path.stat().st_ino] = path.stat().st_size
    team.run("gc", "--max-size", f"{sum(files.values()) - 1}B")
    assert team.prefixes() == [made["everything"]]
    team.run("gc", "--max-size", "1kB")
    assert team.prefixes() == []


@pytest.mark.parametrize("scheme", ["s3", "gs", "az"])
def test_a_store_in_a_cloud_is_collected_and_what_stays_is_whole(
    scheme: str, tmp_path_factory: pytest.TempPathFactory, channel: TestChannel
) -> None:
    folder = tmp_path_factory.mktemp(f"gc-{scheme}")
    with serve(lambda _: None) as server, serve_objects(scheme, folder) as objects:
        cloud = CloudTeam(folder / "team", channel, server, objects)
        cloud.one("small")
        cloud.one("everything")
        cloud.run("alias", "everything.yaml", "team/everything:v1")
        small = cloud.lock("small").read_bytes()
        for name in ("small", "everything"):
            cloud.lock(name).unlink()
        cloud.proxy.forget()
        found = json.loads(cloud.run("gc", "--store", "cloud", *AT_ONCE, "--json").out)
        assert (found["removed"]["environments"], found["kept"]["environments"], found["names"]) == (1, 1, 1)
        assert cloud.proxy.most <= 70
        cloud.another()
        assert "Pulled" in cloud.run("pull", "team/everything:v1").err
        cloud.lock("small").write_bytes(small)
        assert cloud.one("small", "--locked")["fetched"] > 0, "it was gone, and comes from where it came from"
        cloud.another()
        cloud.close()
        assert cloud.one("small", "--locked")["fetched"] == 0
