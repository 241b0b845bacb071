"""A closure's sha256, by the command line: who was given it takes results from a store that nobody believes."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from envbuild.store.folder import result_from_bytes, result_to_bytes
from tests.faults.world import differences, remove, tree_of
from tests.flows.test_shared_clouds import CloudTeam, cloud  # noqa: F401  a fixture
from tests.flows.test_shared_stores import Team, _team, team  # noqa: F401  fixtures


@pytest.fixture
def reader(team: Team) -> Team:  # noqa: F811
    """A machine that may only read the store, and believes nothing of it."""
    believing_nobody(team)
    return team


def believing_nobody(team: Team, mode: str = "hash") -> None:  # noqa: F811
    team.configure({"name": "team", "url": str(team.store), "mode": "read-only"}, trust=mode)


def document(team: Team) -> Path:  # noqa: F811
    (path,) = team.objects("outputs")
    return path


def realized(team: Team, *flags: str, source: str = "everything.yaml", **options) -> tuple[dict, str]:  # type: ignore[no-untyped-def]  # noqa: F811
    outcome = team.run("realize", source, "--json", *flags, **options)
    (found,) = json.loads(outcome.out)["environments"]
    return found, outcome.err


def rewrite(path: Path, data: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(data)


def test_who_has_the_digest_needs_to_believe_no_store(reader: Team) -> None:
    digest = document(reader).stem
    reader.close()
    before = reader.snapshot()
    found, err = realized(reader, "--locked", "--closure", digest)
    assert (found["built"], found["transmuted"], found["fetched"]) == (0, 0, 0)
    assert found["pulled"] == found["packages"]
    assert "note:" not in err
    assert not differences(reader.tree("everything"), reader.whole)  # type: ignore[attr-defined]
    assert reader.snapshot() == before


@pytest.mark.parametrize("mode", ["hash", "signed", "strict"])
def test_it_is_the_user_s_word_in_every_mode_of_trust(reader: Team, mode: str) -> None:
    digest = document(reader).stem
    believing_nobody(reader, mode)
    found, err = realized(reader, "--locked", environ={"ENVBUILD_CLOSURE": digest})
    assert (found["built"], found["transmuted"], found["fetched"]) == (0, 0, 0)
    assert "not count" not in err


def test_by_an_id_by_run_and_by_pull(reader: Team) -> None:
    digest = document(reader).stem
    reader.close()
    ids = f"{reader.first['request']}:{reader.first['environment']}"  # type: ignore[attr-defined]
    found, _ = realized(reader, "--no-out-link", "--closure", digest, source=ids)
    assert (found["built"], found["fetched"]) == (0, 0)
    reader.another()
    believing_nobody(reader)
    assert "unknown-closure" in reader.run("pull", "everything.yaml", "--closure", "1" * 64, code=4).err
    assert reader.blobs() == {}
    pulled = json.loads(reader.run("pull", "everything.yaml", "--closure", digest, "--json").out)
    assert pulled["packages"] == reader.first["packages"]  # type: ignore[attr-defined]
    program = ("--", "python", "-c", "print(6 * 7)")
    assert reader.run("run", "--locked", "--closure", digest, "everything.yaml", *program).out == "42\n"
    assert "unknown-closure" in reader.run("run", "--closure", "1" * 64, "everything.yaml", *program, code=4).err


def test_an_environment_that_is_here_is_held_against_the_digest_and_no_store_is_asked(reader: Team) -> None:
    digest = document(reader).stem
    realized(reader, "--locked", "--closure", digest)
    remove(reader.store)
    again, err = realized(reader, "--locked", "--closure", digest)
    assert again["present"]
    assert "note:" not in err
    for _ in range(2):  # the second one from a stamp of its own
        outcome = reader.run("realize", "everything.yaml", "--locked", "--closure", digest)
    assert "already there" in outcome.err
    reader.run("realize", "everything.yaml", "--locked", "--offline", "--closure", "1" * 64, code=5)


def test_what_is_no_such_digest_is_refused_and_nothing_is_done(reader: Team) -> None:
    path = document(reader)
    good = path.read_bytes()

    def refused(digest: str, code: int) -> str:
        outcome = reader.run("realize", "everything.yaml", "--locked", "--closure", digest, code=code)
        assert reader.prefixes() == []
        assert reader.blobs() == {}
        return outcome.err

    assert "error[bad-hash]" in refused("cafe", 2)
    wrong = refused("1" * 64, 4)
    assert "error[unknown-closure]" in wrong
    assert "envbuild push" in wrong
    other = good.replace(b'"environment":"' + reader.first["environment"].encode(), b'"environment":"' + b"a" * 64)  # type: ignore[attr-defined]
    assert other != good
    digest = hashlib.sha256(other).hexdigest()
    (path.parent / f"{digest}.json").write_bytes(other)
    assert "error[wrong-closure]" in (err := refused(digest, 4))
    assert "not of" in err
    rewrite(path, good.replace(b'"size":', b'"size":1'))
    assert "error[wrong-closure]" in (err := refused(path.stem, 4))
    assert "the store team" in err
    assert "holds other bytes" in err
    path.unlink()
    assert "error[unknown-closure]" in refused(path.stem, 4)
    reader.configure()
    assert "there is no store to ask" in refused(path.stem, 5)
    two = reader.run("realize", "everything.yaml", "small.yaml", "--closure", path.stem, code=2)
    assert "of one environment" in two.err


def test_another_store_is_asked_when_what_one_has_is_damaged(reader: Team) -> None:
    digest = document(reader).stem
    good = reader.folder / "good"
    reader.store.rename(good)
    reader.run("store", "init", str(reader.store))
    rewritten = reader.store / document_name(good)
    rewritten.parent.mkdir(parents=True)
    rewritten.write_bytes(b"{}")
    stores = [
        {"name": name, "url": str(url), "mode": "read-only"} for name, url in (("bad", reader.store), ("good", good))
    ]
    reader.configure(*stores)
    assert realized(reader, "--locked", "--closure", digest)[0]["built"] == 0
    remove(good)


def document_name(store: Path) -> str:
    (path,) = (path for path in (store / "outputs").rglob("*.json"))
    return str(path.relative_to(store))


def test_a_record_that_says_something_else_does_not_count_not_even_of_a_store_that_is_believed(team: Team) -> None:  # noqa: F811
    digest = document(team).stem
    (place,) = team.objects("results/build-wheel")
    good = result_from_bytes(place.read_bytes())
    evil = b"PK not the wheel that was built"
    sha256 = hashlib.sha256(evil).hexdigest()
    blob = team.store / "blobs" / "sha256" / sha256[:2] / sha256
    blob.parent.mkdir(parents=True, exist_ok=True)
    blob.write_bytes(evil)
    outputs = tuple(
        (name, replace(output, sha256=sha256, size=len(evil)) if name == "out" else output)
        for name, output in good.outputs
    )
    rewrite(place, result_to_bytes(replace(good, outputs=outputs)))
    for mode in ("read-only", "read-write"):
        team.another()
        team.configure({"name": "team", "url": str(team.store), "mode": mode})
        found, err = realized(team, "--locked", "--closure", digest)
        assert (found["built"], found["transmuted"]) == (1, 0)
        assert err.count("it is not what the closure says") == 1
        assert not differences(team.tree("everything"), team.whole)  # type: ignore[attr-defined]
    believing_nobody(team, "strict")
    team.another()
    believing_nobody(team, "strict")
    assert "unsigned-result" in team.run("realize", "everything.yaml", "--locked", "--closure", digest, code=4).err


def test_what_the_home_has_counts_and_is_said_where_it_is_something_else(reader: Team) -> None:
    path = document(reader)
    realized(reader, "--locked", "--closure", path.stem)
    (record,) = (reader.home / "store" / "results" / "build-wheel").rglob("*.json")
    mine = result_from_bytes(record.read_bytes())
    log = dict(mine.outputs)["log"]
    rewrite(
        record,
        result_to_bytes(replace(mine, outputs=tuple((name, log if name == "out" else o) for name, o in mine.outputs))),
    )
    found, err = realized(reader, "--locked", "--closure", path.stem)
    assert found["present"]
    assert err.count("is not what the closure") == 1
    assert "brewed 1.0" in err


def test_push_prints_it_and_who_adopted_the_results_writes_the_same(team: Team) -> None:  # noqa: F811
    path = document(team)
    data = path.read_bytes()
    assert hashlib.sha256(data).hexdigest() == path.stem
    first = team.run("push", "everything.yaml", "--to", "team", code=2)
    assert "not whole here" in first.err
    team.one("everything", "--locked")
    other = team.folder / "others"
    team.run("store", "init", str(other))
    pushed = team.run("push", "everything.yaml", "--to", str(other))
    assert pushed.out == f"{path.stem}\n"
    assert f"closure {path.stem[:12]}" in pushed.err
    assert tree_of(other / "outputs") == tree_of(team.store / "outputs")
    path.unlink()
    again = json.loads(team.run("push", "everything.yaml", "--to", "team", "--json").out)
    assert again["closure"] == path.stem
    assert path.read_bytes() == data, "a push writes what a store lacks beside its closure"
    remove(other)


def test_who_builds_what_a_name_has_brought_the_closure_of_writes_it_too(team: Team) -> None:  # noqa: F811
    remove(team.store)
    team.run("store", "init", str(team.store))
    team.run("alias", "everything.yaml", "shop/train:stable")
    assert team.objects("environments")
    assert not team.objects("outputs")
    assert team.one("everything", "--locked")["built"] == 1
    digest = document(team).stem
    team.another()
    before = team.snapshot()
    assert realized(team, "--locked", "--closure", digest)[0]["built"] == 0
    assert team.snapshot() == before


def test_copies_have_it_and_verify_looks_at_it_and_takes_wrong_ones_away(team: Team) -> None:  # noqa: F811
    path = document(team)
    name = str(path.relative_to(team.store))
    for flags in ((), ("--environment", "everything.yaml")):
        other = team.folder / "copied-outputs"
        team.run("store", "init", str(other))
        team.run("store", "copy", "team", str(other), *flags)
        assert tree_of(other / "outputs") == tree_of(team.store / "outputs")
        remove(other)
    (info,) = json.loads(team.run("store", "info", "team", "--json").out)["stores"]
    assert info["sizes"]["outputs"] == path.stat().st_size
    team.run("verify", "--store", "team")
    rewrite(path, path.read_bytes()[:-1])
    report = json.loads(team.run("verify", "--store", "team", "--json", code=4).out)
    assert [(item["problem"], item["name"]) for item in report["findings"]] == [("bad-outputs", name)]
    other = team.folder / "copied-outputs"
    team.run("store", "init", str(other))
    copied = json.loads(team.run("store", "copy", "team", str(other), "--json", code=4).out)
    assert copied["damaged"] == [name]
    assert not (other / "outputs").exists()
    remove(other)
    team.run("verify", "--store", "team", "--repair", code=4)
    assert not path.exists()
    team.run("verify", "--store", "team")


def test_a_collection_takes_it_with_its_closure_and_not_before(team: Team) -> None:  # noqa: F811
    at_once = ("gc", "--store", "team", "--keep-days", "0", "--grace", "0", "--nobody-writes")
    path = document(team)
    stray = path.parent.with_name("e" * 64) / path.name
    stray.parent.mkdir()
    stray.write_bytes(path.read_bytes())
    team.run(*at_once)
    assert path.exists(), "the lock of the project keeps the environment"
    assert not stray.exists()
    believing_nobody(team)
    assert realized(team, "--locked", "--closure", path.stem)[0]["built"] == 0
    team.configure({"name": "team", "url": str(team.store)})
    team.lock("everything").unlink()
    team.run(*at_once)
    assert team.objects("outputs") == team.objects("environments") == []


def test_in_a_cloud_it_costs_one_request_and_without_it_none(cloud: CloudTeam) -> None:  # noqa: F811
    cloud.one("everything")
    (put,) = [seen.path for seen in cloud.proxy.matching("PUT") if "/outputs/" in seen.path]
    digest = put.partition("?")[0].rpartition("/")[2].removesuffix(".json")

    def asked(*flags: str) -> list[str]:
        cloud.another()
        cloud.configure({"name": "cloud", "url": cloud.url, "mode": "read-only"}, trusted=[] if flags else [cloud.url])
        cloud.proxy.forget()
        assert cloud.one("everything", "--locked", *flags)["built"] == 0
        return sorted(
            f"{seen.method} {seen.path.partition('/team/')[2].partition('?')[0]}" for seen in cloud.proxy.matching("*")
        )

    without = asked()
    assert not [line for line in without if "outputs" in line]
    extra = asked("--closure", digest)
    assert [line for line in extra if "outputs" in line] == [f"GET {put.partition('/team/')[2].partition('?')[0]}"]
    assert len(extra) == len(without) + 1
