"""Signed results and names, by the command line: CI has a key, readers its public half, an attacker the bucket."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from envbuild.store.envelopes import envelope_bytes, parse_envelope
from envbuild.store.folder import result_from_bytes, result_to_bytes
from tests.faults.world import Outcome, differences
from tests.flows.test_shared_stores import Team
from tests.support.channel import TestChannel, this_platform
from tests.support.servers import serve
from tests.support.signing import hostile_envelopes, make_signer

SECRET = "SENTINEL-of-a-passphrase"


class Signed(Team):
    """A team whose CI signs; its key lies outside of home and project, encrypted."""

    def __init__(self, folder: Path, channel: TestChannel, server) -> None:  # type: ignore[no-untyped-def]
        super().__init__(folder, channel, server)
        self.keys = folder / "secrets"
        self.secret = {"ENVBUILD_SIGNING_PASSPHRASE": SECRET}
        self.public = self.new_key("ci")
        self.key = {**self.secret, "ENVBUILD_SIGNING_KEY": str(self.keys / "ci.key")}
        self.said: list[Outcome] = []

    def new_key(self, name: str) -> str:
        made = self.run("key", "new", name, "--output", str(self.keys / f"{name}.key"), "--json", environ=self.secret)
        return str(json.loads(made.out)["public"])

    def believing(self, mode: str = "signed", *, store: str = "read-only", **trust: object) -> None:
        """The machine of somebody who believes CI's key."""
        settings = {"mode": mode, "keys": {"ci": self.public}, **trust}
        self.configure({"name": "team", "url": str(self.store), "mode": store}, trust=settings)

    def ci(self) -> None:
        """CI's own machine: it writes, and believes only signatures."""
        self.another()
        self.believing(store="read-write")

    def run(self, *arguments: str, **options) -> Outcome:  # type: ignore[no-untyped-def]
        outcome = super().run(*arguments, **options)
        if hasattr(self, "said"):
            self.said.append(outcome)
        return outcome

    def json_of(self, *arguments: str, **options) -> tuple[dict, str]:  # type: ignore[no-untyped-def]
        outcome = self.run("realize", "everything.yaml", "--locked", "--json", *arguments, **options)
        (found,) = json.loads(outcome.out)["environments"]
        return found, outcome.err

    def signatures(self, of: str = "") -> list[Path]:
        return self.objects(f"signatures/{of}")

    def signature(self, kind: str) -> Path:
        (found,) = self.signatures(f"results/{kind}")
        return found


@pytest.fixture(scope="session")
def _signed(tmp_path_factory: pytest.TempPathFactory, channel: TestChannel) -> Iterator[Signed]:
    with serve(lambda request: None) as server:
        team = Signed(tmp_path_factory.mktemp("signed") / "team", channel, server)
        team.believing(store="read-write")
        team.run("realize", "everything.yaml", environ=team.key)
        team.whole = team.tree("everything")  # type: ignore[attr-defined]
        team.locked = team.lock("everything").read_bytes()
        shutil.copytree(team.store, team.folder / "first")
        yield team


@pytest.fixture
def team(_signed: Signed) -> Signed:
    """A store that CI filled and signed, and a reader's machine that has nothing but the lock."""
    _signed.restored()
    _signed.believing()
    return _signed


def test_what_ci_signed_is_all_that_a_reader_needs(team: Signed) -> None:
    assert len(team.signatures()) == len(team.objects("results")) == 2
    team.close()
    before = team.snapshot()
    found, err = team.json_of()
    assert (found["built"], found["transmuted"], found["fetched"]) == (0, 0, 0)
    assert found["pulled"] == found["packages"]
    assert "note:" not in err
    assert not differences(team.tree("everything"), team.whole)  # type: ignore[attr-defined]
    assert team.snapshot() == before


