"""R06 and R08: many at the same moment on one shared store, with one home and with a home each.

What is counted is what others see: requests to the package server and to the store, records in the store, what each
command says it did, and the trees that all of them have in the end.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from tests.faults.counts import Counts
from tests.faults.crowd import Gate, Machine, added, environments, machines
from tests.faults.figures import count
from tests.faults.world import differences, nobody_stays, remove
from tests.flows.test_shared_clouds import CloudTeam
from tests.flows.test_shared_stores import DICEY, Team
from tests.support.channel import TestChannel
from tests.support.object_servers import serve_objects
from tests.support.sdists import make_own_sdist
from tests.support.servers import Body, Incoming, serve

HOST = f"{sys.version_info.major}.{sys.version_info.minor}"
BUILDERS = 8


@pytest.fixture(scope="module")
def _crowd(tmp_path_factory: pytest.TempPathFactory, channel: TestChannel) -> Iterator[Team]:
    with serve(lambda request: None) as server:
        team = Team(tmp_path_factory.mktemp("crowd") / "team", channel, server)
        make_own_sdist(team.wheels, "dicey", "1.0", scratch=team.folder / "sdists", static=True, more_backend=DICEY)
        for name, package in (("steady", "brewed"), ("dicey", "dicey")):
            team.recipe(name, f"interpreter: host\npython: {HOST}\n" + team.pypi_lines(f"{package}:"))
        for name in ("everything", "steady", "dicey"):
            team.run("lock", f"{name}.yaml")
        yield team


@pytest.fixture
def crowd(_crowd: Team) -> Team:
    """A team whose recipes are locked, an empty store, and nothing at home."""
    emptied(_crowd)
    return _crowd


def emptied(team: Team) -> None:
    team.fresh()
    remove(team.store)
    team.run("store", "init", str(team.store))
    team.server.forget()


def records(team: Team, kind: str) -> list[dict]:  # type: ignore[type-arg]
    """The records of a kind in the store."""
    return [json.loads(path.read_bytes()) for path in team.objects(f"results/{kind}")]


def test_R06_one_home_fetches_and_builds_everything_once(crowd: Team, counts: Counts) -> None:
    number = counts.processes
    for _ in range(counts.rounds):
        emptied(crowd)
        with nobody_stays(), Gate(crowd) as gate:
            for _ in range(number):
                gate.start("realize", "everything.yaml", "--locked", "--json")
            outcomes = gate.open()
        files = set(crowd.packages("everything").values())
        downloads = Counter(file for seen in crowd.server.matching("*") if (file := name_of(seen.path)) in files)
        assert downloads == dict.fromkeys(files, 1)
        did = added(outcomes)
        assert (did["built"], did["transmuted"], did["pulled"]) == (1, 1, 0), did  # nobody built in vain
        assert did["fetched"] == environments(outcomes)[0]["packages"] - 1, did  # but for what is built
        assert len({item["prefix"] for item in environments(outcomes)}) == len(crowd.prefixes()) == 1
        assert not crowd.leftovers()
        assert "0 findings" in crowd.run("verify").err
        crowd.sound()
        assert [len(records(crowd, kind)) for kind in ("build-wheel", "transmute")] == [1, 1]
        assert len(crowd.objects("environments")) == 1
        count("processes at once with one home and one shared store that succeeded", len(outcomes), number)
        count("packages fetched once by them all", len(downloads), sum(downloads.values()))
        count("derivations done once by them all", 2, did["built"] + did["transmuted"])


def test_R06_one_home_reads_every_object_of_a_store_once(
    tmp_path_factory: pytest.TempPathFactory, channel: TestChannel, counts: Counts
) -> None:
    folder = tmp_path_factory.mktemp("crowd-s3")
    with serve(lambda _: None) as server, serve_objects("s3", folder) as objects:
        cloud = CloudTeam(folder / "team", channel, server, objects)
        cloud.one("everything")
        whole = cloud.tree("everything")
        cloud.close()
        for _ in range(counts.rounds):
            cloud.another()
            cloud.proxy.forget()
            with nobody_stays(), Gate(cloud) as gate:
                for _ in range(counts.processes):
                    gate.start("realize", "everything.yaml", "--locked", "--json")
                outcomes = gate.open()
            read = Counter(name for name in cloud.gets() if name.startswith("blobs/"))
            assert set(read.values()) == {1}, read
            assert cloud.proxy.count("PUT") + cloud.proxy.count("DELETE") == 0
            assert not [seen for seen in cloud.proxy.matching("GET") if "list-type" in seen.query]
            did = added(outcomes)
            assert (did["built"], did["transmuted"], did["fetched"]) == (0, 0, 0)
            assert did["pulled"] == environments(outcomes)[0]["packages"]
            assert not differences(cloud.tree("everything"), whole)
            count("blobs of a bucket read once by processes at once with one home", len(read), sum(read.values()))


def test_R06_a_home_each_and_one_store(crowd: Team, counts: Counts) -> None:
    number = counts.processes
    for _ in range(counts.rounds):
        emptied(crowd)
        others = machines(crowd, number)
        with nobody_stays(), Gate(crowd) as gate:
            for machine in others:
                gate.start("realize", "everything.yaml", "--locked", "--json", machine=machine)
            outcomes = gate.open()
        crowd.sound()
        assert [len(records(crowd, kind)) for kind in ("build-wheel", "transmute")] == [1, 1]
        assert same_trees(others, "everything") == number
        assert same_results(crowd, others) == {"build-wheel": 1, "transmute": 1}
        with Gate(crowd) as gate:
            for machine in others:
                gate.start("verify", machine=machine)
            assert all("0 findings" in outcome.err for outcome in gate.open())
        count("machines at once on one shared store that have one tree", len(outcomes), number)


@pytest.mark.parametrize("name", ["steady", "dicey"])
def test_R08_machines_that_build_the_same_link_one_result(crowd: Team, counts: Counts, name: str) -> None:
    """``dicey`` gives other bytes each time it is built: whoever was slower takes over what was there first."""
    for _ in range(counts.rounds):
        emptied(crowd)
        others = machines(crowd, BUILDERS)
        with nobody_stays(), Gate(crowd) as gate:
            for machine in others:
                gate.start("realize", f"{name}.yaml", "--locked", "--json", machine=machine)
            outcomes = gate.open()
        crowd.sound()
        (record,) = records(crowd, "build-wheel")
        assert same_results(crowd, others) == {"build-wheel": 1}
        assert same_trees(others, name) == BUILDERS
        wheel = record["outputs"]["out"]["sha256"]
        assert hashlib.sha256((crowd.store / "blobs" / "sha256" / wheel[:2] / wheel).read_bytes()).hexdigest() == wheel
        how = "the same" if name == "steady" else "other bytes each"
        count(f"machines at once that build {how} and link what was first", len(outcomes), BUILDERS)
        did = added(outcomes)  # who took over what another had built says that it pulled it
        assert did["built"] + did["pulled"] == BUILDERS
        # Two that built the very same at the same time have both built it, and nothing to take over.
        assert did["built"] == 1 if name == "dicey" else did["built"] >= 1


def test_R08_who_comes_to_build_when_somebody_has_built_takes_that(crowd: Team) -> None:
    """One has planned to build, and waits for the source; meanwhile another builds. The store is asked once more."""
    slow, quick = machines(crowd, 2)
    content, arrived, go_on = crowd.server.content, Event(), Event()

    def held(request: Incoming) -> Body | None:
        if name_of(request.path) == "brewed-1.0.tar.gz" and not arrived.is_set():
            arrived.set()
            assert go_on.wait(100)
        return content(request)

    crowd.server.content = held
    try:
        with Gate(crowd) as first, Gate(crowd) as second, ThreadPoolExecutor(1) as pool:
            first.start("realize", "steady.yaml", "--locked", "--json", machine=slow)
            waiting = pool.submit(first.open)
            assert arrived.wait(60)
            second.start("realize", "steady.yaml", "--locked", "--json", machine=quick)
            assert added(second.open())["built"] == 1
            go_on.set()
            outcomes = waiting.result()
    finally:
        go_on.set()
        crowd.server.content = content
    did = added(outcomes)
    assert (did["built"], did["pulled"]) == (0, 1)
    assert same_trees([slow, quick], "steady") == 2
    count("machines that planned to build and took what was built meanwhile", 1, 1)


def name_of(path: str) -> str:
    """The file that a request asks for."""
    return path.rpartition("/")[2]


def same_trees(others: list[Machine], name: str) -> int:
    """How many machines have the tree of the first."""
    first = others[0].tree(name)
    for machine in others[1:]:
        assert not differences(machine.tree(name), first)
    return len(others)


def same_results(team: Team, others: list[Machine]) -> dict[str, int]:
    """How many outputs the machines have for each key that is in the store, by kind."""
    found = {}
    for kind in ("build-wheel", "transmute"):
        for record in records(team, kind):
            outputs = {
                json.loads(path.read_bytes())["outputs"]["out"]["sha256"]
                for machine in others
                for path in (machine.home / "store" / "results" / kind).glob(f"*/{record['key']}.json")
            }
            assert outputs == {record["outputs"]["out"]["sha256"]}
            found[kind] = found.get(kind, 0) + len(outputs)
    return found
