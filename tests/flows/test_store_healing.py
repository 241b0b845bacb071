"""What a shared store is spared and what is put right in it by the way, and what its commands tell of credentials."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

import pytest

from envbuild.objects.opening import open_objects
from tests.faults.world import remove
from tests.flows.test_shared_clouds import CloudTeam, cloud  # noqa: F401  a fixture
from tests.flows.test_shared_stores import Team, _team, damaged, team  # noqa: F401  fixtures
from tests.support.servers import serve


def closure_of(store: Path) -> Path:
    (path,) = (store / "environments").rglob("*.json")
    return path


def rewrite(path: Path, data: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(data)


# Damaged environments


def test_a_push_puts_a_damaged_environment_right_and_says_so(team: Team) -> None:  # noqa: F811
    team.one("everything", "--locked")
    path = closure_of(team.store)
    good = path.read_bytes()
    damaged(path)
    told = team.run("push", "everything.yaml", "--to", "team").err
    assert told.count("was damaged; it is mended") == 1
    assert path.read_bytes() == good
    assert "mended" not in team.run("push", "everything.yaml", "--to", "team").err


def test_a_realize_that_sees_another_size_puts_a_damaged_environment_right(team: Team) -> None:  # noqa: F811
    path = closure_of(team.store)
    good = path.read_bytes()
    rewrite(path, good[:-7])
    told = team.run("realize", "everything.yaml", "--locked").err
    assert told.count("was damaged; it is mended") == 1
    assert path.read_bytes() == good


def test_a_realize_that_had_to_build_looks_at_the_environment_that_is_there_already(team: Team) -> None:  # noqa: F811
    path = closure_of(team.store)
    good = path.read_bytes()
    damaged(path)
    remove(team.store / "results" / "build-wheel")
    assert team.one("everything", "--locked")["built"] == 1
    assert path.read_bytes() == good


def test_who_got_an_environment_from_another_store_puts_it_right_where_it_is_damaged(team: Team) -> None:  # noqa: F811
    other = team.folder / "other-store"
    shutil.copytree(team.store, other)
    team.configure({"name": "team", "url": str(team.store)}, {"name": "other", "url": str(other)})
    path = closure_of(team.store)
    good = path.read_bytes()
    damaged(path)
    ids = f"{team.first['request']}:{team.first['environment']}"  # type: ignore[attr-defined]
    told = team.run("realize", ids, "--no-out-link").err
    assert told.count("was damaged; it is mended") == 1
    assert path.read_bytes() == good
    remove(other)


def test_who_has_the_id_alone_is_told_who_can_put_it_right_and_what_that_one_types(team: Team) -> None:  # noqa: F811
    damaged(closure_of(team.store))
    ids = f"{team.first['request']}:{team.first['environment']}"  # type: ignore[attr-defined]
    told = team.run("realize", ids, code=4).err
    assert f"envbuild push SOURCE --to file://{team.store}" in told
    team.one("everything", "--locked")
    team.run("push", "everything.yaml", "--to", f"file://{team.store}")
    team.another()
    assert team.run("realize", ids, "--no-out-link")


# What a home has sent


def test_linking_again_asks_nothing_of_a_store_that_has_the_environment(cloud: CloudTeam) -> None:  # noqa: F811
    cloud.one("everything")

    def relinked() -> int:
        remove(cloud.home / "prefixes")
        cloud.proxy.forget()
        again = cloud.one("everything", "--locked")
        assert (again["present"], again["built"], again["fetched"], again["pulled"]) == (False, 0, 0, 0)
        return cloud.proxy.count("*")

    assert relinked() == 0
    for path in (cloud.home / "sent").rglob("*"):
        if path.is_file():
            os.utime(path, (time.time() - 8 * 86400,) * 2)
    assert relinked() > 0, "after a week it is asked again"
    assert relinked() == 0
    remove(cloud.home)
    cloud.one("everything", "--locked")
    assert relinked() == 0, "what was pulled from there is there"


def test_after_a_collection_or_a_repair_a_store_is_asked_again(cloud: CloudTeam) -> None:  # noqa: F811
    for command in (
        ("gc", "--store", "cloud", "--grace", "0", "--nobody-writes"),
        ("verify", "--store", "cloud", "--repair"),
    ):
        cloud.one("everything")
        assert list((cloud.home / "sent").rglob("*"))
        cloud.run(*command)
        assert not list((cloud.home / "sent").rglob("*")), command
        remove(cloud.home)


# What is told


@pytest.mark.parametrize(
    "command",
    [
        ("store", "info", "{url}"),
        ("store", "copy", "{url}", "{copy}"),
        ("verify", "--store", "{url}", "everything.yaml"),
        ("store", "init", "{url}"),
    ],
    ids=" ".join,
)
def test_every_command_that_asks_a_store_tells_of_credentials_that_others_may_read(
    team: Team,  # noqa: F811
    command: tuple[str, ...],
) -> None:
    netrc = team.folder / "netrc"
    netrc.write_text("default login somebody password sentinel\n")
    netrc.chmod(0o644)
    copy = team.folder / "copy"
    team.run("store", "init", str(copy))
    with serve(team.store) as server:
        words = [word.format(url=server.url, copy=copy) for word in command]
        told = team.run(*words, environ={"NETRC": str(netrc)}, code=None).err
    assert told.count(f"others may read {netrc}") == 1
    assert "sentinel" not in told
    remove(copy)


def test_show_and_get_tell_the_digest_that_push_prints_where_the_environment_is_here(team: Team) -> None:  # noqa: F811
    ids = f"{team.first['request']}:{team.first['environment']}"  # type: ignore[attr-defined]
    before = json.loads(team.run("show", "everything.yaml", "--json").out)
    assert before["closure"] is None
    assert json.loads(team.run("get", ids, "--json").out)["closures"] == {}
    team.one("everything", "--locked")
    digest = team.run("push", "everything.yaml", "--to", "team").out.strip()
    assert json.loads(team.run("show", "everything.yaml", "--json").out)["closure"] == digest
    assert f"closure      {digest}\n" in team.run("show", "everything.yaml").out
    platform = before["platform"]
    assert json.loads(team.run("get", ids, "--json").out)["closures"] == {platform: digest}
    (line,) = [line for line in team.run("get", ids).out.splitlines() if line.startswith("closure")]
    assert line.split() == ["closure", digest]
    team.another()
    assert team.run("realize", "everything.yaml", "--locked", "--closure", digest)


def test_who_builds_the_same_bytes_himself_has_the_same_digest_whatever_his_logs_say(team: Team) -> None:  # noqa: F811
    (path,) = team.objects("outputs")
    (record,) = team.objects("results/build-wheel")
    theirs = json.loads(record.read_bytes())["outputs"]
    remove(team.store)
    team.run("store", "init", str(team.store))
    assert team.one("everything", "--locked")["built"] == 1
    ours = json.loads(team.objects("results/build-wheel")[0].read_bytes())["outputs"]
    assert ours["out"] == theirs["out"]
    assert team.objects("outputs") == [path]


# What somebody who meets a store for the first time is told


def test_a_store_in_a_folder_with_spaces_and_umlauts_works_and_is_told_as_it_can_be_typed(team: Team) -> None:  # noqa: F811
    store = team.folder / "läden & so" / "unser laden"
    shutil.copytree(team.store, store)
    for how in ("configured", "named"):
        team.another()
        team.configure(*([{"name": "laden", "url": str(store)}] if how == "configured" else []))
        flags = () if how == "configured" else ("--store", str(store))
        assert team.one("everything", "--locked", *flags)["pulled"]
    closure_of(store).unlink()
    assert team.run("push", "everything.yaml", "--to", str(store)).err.startswith("Pushed everything")
    assert team.run("verify", "--store", str(store)).out == ""
    told = team.run("store", "info", str(store.with_name("noch keiner")), "--json").out
    assert str(store.with_name("noch keiner")) in json.loads(told)["stores"][0]["state"]
    copied = team.run("store", "copy", str(store), str(store.with_name("noch keiner")), code=5).err
    assert f"envbuild store init '{store.with_name('noch keiner')}'" in copied
    remove(store.parent)


def test_who_has_only_stores_that_nobody_trusts_is_told_so_when_he_uses_names(team: Team) -> None:  # noqa: F811
    team.run("alias", "everything.yaml", "shop/train:stable")
    with serve(team.store) as server:
        team.another()
        team.configure({"name": "web", "url": server.url})
        told = team.run("realize", "shop/train:stable", code=3).err
        assert "unknown-name" in told
        assert f"nobody here said to trust web; envbuild trust {server.url}" in told
        assert "on this machine alone" in team.run("alias", "everything.yaml", "shop/mine:stable").err
        assert "web may only be read here" in team.run("push", "everything.yaml", code=2).err
        team.run("trust", server.url)
        assert team.run("get", "shop/train:stable")


def test_a_store_that_stays_silent_is_told_once_and_with_what_goes_on_without_it(cloud: CloudTeam) -> None:  # noqa: F811
    cloud.run("realize", "everything.yaml")
    cloud.run("alias", "everything.yaml", "shop/train:stable")
    cloud.run("get", "shop/train:stable")
    cloud.proxy.refuse_all = True
    told = cloud.run("get", "shop/train:stable", code=5).err
    assert told.count("does not answer") == 1
    assert "--offline takes what was seen last, generation 1" in told
    assert "generation 1" in cloud.run("get", "shop/train:stable", "--offline").err


def test_who_may_not_use_the_network_asks_no_store_for_names_or_packages(cloud: CloudTeam) -> None:  # noqa: F811
    cloud.run("realize", "everything.yaml")
    cloud.run("alias", "everything.yaml", "shop/train:stable")
    cloud.fresh()
    cloud.proxy.forget()
    for words in ("rollback shop/train:stable", "history shop/train:stable", "pull everything.yaml"):
        assert "offline" in cloud.run(*words.split(), code=5, environ={"ENVBUILD_OFFLINE": "1"}).err, words
    assert cloud.proxy.count("*") == 0


# A verification that is interrupted


@pytest.mark.parametrize("made", [True, False])
def test_a_verification_that_was_interrupted_goes_on_where_it_was(
    cloud: CloudTeam,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    made: bool,
) -> None:
    cloud.one("everything")
    verify = ("verify", "--store", "cloud", "--resume", "--json")
    cloud.proxy.forget()
    whole = json.loads(cloud.run(*verify).out)
    read = sorted(name for name in cloud.gets() if name.startswith("blobs/"))
    assert (whole["blobs"], whole["before"]) == (len(read), 0)
    fetched = {f"blobs/sha256/{digest[:2]}/{digest}" for digest in cloud.packages("everything")}
    wrong = next(name for name in read if (name not in fetched) is made)  # what was made is named by a record, too
    last = next(name for name in reversed(read) if name[:15] != wrong[:15])
    for name, value in cloud.cloud.environ.items():
        monkeypatch.setenv(name, value)
    objects = open_objects(cloud.url)
    objects.delete(wrong)
    objects.put(wrong, b"other bytes")
    cloud.proxy.fault("GET", f"*/{last}", times=1000, status=500)
    assert wrong in cloud.run(*verify[:-1], code=5).out
    cloud.proxy.forget()
    rest = json.loads(cloud.run(*verify, code=4).out)
    again = {name for name in cloud.gets() if name.startswith("blobs/")}
    assert {wrong, last} <= again
    assert len(again) < len(read)
    assert rest["before"] == len(read) - len(again)
    assert [item["name"] for item in rest["findings"]] == [wrong], "what was told before is not forgotten"
    assert json.loads(cloud.run(*verify, code=4).out)["before"] == 0, (
        "one that came to its end is followed by a new one"
    )


def test_what_goes_on_is_the_verification_of_a_whole_store(team: Team) -> None:  # noqa: F811
    for flags in ((), ("--store", "team", "everything.yaml"), ("--store", "team", "--sample", "3")):
        assert "--resume is for a whole shared store" in team.run("verify", *flags, "--resume", code=2).err