@pytest.mark.parametrize("mode", ["signed", "hash"])
def test_a_name_is_not_moved_where_the_key_cannot_sign_it(team: Signed, mode: str) -> None:
    team.ci()
    team.believing(mode, store="read-write")
    team.run("alias", "everything.yaml", "shop/x:stable", environ=team.key)
    team.recipe("other", team.small())
    team.run("lock", "other.yaml", environ=team.key)
    before = team.snapshot()
    for key in ("nobody's", "env:NOT_SET", "fd:77", __file__):
        for words in (
            ("alias", "other.yaml", "shop/x:stable"),
            ("alias", "other.yaml", "shop/y:v1"),
            ("remove", "shop/x:stable"),
        ):
            refused = team.run(*words, environ={**team.secret, "ENVBUILD_SIGNING_KEY": key}, code=None)
            assert refused.code in {2, 3}, refused.err
            assert team.snapshot() == before
    wrong = {**team.key, "ENVBUILD_SIGNING_PASSPHRASE": "another"}
    assert team.run("remove", "shop/x:stable", environ=wrong, code=None).code in {2, 3}
    assert team.snapshot() == before


def test_a_solve_that_ci_signed_is_one_that_a_strict_reader_need_not_do(team: Signed) -> None:
    team.recipe("dated", f"exclude-newer: 2099-01-01\nplatforms: [{this_platform()}]\n" + team.small())
    team.ci()
    team.run("lock", "dated.yaml", environ=team.key)
    assert team.signatures("results/solve")
    locked = team.lock("dated").read_bytes()
    for path in team.signatures("results/solve"):
        path.rename(path.with_suffix(".away"))
    for mode, code in (("strict", 4), ("signed", 0)):
        team.lock("dated").unlink(missing_ok=True)
        team.another()
        team.believing(mode)
        outcome = team.run("lock", "dated.yaml", code=code)
        assert outcome.err.count("does not count") == 1
    assert team.lock("dated").read_bytes() == locked
    for path in team.objects("signatures/results/solve"):
        path.rename(path.with_suffix(".json"))
    team.lock("dated").unlink()
    team.another()
    team.believing("strict")
    team.close()
    team.run("lock", "dated.yaml")
    assert team.lock("dated").read_bytes() == locked


def test_without_signatures_a_read_only_store_s_results_do_not_count(team: Signed) -> None:
    shutil.rmtree(team.store / "signatures")
    found, err = team.json_of()
    assert (found["built"], found["transmuted"], found["fetched"]) == (1, 1, 0)
    assert err.count("does not count") == 1
    assert "it is not signed by ci" in err
    assert not differences(team.tree("everything"), team.whole)  # type: ignore[attr-defined]


def evil_wheel(team: Signed) -> bytes:
    """The record of the build as an attacker wants it: its output is another wheel, which lies in the store."""
    (place,) = team.objects("results/build-wheel")
    good = result_from_bytes(place.read_bytes())
    (other,) = [path for path in team.objects("blobs") if path.name == team.evil]  # type: ignore[attr-defined]
    outputs = tuple(
        (name, replace(output, sha256=other.name, size=other.stat().st_size) if name == "out" else output)
        for name, output in good.outputs
    )
    data = result_to_bytes(replace(good, outputs=outputs))
    place.chmod(0o644)
    place.write_bytes(data)
    return data


@pytest.mark.parametrize("case", hostile_envelopes(make_signer().sign(b"1", "x"), b"", make_signer()))
def test_H57_an_attacker_who_writes_the_bucket_brings_nothing(team: Signed, case: str) -> None:
    evil = make_signer()
    data = evil_blob(team)
    place = team.signature("build-wheel")
    good = parse_envelope(place.read_bytes())
    other = team.signature("transmute").read_bytes()
    place.chmod(0o644)
    place.write_bytes(hostile_envelopes(replace(good, payload=data), other, evil)[case])
    found, err = team.json_of()
    assert (found["built"], found["transmuted"]) == (1, 0)
    assert 1 <= err.count("does not count") <= 2
    assert not differences(team.tree("everything"), team.whole)  # type: ignore[attr-defined]
    team.another()
    team.believing("strict")
    outcome = team.run("realize", "everything.yaml", "--locked", code=4)
    assert outcome.err.count("error[unsigned-result]") == 1
    assert "brewed" in outcome.err
    assert not team.prefixes()


def evil_blob(team: Signed) -> bytes:
    """An attacker's wheel, and the record that names it as what the build came to."""
    import hashlib

    blob = b"PK not the wheel that was built"
    team.evil = hashlib.sha256(blob).hexdigest()  # type: ignore[attr-defined]
    place = team.store / "blobs" / "sha256" / team.evil[:2] / team.evil  # type: ignore[attr-defined]
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(blob)
    return evil_wheel(team)


