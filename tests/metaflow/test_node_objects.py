"""A store as a node reads it, by what a bare Python brings: it says what the clouds' own libraries would say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from envbuild.errors import IntegrityError, UnreachableError
from envbuild.metaflow.node_objects import NodeObjects
from envbuild.objects import Objects
from envbuild.objects.opening import open_objects
from envbuild.objects.retrying import Patience, Retrying
from tests.objects.conftest import QUICK, Place, az_server, everywhere, gs_server, place, place_of, s3_server

__all__ = ["az_server", "gs_server", "place", "place_of", "s3_server"]

CLOUDS = ("s3", "gs", "az")
DATA = bytes(range(256)) * 5000
DENIED = b"<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"


class Into:
    """Takes bytes, and begins anew when it is told to."""

    def __init__(self, fails: Exception | None = None) -> None:
        self.data = b""
        self.restarts = 0
        self._fails = fails

    def write(self, data: bytes) -> None:
        if self._fails is not None:
            raise self._fails
        self.data += data

    def restart(self) -> None:
        self.data = b""
        self.restarts += 1


def node_objects(place: Place, patience: Patience = QUICK) -> Objects:
    return open_objects(place.url, patience=patience, clouds=lambda address: NodeObjects(place.url, address))


@everywhere(*CLOUDS)
def test_what_is_there_is_read_and_its_sizes_are_known(place: Place) -> None:
    place.fill("a/small", b"small")
    place.fill("a/large", DATA)
    place.fill("a/empty", b"")
    objects, into = node_objects(place), Into()
    assert isinstance(objects, Retrying)
    assert objects.read("a/small") == b"small"
    assert objects.read("a/empty") == b""
    assert objects.read("a/absent") is None
    assert objects.fetch("a/large", into, len(DATA)) is True
    assert into.data == DATA
    assert objects.fetch("a/absent", Into()) is False
    asked = ["a/small", "a/absent", "a/large", "a/empty"]
    assert objects.sizes(asked) == {"a/small": 5, "a/large": len(DATA), "a/empty": 0}
    assert objects.sizes([]) == {}
    with pytest.raises(IntegrityError, match="more than the 4 bytes"):
        objects.read("a/small", 4)


@everywhere(*CLOUDS)
def test_a_node_writes_deletes_and_lists_nothing(place: Place) -> None:
    objects = node_objects(place)
    tried: tuple[Callable[[], object], ...] = (
        lambda: objects.put("a/b", b"data"),
        lambda: objects.delete("a/b"),
        lambda: list(objects.list("")),
    )
    for attempt in tried:
        with pytest.raises(UnreachableError) as caught:
            attempt()
        assert (caught.value.reference, caught.value.retryable) == ("refused", False)
    assert place.open().read("a/b") is None


@everywhere(*CLOUDS)
def test_a_transfer_that_is_cut_and_a_server_that_is_busy_are_asked_again(place: Place) -> None:
    place.fill("a/large", DATA)
    assert place.proxy is not None
    place.proxy.fault("GET", "*large*", times=1, cut_after=70000)
    into = Into()
    assert node_objects(place).fetch("a/large", into, len(DATA)) is True
    assert (into.data, into.restarts) == (DATA, 1)
    place.proxy.fault("*", "*large*", times=2, status=503)
    assert node_objects(place).sizes(["a/large"]) == {"a/large": len(DATA)}


@everywhere(*CLOUDS)
def test_a_server_that_stays_busy_is_worth_a_retry_and_one_that_refuses_is_not(place: Place) -> None:
    place.fill("a/b", b"data")
    assert place.proxy is not None
    place.proxy.fault("*", times=99, status=503)
    once = Patience(deadline=0, attempts=1)
    with pytest.raises(UnreachableError) as busy:
        node_objects(place, once).read("a/b")
    assert busy.value.retryable
    place.proxy.forget()
    place.proxy.fault("*", times=99, status=401)
    with pytest.raises(UnreachableError) as refused:
        node_objects(place).read("a/b")
    assert refused.value.reference == "refused"


@everywhere("s3")
def test_absent_is_a_miss_for_a_node_that_may_not_list(place: Place) -> None:
    place.fill("a/there", b"there")
    assert place.proxy is not None
    place.proxy.fault("*", "*absent*", status=403, body=DENIED, times=99)
    objects = node_objects(place)
    assert objects.read("a/absent") is None
    assert objects.sizes(["a/there", "a/absent"]) == {"a/there": 5}


@everywhere(*CLOUDS)
def test_a_disk_that_is_full_is_no_failure_of_the_store(place: Place) -> None:
    place.fill("a/b", b"data")
    with pytest.raises(OSError, match="No space left"):
        node_objects(place).fetch("a/b", Into(fails=OSError(28, "No space left on device")))


def test_a_store_that_nobody_serves_is_worth_a_retry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    url = "s3://bucket/store?endpoint=http://127.0.0.1:1"
    objects = open_objects(
        url, patience=Patience(deadline=0, attempts=1), clouds=lambda address: NodeObjects(url, address)
    )
    for attempt in (lambda: objects.read("a/b"), lambda: objects.sizes(["a/b"])):
        with pytest.raises(UnreachableError) as caught:
            attempt()
        assert caught.value.retryable
