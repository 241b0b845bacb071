"""Many cold nodes and one S3 server: what each asks, exactly, and how often it waits for an answer to go on.

An environment of 20 MB is in the store. A node knows its id or its name, and has an empty home. 16 nodes at once by
default, 200 under torture; the server is a process, with the proxy that counts before it.
"""

from __future__ import annotations

import json
import random
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.counts import COUNTS
from tests.faults.crowd import Gate, environments
from tests.faults.figures import count, worst
from tests.faults.world import nobody_stays, remove
from tests.flows.test_shared_clouds import CloudTeam
from tests.support.channel import TestChannel
from tests.support.object_servers import serve_objects
from tests.support.servers import serve
from tests.support.wheels import make_wheel

NODES = 200 if COUNTS.full else 16
WHEELS, BYTES = 19, 1 << 20
SMALL = 40
"""Further wheels of a few kB."""


class Cold(CloudTeam):
    """``heavy.yaml`` is in the bucket, whole; ``heavy`` is its id there, ``team/heavy`` its name."""

    def fill(self) -> None:
        names = [f"heavy-{number:02}" for number in range(WHEELS)] + [f"light-{number:02}" for number in range(SMALL)]
        for name in names:
            data = random.Random(name).randbytes(BYTES if name.startswith("heavy") else 2000)
            make_wheel(self.wheels, name, "1.0", files={f"{name.replace('-', '_')}/data.bin": data})
        series = f"{sys.version_info.major}.{sys.version_info.minor}"
        lines = self.pypi_lines(*(f"{name}:" for name in names))
        self.recipe("heavy", f"interpreter: host\npython: '{series}'\n{lines}")
        made = self.one("heavy")
        self.heavy = f"{made['request']}:{made['environment']}"
        self.run("alias", "heavy.yaml", "team/heavy")
        self.close()
        self.proxy.forget()

    def cold(self) -> dict[str, str]:
        """The variables of a node that has nothing."""
        self.nodes = getattr(self, "nodes", 0) + 1
        home = self.folder / "nodes" / f"{self.nodes:03}"
        remove(home)
        return {"ENVBUILD_HOME": str(home)}


@pytest.fixture(scope="module")
def cold(tmp_path_factory: pytest.TempPathFactory, channel: TestChannel) -> Iterator[Cold]:
    folder = tmp_path_factory.mktemp("cold")
    with serve(lambda _: None) as server, serve_objects("s3", folder) as objects:
        team = Cold(folder / "team", channel, server, objects)
        team.fill()
        yield team


def objects_of(cold: Cold) -> set[str]:
    """What a node has to read: the closure and its blobs."""
    request, _, environment = cold.heavy.partition(":")
    (closure,) = Path(cold.home, "store", "environments").glob(f"*/{request}/{environment}.json")
    blobs = {f"blobs/sha256/{sha256[:2]}/{sha256}" for sha256 in cold.packages("heavy")}
    assert len(blobs) == WHEELS + SMALL
    return {*blobs, str(closure.relative_to(cold.home / "store"))}


def test_cold_nodes_at_once_ask_for_each_object_once_and_for_little_else(cold: Cold) -> None:
    wanted = objects_of(cold)
    cold.proxy.forget()
    with nobody_stays(), Gate(cold) as gate:
        for _ in range(NODES):
            gate.start("realize", cold.heavy, "--json", environ=cold.cold())
        outcomes = gate.open()
    made = environments(outcomes)
    assert {item["pulled"] for item in made} == {WHEELS + SMALL}
    assert {item["fetched"] for item in made} == {0}
    asked = Counter((seen.method, seen.path.partition("/team/")[2]) for seen in cold.proxy.matching("*"))
    for name in wanted:
        assert asked.pop(("GET", name)) == NODES, name
    # the format of the store, and what a collection of it has announced
    assert asked == {("GET", "format.json"): NODES, ("GET", "collect/mark.json"): NODES}
    assert not [seen for seen in cold.proxy.matching("GET") if "list-type" in seen.query]
    count("objects of 20 MB read by cold nodes at once (16, or 200), each by each exactly once", 1, 1)
    worst("requests of a cold node beyond the objects that it reads", 2)
    seconds = sorted(outcome.seconds for outcome in outcomes)
    worst("slowest of the cold nodes at once / their median", seconds[-1] / seconds[len(seconds) // 2])


@pytest.mark.parametrize(("source", "rounds"), [("id", 2), ("name", 3)])
def test_a_known_environment_starts_after_few_round_trips(cold: Cold, source: str, rounds: int) -> None:
    wanted = objects_of(cold)
    cold.proxy.forget()
    cold.proxy.latency = 1.5  # so that what is asked at the same time overlaps, on any machine
    outcome = cold.run("realize", cold.heavy if source == "id" else "team/heavy", "--json", environ=cold.cold())
    assert json.loads(outcome.out)["environments"][0]["pulled"] == WHEELS + SMALL
    assert cold.proxy.count("GET") == cold.proxy.count("*") <= len(wanted) + 4
    assert cold.proxy.rounds() == rounds
    worst(f"round trips until a known environment is there, by its {source}", cold.proxy.rounds())
    cold.proxy.forget()


def test_what_is_there_asks_nobody_by_its_id(cold: Cold) -> None:
    node = cold.cold()
    cold.run("realize", cold.heavy, environ=node)
    cold.proxy.forget()
    assert "already there" in cold.run("realize", cold.heavy, environ=node).err
    assert cold.proxy.count("*") == 0


def test_blobs_that_are_gone_from_under_a_closure_come_from_their_origin(cold: Cold) -> None:
    gone = sorted(name for name in objects_of(cold) if name.startswith("blobs/"))[:3]
    cold.proxy.forget()
    cold.server.content = cold._content()
    for name in gone:
        cold.proxy.fault("GET", f"*/{name}", times=9, status=404, body=b"<Error><Code>NoSuchKey</Code></Error>")
    outcome = cold.run("realize", cold.heavy, "--json", environ=cold.cold())
    (made,) = json.loads(outcome.out)["environments"]
    assert (made["pulled"], made["fetched"]) == (WHEELS + SMALL - 3, 3)
    cold.close()
    cold.proxy.forget()