def test_strict_links_what_is_signed_and_solves_and_builds_nothing(team: Signed) -> None:
    team.believing("strict")
    found, _ = team.json_of()
    assert (found["built"], found["transmuted"], found["fetched"]) == (0, 0, 0)
    team.another()
    team.believing("strict")
    outcome = team.run("lock", "mixed.yaml", code=4)
    assert "error[unsigned-result]" in outcome.err
    assert not team.lock("mixed").exists()


def test_a_key_that_ended_counts_no_more_and_a_new_one_renews_what_it_signed(team: Signed) -> None:
    new = team.new_key("next")
    key = {**team.secret, "ENVBUILD_SIGNING_KEY": str(team.keys / "next.key")}
    evil = make_signer()
    place = team.signature("transmute")
    place.chmod(0o644)
    place.write_bytes(envelope_bytes(evil.sign(parse_envelope(place.read_bytes()).payload, "x")))
    team.believing(store="read-write")
    both = {"keys": {"ci": team.public, "next": new}}
    count = len(team.signatures())
    said = team.run("store", "sign", "team", "--renew", "--dry-run", environ=key).err
    assert f"Would sign {count - 1} result and 0 names" in said
    assert len(team.signatures()) == count
    said = team.run("store", "sign", "team", "--renew", environ=key).err
    assert f"Signed {count - 1} result and 0 names" in said
    assert "1 passed over that no key you trust signed" in said
    said = team.run("store", "sign", "team", "--renew", environ=key).err
    assert "Signed 0 results and 0 names" in said
    assert f"{count - 1} signed already" in said
    ended = {"keys": {"ci": {"public": team.public, "not-after": "2026-01-01"}, "next": new}}
    team.believing(**both, threshold=2)
    found, err = team.json_of()
    assert (found["built"], found["transmuted"]) == (0, 1)
    team.another()
    team.believing(**ended)
    found, err = team.json_of()
    assert (found["built"], found["transmuted"]) == (0, 1)
    team.another()
    team.believing(keys={"ci": {"public": team.public, "not-after": "2026-01-01"}})
    found, err = team.json_of()
    assert (found["built"], found["transmuted"]) == (1, 1)
    assert "no key counts for it" in err


def test_in_mode_hash_a_signature_stands_for_the_word_that_a_store_lacks(team: Signed) -> None:
    team.believing("hash")
    found, _ = team.json_of()
    assert (found["built"], found["transmuted"]) == (0, 0)
    team.another()
    team.configure()
    theirs = team.project / "store"
    shutil.rmtree(theirs, ignore_errors=True)
    shutil.copytree(team.store, theirs)
    (team.project / "envbuild.yaml").write_text("stores: [{name: theirs, url: ./store}]\n", "utf-8")
    team.configure(trust={"keys": {"ci": team.public}})
    found, _ = team.json_of()
    assert (found["built"], found["transmuted"]) == (0, 0)
    shutil.rmtree(theirs)


def test_ci_that_finds_another_s_unsigned_record_puts_its_own_in_its_place(team: Signed) -> None:
    evil_blob(team)
    team.ci()
    team.signature("build-wheel").unlink()
    found, _ = team.json_of(environ=team.key)
    assert found["built"] == 1
    team.another()
    team.believing()
    found, _ = team.json_of()
    assert (found["built"], found["pulled"]) == (0, found["packages"])
    assert not differences(team.tree("everything"), team.whole)  # type: ignore[attr-defined]


def test_a_push_signs_what_it_sends_and_what_is_there(team: Signed) -> None:
    team.ci()
    team.json_of()
    shutil.rmtree(team.store / "signatures")
    team.run("push", "everything.yaml", "--to", "team", environ=team.key)
    assert {path.parts[-4] for path in team.signatures()} == {"build-wheel", "transmute"}
    team.another()
    team.believing()
    found, _ = team.json_of()
    assert (found["built"], found["transmuted"]) == (0, 0)


