"""What was launched onto other machines stays in a store that is collected, as long as its nodes may ask for it."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from envbuild.digest import Digest, digest_bytes
from envbuild.errors import IntegrityError, UsageError
from envbuild.objects.opening import open_objects
from envbuild.session import Session
from envbuild.store.collect_shared import collect_store
from envbuild.store.collected import Policy
from envbuild.store.deployments import Deployment, from_bytes, newest, to_bytes
from envbuild.store.object_names import blob_name
from envbuild.store.shared import SharedStore
from tests.objects.conftest import Place, everywhere
from tests.support.stored import LINUX, Stored, again, made, stored, there

NOW = Policy(days=0, grace=0)
YOUNG = Policy(days=1, grace=0)


def launch(store: SharedStore, of: str, item: Stored, blob: bytes, *, lasts: bool = True) -> set[str]:
    """Have what a node asks for in a store, and told to it; the names of all of that."""
    digest = Digest(digest_bytes(blob))
    item.push(again(store))
    store.objects.put(blob_name(digest), blob)
    environment = (LINUX, item.lock.request, item.environment.id)
    name, data = to_bytes(Deployment(of=of, lasts=lasts, environments=(environment,), blobs=(digest,)))
    store.objects.put(name, data)
    time.sleep(1.1)  # times of stores have seconds
    return {*item.objects, blob_name(digest), name}


@everywhere("memory", "file", "s3", "gs", "az")
def test_the_newest_of_a_deployment_stays_and_what_it_replaced_goes(place: Place) -> None:
    store = made(place.open())
    first = launch(store, "argo-workflows/train", stored("first", "shared", "old"), b"first program")
    other = launch(store, "argo-workflows/other", stored("other"), b"another program")
    second = launch(store, "argo-workflows/train", stored("second", "shared", "new"), b"second program")
    collect_store(again(store), YOUNG)
    assert there(store, first | other | second) == first | other | second  # tasks of the first may still run
    collect_store(again(store), NOW)
    assert there(store, first | other | second) == other | second


@everywhere("memory")
def test_what_a_run_asks_for_stays_for_the_days_to_keep(place: Place) -> None:
    store = made(place.open())
    run = launch(store, "Train", stored("run"), b"program of a run", lasts=False)
    collect_store(again(store), YOUNG)
    assert there(store, run) == run
    collect_store(again(store), NOW)
    assert there(store, run) == set()


@everywhere("memory")
@pytest.mark.parametrize("damage", ["bytes", "name"])
def test_nothing_goes_while_what_a_deployment_asks_for_cannot_be_read(place: Place, damage: str) -> None:
    store = made(place.open())
    launched = launch(store, "argo-workflows/train", stored("one"), b"program")
    (name,) = (item for item in launched if item.startswith("deployments/"))
    data = store.objects.read(name)
    assert data is not None
    store.objects.delete(name)
    if damage == "bytes":
        store.objects.put(name, data.replace(b'"lasts"', b'"Lasts"'))
    else:
        store.objects.put(f"{name[:-69]}{'0' * 64}.json", data)
    time.sleep(1.1)
    with pytest.raises(IntegrityError) as caught:
        collect_store(again(store), NOW)
    assert caught.value.reference == "bad-deployment"
    assert there(store, stored("one").objects) == stored("one").objects


def test_what_is_written_is_read_and_each_launch_is_another_object() -> None:
    item = Deployment(
        of="airflow/träin",
        lasts=True,
        environments=((LINUX, Digest("1" * 64), Digest("2" * 64)),),
        blobs=(Digest("3" * 64),),
    )
    name, data = to_bytes(item)
    assert from_bytes(data, name) == item
    assert to_bytes(item)[0] != name
    assert to_bytes(item)[0].split("/")[1] == name.split("/")[1]


def test_without_launches_nothing_is_newest() -> None:
    assert newest([]) == ({}, frozenset())


def test_a_deployment_is_told_among_pins_and_let_go_by_its_name(tmp_path: Path) -> None:
    environ = {"ENVBUILD_HOME": str(tmp_path / "home"), "PATH": os.environ["PATH"]}
    session, store = Session(tmp_path, environ=environ), str(tmp_path / "store")
    session.store_init(store)
    item = stored("one")
    item.push(SharedStore("team", lambda: open_objects(store)))
    for of, lasts in (("argo-workflows/train", True), ("argo-workflows/train", True), ("Train", False)):
        environment = (LINUX, item.lock.request, item.environment.id)
        session.deployed(Deployment(of=of, lasts=lasts, environments=(environment,), blobs=()), store)
    assert {pin.of for pin in session.pins(store)} == {"argo-workflows/train"}
    (gone,) = session.unpin("argo-workflows/train", store)
    assert gone.environment == item.environment.id
    assert session.pins(store) == ()
    with pytest.raises(UsageError, match="not pinned"):
        session.unpin("argo-workflows/train:latest", store)
