"""Shared stores in clouds, by the command line: real servers, every request counted, and what trouble costs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from envbuild.digest import Digest
from envbuild.objects.opening import open_objects
from envbuild.store.object_names import blob_name
from tests.faults.world import differences
from tests.flows.test_shared_stores import Team
from tests.support.channel import TestChannel
from tests.support.object_servers import ObjectServer, serve_objects
from tests.support.servers import serve

DENIED = b"<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"


class CloudTeam(Team):
    """A team whose store is a bucket; the first machine has filled it."""

    def __init__(self, folder: Path, channel: TestChannel, server, cloud: ObjectServer) -> None:  # type: ignore[no-untyped-def]
        super().__init__(folder, channel, server)
        self.cloud = cloud
        self.proxy = cloud.proxy
        self.environ.update(cloud.environ)
        self.empty()

    def empty(self) -> None:
        """A new bucket with a store in it."""
        self.fresh()
        self.proxy.forget()
        self.server.content = self._content()
        self.url = f"{self.cloud.scheme}://{self.cloud.bucket()}/team"
        self.configure({"name": "cloud", "url": self.url})
        self.run("store", "init", self.url)
        self.proxy.forget()

    def gets(self) -> list[str]:
        """What was read, by name of the object."""
        return [seen.path.partition("/team/")[2].partition("?")[0] for seen in self.proxy.matching("GET")]


@pytest.fixture
def cloud(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, channel: TestChannel
) -> Iterator[CloudTeam]:
    scheme = getattr(request, "param", "s3")
    folder = tmp_path_factory.mktemp(scheme)
    with serve(lambda _: None) as server, serve_objects(scheme, folder) as objects:
        yield CloudTeam(folder / "team", channel, server, objects)


@pytest.mark.parametrize("cloud", ["s3", "gs", "az"], indirect=True)
def test_another_machine_takes_everything_from_the_cloud(cloud: CloudTeam) -> None:
    first = cloud.one("everything")
    assert (first["built"], first["transmuted"], first["pulled"]) == (1, 1, 0)
    whole = cloud.tree("everything")
    cloud.another()
    cloud.close()
    cloud.proxy.forget()
    again = cloud.one("everything", "--locked")
    assert (again["built"], again["transmuted"], again["fetched"]) == (0, 0, 0)
    assert again["pulled"] == again["packages"]
    assert not differences(cloud.tree("everything"), whole)
    wrote = [seen for method in ("PUT", "POST", "DELETE") for seen in cloud.proxy.matching(method)]
    assert wrote == []
    if cloud.cloud.scheme == "s3":
        gets = cloud.gets()
        assert not [seen.path for seen in cloud.proxy.matching("GET", "*list-type*")], "no listing on the way of a hit"
        assert len(gets) == len(set(gets)), "nothing is read twice"
        blobs = [name for name in gets if name.startswith("blobs/")]
        records = [name for name in gets if name.startswith("results/")]
        assert len(records) == 2
        assert len(gets) <= len(blobs) + len(records) + 3
    cloud.proxy.forget()
    assert "already there" in cloud.run("realize", "everything.yaml", "--locked").err
    assert cloud.proxy.count("*") == 0, "nothing to do asks nobody"


def test_a_cloud_that_takes_no_writes_costs_one_line_and_one_try(cloud: CloudTeam) -> None:
    cloud.proxy.fault("PUT", times=10_000, status=403)
    outcome = cloud.run("realize", "everything.yaml")
    assert outcome.err.count("cannot be written") == 1
    assert cloud.tree("everything")
    tried = cloud.proxy.count("PUT")
    assert tried == 1, "the first write goes alone, and none follows a refusal"
    cloud.proxy.forget()


def test_wrong_bytes_from_a_cloud_are_mended(cloud: CloudTeam, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in cloud.cloud.environ.items():
        monkeypatch.setenv(name, value)
    objects = open_objects(cloud.url)
    cloud.one("everything")
    whole = cloud.tree("everything")
    (info,) = json.loads(cloud.run("store", "info", "--json").out)["stores"]
    assert info["environments"] == 1
    assert dict(info["results"])["build-wheel"] == 1
    assert info["blobs"] > 10
    cloud.another()
    cloud.proxy.forget()
    assert cloud.one("everything", "--locked")["pulled"]
    asked = " ".join(seen.path for seen in cloud.proxy.matching("GET"))
    packages = [sha256 for sha256 in cloud.packages("everything") if blob_name(Digest(sha256)) in asked]
    for sha256 in (damaged := sorted(packages)[:3]):
        data = bytearray(cloud.blobs()[sha256].read_bytes())
        data[len(data) // 2] ^= 1
        objects.delete(blob_name(Digest(sha256)))
        assert objects.put(blob_name(Digest(sha256)), bytes(data)) == "created"
    assert len(damaged) == 3
    cloud.another()
    outcome = cloud.run("realize", "everything.yaml", "--locked")
    assert outcome.err.count("is damaged") == 3
    assert not differences(cloud.tree("everything"), whole)
    cloud.another()
    cloud.close()
    assert cloud.one("everything", "--locked")["fetched"] == 0


def test_signatures_cost_a_reader_no_further_request(cloud: CloudTeam) -> None:
    """R07: an envelope is read instead of each record, and a name takes as many round trips as without."""
    keys = cloud.folder / "secrets" / "ci.key"
    public = json.loads(cloud.run("key", "new", "ci", "--output", str(keys), "--json").out)["public"]
    trust = {"mode": "signed", "keys": {"ci": public}}
    cloud.configure({"name": "cloud", "url": cloud.url}, trust=trust)
    key = {"ENVBUILD_SIGNING_KEY": str(keys)}
    cloud.run("realize", "everything.yaml", environ=key)
    cloud.run("alias", "everything.yaml", "shop/train:stable", environ=key)
    whole = cloud.tree("everything")
    asked = {}
    for mode in ("hash", "signed"):
        cloud.configure({"name": "cloud", "url": cloud.url, "mode": "read-only"}, trust={**trust, "mode": mode})
        if mode == "hash":
            cloud.run("trust", cloud.url)
        cloud.another()
        cloud.close()
        cloud.proxy.forget()
        found = cloud.one("everything", "--locked")
        assert (found["built"], found["transmuted"], found["fetched"]) == (0, 0, 0)
        assert not differences(cloud.tree("everything"), whole)
        gets = cloud.gets()
        asked[mode] = sorted(name for name in gets if not name.startswith(("results/", "signatures/")))
        records = [name for name in gets if name.startswith("results/")]
        envelopes = [name for name in gets if name.startswith("signatures/")]
        assert (len(records), len(envelopes)) == ((2, 0) if mode == "hash" else (0, 2))
        cloud.proxy.forget()
        cloud.run("get", "shop/train:stable")
        asked[f"{mode} name"] = sorted(name for name in cloud.gets() if name.startswith("refs/"))
    assert asked["hash"] == asked["signed"]
    assert asked["hash name"] == asked["signed name"]


@pytest.mark.parametrize("cloud", ["s3", "gs"], indirect=True)
def test_what_a_cloud_lists_and_refuses_to_give_is_a_finding_and_no_absence(cloud: CloudTeam) -> None:
    """Who may not list is told the same of what is absent; a listing tells the two apart."""
    cloud.one("everything")
    cloud.run("alias", "everything.yaml", "shop/train:stable")
    cloud.proxy.forget()
    cloud.run("verify", "--store", "cloud")
    blob = next(f"blobs/sha256/{each[:2]}/{each}" for each in sorted(cloud.packages("everything")))
    assert any(blob in seen.path for seen in cloud.proxy.matching("GET"))
    names = {seen.path.partition("/team/")[2].partition("?")[0] for seen in cloud.proxy.matching("GET", "*/team/*")}
    closed = {blob, *(name for name in names if name.startswith(("results/build", "environments/", "refs/shop")))}
    assert len(closed) == 4
    for name in closed:
        cloud.proxy.fault("*", f"*{name}", status=403, body=DENIED, times=10_000)
    for flags in ((), ("--repair",)):
        outcome = cloud.run("verify", "--store", "cloud", "--json", *flags, code=4)
        found = json.loads(outcome.out)["findings"]
        assert {(item["name"], item["problem"]) for item in found} == {(name, "unreadable") for name in closed}
        assert {item["done"] for item in found} == {"nothing" if flags else None}
    said = cloud.run("verify", "--store", "cloud", code=4).out
    assert said.count("refuses to give it") == 4
    assert "storage class" in said
    cloud.another()
    assert cloud.one("everything", "--locked")["built"] == 1, "to who uses the store it is a miss"
    cloud.proxy.forget()
    assert json.loads(cloud.run("verify", "--store", "cloud", "--json").out)["findings"] == []


def test_a_copy_tells_what_its_source_lists_and_does_not_give(cloud: CloudTeam) -> None:
    cloud.one("everything")
    copy = cloud.folder / "copy"
    blob = next(f"blobs/sha256/{each[:2]}/{each}" for each in sorted(cloud.packages("everything")))
    cloud.proxy.fault("*", f"*{blob}", status=403, body=DENIED, times=10_000)
    cloud.run("store", "init", str(copy))
    outcome = cloud.run("store", "copy", "cloud", str(copy), code=4)
    assert [line.partition(" ")[0] for line in outcome.out.splitlines()] == [blob]
    cloud.proxy.forget()
    assert cloud.run("store", "copy", "cloud", str(copy)).out == ""
    assert (copy / blob).is_file()