def test_signing_afterwards_looks_at_what_it_signs(team: Signed) -> None:
    shutil.rmtree(team.store / "signatures")
    team.ci()
    (record,) = team.objects("results/build-wheel")
    wheel = json.loads(record.read_bytes())["outputs"]["out"]["sha256"]
    blob = team.store / "blobs" / "sha256" / wheel[:2] / wheel
    kept = blob.read_bytes()
    blob.chmod(0o644)
    blob.write_bytes(kept[:-1] + b"x")
    outcome = team.run("store", "sign", "team", "--results", environ=team.key, code=4)
    assert "its output out is damaged" in outcome.err
    assert not team.signatures("results/build-wheel")
    blob.write_bytes(kept)
    team.run("store", "sign", "team", "everything.yaml", environ=team.key)
    assert team.signatures("results/build-wheel")
    assert "no-key" in team.run("store", "sign", "team", code=2).err


def test_keys_and_modes_by_the_command_line(team: Signed) -> None:
    file = Path(team.environ["XDG_CONFIG_HOME"]) / "envbuild" / "config.yaml"
    file.write_text(f"# mine\nstores: [{{name: team, url: '{team.store}'}}]\n\n# the end\njobs: 2\n", "utf-8")
    before = file.read_text("utf-8")
    said = team.run("trust", "--key", f"ci={team.public}", "--mode", "signed", "--not-after", "2099-12-31").err
    assert f"key ci: {team.public}, until 2100-01-01T00:00:00Z" in said
    assert "mode signed, 1 signature wanted" in said
    assert "store team: what is signed of it counts; what is done here goes there" in said
    assert file.read_text("utf-8").startswith(before)
    hashed = team.run("trust", "--mode", "hash").err
    assert "mode hash, 1 signature wanted where a store's word does not count" in hashed
    team.run("trust", "--key", "ci", "--not-after", "2026-01-01")
    (key,) = json.loads(team.run("trust", "--json").out)["keys"]
    assert (key["name"], key["counts"]) == ("ci", False)
    assert "not-trusted" in team.run("trust", "--remove", "--key", "who", code=2).err
    assert "bad-key" in team.run("trust", "--key", "who=ed25519:AAAA", code=3).err
    assert "mode hash, no signature wanted" in team.run("trust", "--remove", "--key", "ci", "--mode", "hash").err
    assert file.read_text("utf-8") == before + "trust:\n  mode: hash\n"
    listed = team.run("key", "list", "--json")
    assert json.loads(listed.out)["keys"] == []
    made = team.run("key", "new", "mine").out.strip()
    assert made == f"mine={team.run('key', 'show', 'mine').out.strip()}"
    assert team.run("key", "list").out.strip() == made
    own = file.parent / "keys" / "mine.key"
    assert own.stat().st_mode & 0o777 == 0o600
    assert "key-exists" in team.run("key", "new", "mine", code=2).err
    (team.project / "envbuild.yaml").write_text("jobs: 1\n".replace("jobs", "recipes").replace("1", "./"), "utf-8")
    assert "key-in-project" in team.run("key", "new", "x", "--output", "x.key", code=2).err
    inside = team.project / "inside.key"
    shutil.copy(own, inside)
    assert "key-in-project" in team.run("key", "show", environ={"ENVBUILD_SIGNING_KEY": str(inside)}, code=2).err
    inside.unlink()
    assert team.run("key", "show", environ={"ENVBUILD_SIGNING_KEY": "mine"}).out.strip() == made.partition("=")[2]
    private = {"ENVBUILD_SIGNING_KEY": "env:CI_SECRET", "CI_SECRET": own.read_text("utf-8")}
    assert team.run("key", "show", environ=private).out.strip() == made.partition("=")[2]
    own.chmod(0o644)
    assert "unsafe-file" in team.run("key", "show", environ={"ENVBUILD_SIGNING_KEY": "mine"}, code=3).err
    shutil.rmtree(own.parent)


