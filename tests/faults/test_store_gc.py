"""Collecting shared stores beside those who use them: nobody fails, nothing that is wanted goes, and all garbage does.

R01: killed at every step, and begun again. R09: collectors that never rest, beside realizes, pulls, pushes and names.
R25: clocks of this machine that are wrong decide nothing.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from envbuild.errors import UnreachableError
from envbuild.faults import FAULTS
from envbuild.objects import Objects
from envbuild.objects.folder import FolderObjects
from envbuild.objects.opening import open_objects
from envbuild.store import marks
from envbuild.store.collect_shared import DAY, collect_store
from envbuild.store.collected import Policy
from envbuild.store.object_names import blob_name
from tests.faults.counts import COUNTS, Counts
from tests.faults.figures import count
from tests.faults.world import differences, nobody_stays, remove
from tests.flows.test_shared_stores import Team
from tests.support.channel import TestChannel
from tests.support.object_servers import serve_objects
from tests.support.servers import serve
from tests.support.stored import Stored, again, call, made, stored, there

AT_ONCE = ("--keep-days", "0", "--grace", "0", "--nobody-writes")
POINTS = [name for name in FAULTS if name.startswith("store-gc-")]


@pytest.fixture(scope="module")
def _collected(tmp_path_factory: pytest.TempPathFactory, channel: TestChannel) -> Iterator[Team]:
    with serve(lambda request: None) as server:
        team = Team(tmp_path_factory.mktemp("collected") / "team", channel, server)
        for name in ("everything", "small", "mixed"):
            team.one(name)
        team.whole = team.tree("everything")  # type: ignore[attr-defined]
        team.locks = {name: team.lock(name).read_bytes() for name in ("everything", "small", "mixed")}  # type: ignore[attr-defined]
        team.run("alias", "everything.yaml", "team/everything:v1")
        team.store.rename(team.folder / "first")
        yield team


@pytest.fixture
def team(_collected: Team) -> Team:
    """A store with a named environment and two that nobody names; no lock beside a recipe, and nothing at home."""
    team = _collected
    team.fresh(locks=True)
    team.server.content = team._content()
    remove(team.store)
    shutil.copytree(team.folder / "first", team.store)
    return team


def names(team: Team) -> set[str]:
    """Every object of the store but what collections keep for themselves."""
    found = {str(path.relative_to(team.store)) for path in team.objects("")}
    return {name for name in found if not name.startswith(("collect/", "tmp/"))}


def rooted(team: Team) -> set[str]:
    """What is left of the store when everything that nobody wants is gone."""
    team.run("gc", "--store", "team", *AT_ONCE)
    found = names(team)
    remove(team.store)
    shutil.copytree(team.folder / "first", team.store)
    return found


# R01


@pytest.mark.parametrize("fault", POINTS)
@pytest.mark.parametrize("nth", range(1, COUNTS.nth + 1) if COUNTS.nth else (1, 3))
def test_R01_killed_at_any_step_and_begun_again(team: Team, fault: str, nth: int) -> None:
    wanted = rooted(team)
    assert wanted < names(team)
    with nobody_stays():
        killed = team.run(
            "gc", "--store", "team", *AT_ONCE, environ={"ENVBUILD_FAULT": f"{fault}:kill:{nth}"}, code=None
        )
    if killed.code == 0:
        assert nth > 1, f"no collection reaches the fault point {fault}"
        pytest.skip(f"{fault} is passed fewer than {nth} times")
    assert killed.code == -signal.SIGKILL
    assert wanted <= names(team)
    team.run("pull", "team/everything:v1")
    team.run("gc", "--store", "team", *AT_ONCE)
    team.run("gc", "--store", "team", *AT_ONCE)
    assert names(team) == wanted
    team.another()
    team.close()
    team.lock("everything").write_bytes(team.locks["everything"])  # type: ignore[attr-defined]
    again_ = team.one("everything", "--locked")
    assert (again_["built"], again_["fetched"]) == (0, 0)
    assert not differences(team.tree("everything"), team.whole)  # type: ignore[attr-defined]
    count("kills of a collection of a shared store survived", 1, 1)


def test_what_a_killed_collection_left_is_not_relied_on(team: Team) -> None:
    """Closed and half deleted: who sends then makes nothing that names what goes, and says so; the next one sends."""
    team.lock("small").write_bytes(team.locks["small"])  # type: ignore[attr-defined]
    team.run("realize", "small.yaml", "--locked")
    team.lock("small").unlink()
    team.run("gc", "--store", "team", *AT_ONCE, environ={"ENVBUILD_FAULT": "store-gc-mid-sweep:kill:2"}, code=None)
    team.lock("small").write_bytes(team.locks["small"])  # type: ignore[attr-defined]
    refused = team.run("push", "small.yaml", "--to", "team", code=5)
    assert "being-collected" in refused.err
    team.run("gc", "--store", "team", *AT_ONCE)
    team.run("push", "small.yaml", "--to", "team")
    team.another()
    team.close()
    assert team.one("small", "--locked")["fetched"] == 0


# R09


def test_R09_realizes_and_pulls_beside_a_collector_that_never_rests(team: Team, counts: Counts) -> None:
    grace = str(8 / DAY)
    loop = "import subprocess, sys, time\nwhile True:\n  subprocess.run(sys.argv[1:], check=True)\n  time.sleep(0.05)"
    command = ["gc", "--store", "team", "--keep-days", "0", "--grace", grace, "--nobody-writes", "--quiet"]
    outside = team.folder / "outside"  # a project without locks: nothing there is a root
    outside.mkdir(exist_ok=True)
    collector = subprocess.Popen(
        [sys.executable, "-c", loop, sys.executable, "-m", "envbuild", *command],
        cwd=outside,
        env={**team.environ, "ENVBUILD_HOME": str(outside / "home")},  # another machine: ours is emptied every turn
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    done = 0
    try:
        for name, lock in team.locks.items():  # type: ignore[attr-defined]
            team.lock(name).write_bytes(lock)
        for turn in range(counts.collections):
            team.another()
            if turn % 2:
                team.run("pull", "team/everything:v1")
            else:
                team.run("realize", "small.yaml", "--locked")
                team.run("push", "small.yaml", code=None)
                found = team.one("everything", "--locked")
                assert (found["built"], found["fetched"]) == (0, 0), "it has a name, so it is there whole"
                assert not differences(team.tree("everything"), team.whole)  # type: ignore[attr-defined]
            done += 1
        assert collector.poll() is None, collector.stderr and collector.stderr.read()
    finally:
        collector.terminate()
        collector.communicate(timeout=30)
    for name in team.locks:  # type: ignore[attr-defined]
        team.lock(name).unlink()
    before = len(names(team))
    team.run("gc", "--store", "team", *AT_ONCE)
    team.run("gc", "--store", "team", *AT_ONCE)
    wanted = rooted(team)
    left = names(team)
    count("realizes and pulls beside a collector of their shared store that succeeded", done, counts.collections)
    count("objects without a root that a collector freed", len(left - wanted), len(left - wanted))
    assert before >= len(wanted)


class Crowd:
    """Writers, each of whose turns is a command, and collectors, on one store. Some environments are sent often.

    Attributes:
        grace: Seconds: longer than a writer's turn.
        failures: What nobody foresaw.
        pushed: Turns that sent an environment, ``refused``: that were told to come again, ``ended``: collections.
    """

    def __init__(self, objects: Objects, seed: int, seconds: float, grace: float) -> None:
        self.store = made(objects)
        self.grace = grace
        self.random = random.Random(seed)
        words = [f"package-{number}" for number in range(40)]
        self.pool = [stored(f"e{number}", *self.random.sample(words, 3)) for number in range(60)]
        self.named = self.pool[:2]
        for item in self.named:
            item.push(again(self.store))
            call(self.store, f"team/{item.name}:v1", item)
        self.end = time.monotonic() + seconds
        self.failures: list[BaseException] = []
        self.pushed = self.refused = self.ended = self.removed = self.slow = 0
        self.dangling: list[str] = []
        self._guard = threading.Lock()

    def run(self, writers: int, collectors: int) -> None:
        roles: list[Callable[[random.Random], None]] = [self.write] * writers + [self.collect] * collectors
        threads = [threading.Thread(target=self._turns, args=(role, number)) for number, role in enumerate(roles)]
        for thread in [*threads, threading.Thread(target=self._turns, args=(self.look, 99))]:
            thread.start()
        for thread in threads:
            thread.join()

    def _turns(self, role: Callable[[random.Random], None], number: int) -> None:
        chance = random.Random(number)
        try:
            while time.monotonic() < self.end and not self.failures:
                role(chance)
        except BaseException as error:
            self.failures.append(error)

    def write(self, chance: random.Random) -> None:
        item = self.pool[min(int(chance.expovariate(0.1)), len(self.pool) - 1)]
        began = time.monotonic()
        try:
            item.push(again(self.store))
        except UnreachableError as error:
            if error.reference != "being-collected":
                raise
            with self._guard:
                self.refused += 1
            time.sleep(0.05)
        else:
            with self._guard:
                self.pushed += 1
        if time.monotonic() - began > self.grace:
            self.slow += 1
        time.sleep(chance.uniform(0, 0.3))

    def collect(self, chance: random.Random) -> None:
        done = collect_store(again(self.store), Policy(days=chance.choice([0, 1]) / DAY, grace=self.grace / DAY))
        with self._guard:
            self.ended += done.removed.size > 0
            self.removed += done.removed.blobs
        time.sleep(chance.uniform(0, 0.2))

    def look(self, _: random.Random) -> None:
        """A closure that is there, and stays so, has everything that it needs."""
        for item in self.pool:
            for _attempt in range(4):
                lacks = self._lacks(item)
                if not lacks:
                    break
                time.sleep(0.3)
            else:
                self.dangling.append(f"{item.name} lacks {sorted(lacks)[0]}")
        time.sleep(0.1)

    def _lacks(self, item: Stored) -> set[str]:
        if not there(self.store, [item.closure]):
            return set()
        lacks = item.objects - there(self.store, item.objects)
        return lacks if there(self.store, [item.closure]) else set()

    def check(self) -> None:
        assert not self.failures, self.failures
        assert not self.slow, "a turn took longer than the grace, so this shows nothing"
        assert not self.dangling
        whole = [item for item in self.pool if not self._lacks(item)]
        assert len(whole) == len(self.pool)
        for item in self.named:
            assert there(self.store, item.objects) == item.objects
        assert self.pushed
        assert self.ended, "nothing was collected, so this shows nothing"
        for _ in range(2):
            collect_store(again(self.store), Policy(days=0, grace=0))
        wanted = set().union(*(item.objects for item in self.named))
        every = set().union(*(item.objects for item in self.pool))
        left = there(self.store, every)
        count(
            "environments of a shared store that lack nothing beside writers and collectors", len(whole), len(self.pool)
        )
        count("objects without a root that are gone when collectors are done", len(every - left), len(every - wanted))
        assert left == wanted


def at_once(open_store: Callable[[], Objects], seed: int, *, writers: int, collectors: int, grace: float) -> None:
    """A crowd, checked; with a longer grace when a turn took longer than it, for then nothing is promised, or when
    nobody came to the end of a collection, for then nothing is shown.
    """
    while True:
        crowd = Crowd(open_store(), seed, grace * (12 if COUNTS.full else 5), grace)
        crowd.run(writers, collectors)
        idle = not (crowd.ended or crowd.failures or crowd.dangling)
        if not (crowd.slow or idle) or grace > 60:
            crowd.check()
            return
        grace *= 3


@pytest.mark.parametrize("seed", range(COUNTS.rounds))
def test_R09_writers_and_collectors_at_once_leave_no_closure_without_its_blobs(tmp_path: Path, seed: int) -> None:
    stores = iter(range(10))
    at_once(
        lambda: FolderObjects(tmp_path / f"store-{next(stores)}", "fast"),
        seed,
        writers=6,
        collectors=2,
        grace=4 if COUNTS.full else 2,
    )


def test_R09_writers_and_collectors_at_once_in_a_bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve_objects("s3", tmp_path) as server:
        for name, value in server.environ.items():
            monkeypatch.setenv(name, value)
        at_once(
            lambda: open_objects(f"s3://{server.bucket()}/team"),
            1,
            writers=2,
            collectors=1,
            grace=10 if COUNTS.full else 4,
        )


def test_R09_who_reads_while_all_of_it_goes_finds_an_object_or_none(tmp_path: Path) -> None:
    store = made(FolderObjects(tmp_path / "store", "fast"))
    pool = [stored(f"e{number}", size=20_000) for number in range(40)]
    for item in pool:
        item.push(again(store))
    failures: list[BaseException] = []
    read = 0
    done = threading.Event()

    def reader(number: int) -> None:
        nonlocal read
        chance = random.Random(number)
        try:
            while not done.is_set():
                item = chance.choice(pool)
                mine = again(store)
                for result in item.results:
                    found = mine.result(result.kind, result.key)
                    assert found in (None, result)
                digest, data = chance.choice(list(item.blobs.items()))
                assert mine.objects.read(blob_name(digest)) in (None, data)
                mine.closure("linux-64", item.lock.request, item.environment.id)
                read += 1
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=reader, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    until = time.monotonic() + 60
    while read < 50 and not failures and time.monotonic() < until:
        time.sleep(0.01)
    before = read
    collect_store(again(store), Policy(days=0, grace=0))
    while read < before + 50 and not failures and time.monotonic() < until:
        time.sleep(0.01)
    done.set()
    for thread in threads:
        thread.join()
    assert not failures
    assert read >= before + 50 >= 100
    assert there(store, {name for item in pool for name in item.objects}) == set()


# R25


FAKETIME = shutil.which("faketime")


def skewed(team: Team, by: str) -> dict[str, str]:
    """Variables with which a command lives at another time; files, servers and the kernel do not."""
    if FAKETIME is None:
        pytest.skip("NO FAKETIME: this machine has no libfaketime (apt-get install faketime)")
    probe = subprocess.run(
        [FAKETIME, "-f", by, "env"], capture_output=True, text=True, env=team.environ, check=True
    ).stdout.splitlines()
    wanted = ("LD_PRELOAD=", "FAKETIME")
    return {
        **dict(line.split("=", 1) for line in probe if line.startswith(wanted)),
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME": by,
    }


def decided(team: Team, *flags: str, environ: dict[str, str]) -> dict:  # type: ignore[type-arg]
    """What a collection decides, without how long it took."""
    found = json.loads(team.run("gc", "--store", "team", "--json", *flags, environ=environ).out)
    assert isinstance(found, dict)
    found["due"] = None if found["due"] is None else round(found["due"] / 60)
    return found


@pytest.mark.parametrize("by", ["+25h", "-25h", "+400d"])
def test_R25_a_wrong_clock_decides_nothing(team: Team, by: str) -> None:
    wrong = skewed(team, by)
    said = team.run("lock", "--help", environ=wrong)
    assert said.code == 0
    now = subprocess.run(
        [sys.executable, "-c", "import time; print(time.time())"],
        env={**team.environ, **wrong}, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert abs(float(now) - time.time()) > 24 * 3600
    future = next(path for path in team.objects("blobs") if path.name not in "".join(rooted(team)))
    future = team.store / "blobs" / "sha256" / future.name[:2] / future.name
    os.utime(future, (time.time() + 25 * 3600,) * 2)
    before = names(team)
    tried = 0
    for flags in (
        ("--dry-run",),
        ("--dry-run", "--keep-days", "0"),
        ("--dry-run", "--keep-days", "2"),
        ("--keep-days", "1"),
    ):
        assert decided(team, *flags, environ=wrong) == decided(team, *flags, environ={})
        tried += 1
    assert names(team) == before, "young, by the store's clock"
    first = decided(team, "--keep-days", "0", environ=wrong)
    assert first["announced"] > 0
    assert first["due"] == 7 * 24 * 60
    again_ = decided(team, "--keep-days", "0", environ={})
    assert (again_["announced"], again_["removed"]["size"]) == (first["announced"], 0)
    assert decided(team, "--keep-days", "0", environ=wrong)["removed"]["size"] == 0
    assert names(team) == before
    mark = team.store / marks.MARK_NAME
    os.utime(mark, (time.time() - 8 * DAY,) * 2)
    for path in team.objects("blobs") + team.objects("environments"):
        if path != future:
            os.utime(path, (time.time() - 9 * DAY,) * 2)
    assert decided(team, "--keep-days", "0", environ=wrong)["removed"]["size"] > 0
    assert future.exists()
    assert rooted(team) <= names(team)
    count("decisions of a collection that a wrong clock did not change", tried + 4, tried + 4)
