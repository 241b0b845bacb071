"""R18: the answer to a put is lost after the store has done it, for everything that a store is made of.

What was put is there once, with our bytes, and counts as done; a name gets no second generation.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from envbuild.derivations import Output
from envbuild.digest import digest_bytes
from envbuild.machine.publish import Incoming
from envbuild.names import parse_name
from envbuild.package import Platform
from envbuild.store import Result
from envbuild.store.generation import Named
from envbuild.store.names import current, history, move
from envbuild.store.object_names import closure_name
from envbuild.store.shared import SharedStore
from envbuild.store.shared_format import FORMAT_BYTES, FORMAT_NAME
from tests.faults.counts import Counts
from tests.faults.figures import count
from tests.faults.world import differences
from tests.flows.test_shared_clouds import CloudTeam, cloud
from tests.objects.conftest import CLOUDS, Place, everywhere, place
from tests.support.fault_proxy import Fault, FaultProxy

__all__ = ["cloud", "place"]

PLATFORM = Platform("linux-64")
NAME = parse_name("team/x:stable")
LARGE = 20_000_000


def proxy_of(place: Place) -> FaultProxy:
    assert place.proxy is not None
    place.proxy.forget()
    return place.proxy


def lost(place: Place, *, large: bool = False) -> Fault:
    """The answer to the next put is lost; of a large one, to the request that makes it visible."""
    method, skip = {"s3": ("PUT", 0), "gs": ("POST", 0), "az": ("PUT", 0)}[place.kind]
    if large:
        method, skip = {"s3": ("POST", 1), "gs": ("POST", 0), "az": ("PUT", 5)}[place.kind]
    return proxy_of(place).fault(method, drop_reply=True, skip=skip)


def named(number: int) -> Named:
    return Named(request=digest_bytes(b"%d" % number), environments=((PLATFORM, digest_bytes(b"environment")),))


@everywhere(*CLOUDS)
def test_R18_what_was_put_and_not_answered_is_there_once(place: Place, tmp_path: Path, counts: Counts) -> None:
    store = SharedStore("store", place.open)
    assert store.objects.put(FORMAT_NAME, FORMAT_BYTES) == "created"
    store.check_keeps()
    for turn in range(counts.rounds):
        for size in (1000 + turn, *([LARGE] if turn == 0 else [])):
            path = tmp_path / "blob"
            path.write_bytes(os.urandom(size))
            digest = digest_bytes(path.read_bytes())
            order = lost(place, large=size == LARGE)
            store.put_blob(digest, path)
            assert order.times == 0
            with Incoming(tmp_path / "incoming", size) as incoming:
                assert store.blob(digest, incoming, size)
            assert sum(item.size for item in store.objects.list(f"blobs/sha256/{digest[:2]}/{digest}")) == size
            count("blobs whose put was not answered, there once and whole", 1, 1)

        output = Output(sha256=digest_bytes(b"%d" % turn), size=1)
        result = Result(
            kind="transmute",
            key=digest_bytes(b"key %d" % turn),
            outputs=(("out", output),),
            platform=PLATFORM,
            created="2026-11-21T00:00:00Z",
            milliseconds=1,
            builder="tests",
            notes=(),
        )
        order = lost(place)
        store.put_result(result)
        assert order.times == 0
        assert store.result("transmute", result.key) == result
        count("records whose put was not answered, there once and ours", 1, 1)

        where = PLATFORM, digest_bytes(b"request"), digest_bytes(b"environment %d" % turn)
        order = lost(place)
        store.put_closure(*where, b"a closure")
        assert order.times == 0
        assert store.objects.read(closure_name(*where)) == b"a closure"
        count("closures whose put was not answered, there once and ours", 1, 1)

        order = lost(place)
        moved = move(store.objects, NAME, named(turn))
        assert order.times == 0
        assert (moved.written, moved.now.number, moved.now.named) == (True, turn + 1, named(turn))
        count("moves whose put was not answered, one generation each", 1, 1)
    now = current(store.objects, NAME)
    assert now is not None
    assert [item.named for item in history(store.objects, NAME, now)] == [named(turn) for turn in range(counts.rounds)][
        ::-1
    ]


@pytest.mark.parametrize("cloud", CLOUDS, indirect=True)
def test_R18_a_command_does_not_notice_that_answers_are_lost(cloud: CloudTeam) -> None:
    """Of all that is written, every third answer never comes."""
    method = "POST" if cloud.cloud.scheme == "gs" else "PUT"
    orders = [cloud.proxy.fault(method, drop_reply=True, skip=1 + 2 * number) for number in range(60)]
    outcome = cloud.run("realize", "everything.yaml")
    assert "note: " not in outcome.err
    assert sum(not order.times for order in orders) > 5
    whole = cloud.tree("everything")
    for _ in range(2):  # the second says what the name means already
        assert cloud.run("alias", "everything.yaml", "team/x:stable").out == "team/x:stable\n"
    assert "1 generation" in cloud.run("history", "team/x:stable").err
    lost_answers = sum(not order.times for order in orders)
    cloud.another()
    cloud.close()
    cloud.proxy.forget()
    again = cloud.one("everything", "--locked")
    assert (again["built"], again["transmuted"], again["fetched"]) == (0, 0, 0)
    assert not differences(cloud.tree("everything"), whole)
    count("answers to a command's puts that were lost and not noticed", lost_answers, lost_answers)