def test_H69_neither_key_nor_passphrase_is_anywhere(team: Signed) -> None:
    secrets = [SECRET, *(team.keys / "ci.key").read_text("utf-8").splitlines()[1:-1]]
    wrong = {**team.key, "ENVBUILD_SIGNING_PASSPHRASE": f"wrong-{SECRET}"}
    team.ci()
    shutil.rmtree(team.store / "signatures")
    team.run("realize", "everything.yaml", "--locked", environ=wrong, code=3)
    team.run(
        "realize",
        "everything.yaml",
        "--locked",
        environ={"ENVBUILD_SIGNING_KEY": team.key["ENVBUILD_SIGNING_KEY"]},
        code=2,
    )
    pem = (team.keys / "ci.key").read_text("utf-8")
    for environ in (
        {**team.key, "ENVBUILD_SIGNING_KEY": pem},
        {**team.key, "ENVBUILD_SIGNING_KEY": "env:PEM", "PEM": f"{pem[:200]}"},
    ):
        team.run("realize", "everything.yaml", "--locked", environ=environ, code=None)
        team.run("config", "list", "--show-origin", environ=environ, code=None)
    team.run("realize", "everything.yaml", "--locked", environ=team.key)
    team.run("store", "sign", "team", environ=team.key)
    team.run("trust", environ=team.key)
    team.run("log", "brewed", environ=team.key, code=None)
    code = "import os; print(sorted(os.environ.items()))"
    ran = team.run("run", "everything.yaml", "--", "python", "-c", code, environ=team.key)
    assert "ENVBUILD_SIGNING_KEY" in ran.out
    stamps = {path: path.read_bytes() for path in (team.home / "stamps").rglob("*") if path.is_file()}
    assert stamps
    assert "already there" in team.run("realize", "everything.yaml", "--locked").err
    assert {path: path.read_bytes() for path in stamps} == stamps, "not even their digests are kept"
    text = "".join(outcome.out + outcome.err for outcome in team.said)
    held = [path for folder in (team.home, team.store, team.project) for path in folder.rglob("*") if path.is_file()]
    assert len(held) > 50
    for secret in secrets:
        assert secret not in text
        assert not [path for path in held if secret.encode() in path.read_bytes()]
    assert team.signatures("results/build-wheel")


# Names


def test_a_name_that_ci_signed_and_one_that_somebody_moved(team: Signed) -> None:
    team.ci()
    team.run("alias", "everything.yaml", "shop/train:stable", environ=team.key)
    team.run("alias", "everything.yaml", "shop/train:v1", environ=team.key)
    assert "no-key" in team.run("alias", "everything.yaml", "shop/train:v2", code=2).err
    team.another()
    team.believing()
    team.run("realize", "shop/train:stable")
    team.configure({"name": "team", "url": str(team.store)})
    team.recipe("small", team.small())
    team.run("lock", "small.yaml")
    team.run("alias", "small.yaml", "shop/train:stable")
    team.run("alias", "small.yaml", "shop/other:stable")
    team.another()
    team.believing()
    outcome = team.run("get", "shop/train:stable", "--json")
    assert json.loads(outcome.out)["generation"] == 1
    assert "generation 2 does not count, it is not signed by ci" in outcome.err
    assert "error[unsigned-name]" in team.run("realize", "shop/other:stable", code=4).err
    team.believing("strict")
    assert "error[unsigned-name]" in team.run("get", "shop/train:stable", code=4).err
    team.run("get", "shop/train:v1")
    team.run("get", "shop/train:v1", "--offline")
    team.ci()
    team.run("store", "sign", "team", "shop/train:stable", environ=team.key)
    team.another()
    team.believing("strict")
    assert json.loads(team.run("get", "shop/train:stable", "--json").out)["generation"] == 2
    for path in team.objects("refs/shop/train/@stable")[1:]:
        path.unlink()
    assert "name-rolled-back" in team.run("get", "shop/train:stable", code=4).err
    team.believing(keys={"next": team.new_key("later")})
    assert "unsigned-name" in team.run("get", "shop/train:v1", "--offline", code=4).err


def test_a_rollback_goes_to_nothing_that_somebody_slipped_in(team: Signed) -> None:
    team.ci()
    team.run("alias", "everything.yaml", "shop/train:stable", environ=team.key)
    team.recipe("small", team.small())
    team.run("lock", "small.yaml", environ=team.key)
    team.configure({"name": "team", "url": str(team.store)})
    team.run("alias", "small.yaml", "shop/train:stable")
    team.believing(store="read-write")
    team.run("rollback", "shop/train:stable", environ=team.key)
    assert json.loads(team.run("get", "shop/train:stable", "--json").out)["generation"] == 3
    assert "unknown-generation" in team.run("rollback", "shop/train:stable", environ=team.key, code=3).err
    team.run("alias", "small.yaml", "shop/train:stable", environ=team.key)
    team.run("rollback", "shop/train:stable", environ=team.key)
    assert json.loads(team.run("get", "shop/train:stable", "--json").out)["generation"] == 5
