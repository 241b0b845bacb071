"""Names that many move at once, over stores that lose answers: no move is lost, none is done twice."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from envbuild.digest import digest_bytes
from envbuild.errors import UnreachableError
from envbuild.names import parse_name
from envbuild.objects import Objects, Put
from envbuild.objects.folder import FolderObjects
from envbuild.package import Platform
from envbuild.store.generation import Named
from envbuild.store.names import current, history, move
from tests.case import CHECKOUT
from tests.faults.counts import COUNTS, Counts
from tests.faults.crowd import Gate
from tests.faults.figures import count
from tests.faults.world import one_error
from tests.flows.test_shared_clouds import CloudTeam, cloud
from tests.objects.conftest import CLOUDS, Place, everywhere, place
from tests.support.name_objects import TableObjects

__all__ = ["cloud", "place"]

NAME = parse_name("team/x:stable")
WRITERS = 16
MOVES = COUNTS.moves
WRITER = """
import sys
from envbuild.digest import digest_bytes
from envbuild.names import parse_name
from envbuild.objects.opening import open_objects
from envbuild.objects.retrying import Patience
from envbuild.package import Platform
from envbuild.store.generation import Named
from envbuild.store.names import current, move

writer, moves, name = int(sys.argv[2]), int(sys.argv[3]), parse_name(sys.argv[4])
# a machine that is too busy to answer loses no move either: that is another test
objects = open_objects(sys.argv[1], durability="fast", stall=120, patience=Patience(deadline=900, attempts=30))
current(objects, name)
print("ready", flush=True)
sys.stdin.readline()
known = None
for step in range(moves):
    named = Named(
        request=digest_bytes(b"%d %d" % (writer, step)), environments=((Platform("linux-64"), digest_bytes(b"x")),)
    )
    moved = move(objects, name, named, seen=known)
    known = current(objects, name, moved.now)
    assert moved.written and known is not None and known.number >= moved.now.number
    print(moved.now.number, named.request)
"""


def named(number: int) -> Named:
    return Named(
        request=digest_bytes(b"%d" % number), environments=((Platform("linux-64"), digest_bytes(b"environment")),)
    )


def moved_by_many(objects: Objects, *urls: str, writers: int = WRITERS) -> int:
    """Have processes move one name; how many generations it has, of which each is one that a process was told of."""
    running = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, urls[writer % len(urls)], str(writer), str(MOVES), str(NAME)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        )
        for writer in range(writers)
    ]
    try:
        for process in running:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in running:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        won = [line.split() for process in running for line in process.communicate(timeout=3000)[0].splitlines()]
    finally:
        for process in running:
            process.kill()
    assert [process.returncode for process in running] == [0] * writers
    assert sorted(int(number) for number, _ in won) == list(range(1, writers * MOVES + 1))
    now = current(objects, NAME)
    assert now is not None
    past = {str(item.number): item.named.request for item in history(objects, NAME, now)}
    assert past == dict(won)
    return len(past)


@pytest.mark.parametrize("turn", range(COUNTS.rounds))
def test_R23_sixteen_processes_lose_nothing(tmp_path: Path, turn: int) -> None:
    store = tmp_path / f"store-{turn}"
    kept = moved_by_many(FolderObjects(store), f"file://{store}")
    count("moves of one name by 16 processes at once that are kept, each once", kept, WRITERS * MOVES)


@everywhere(*CLOUDS)
def test_R23_sixteen_processes_lose_nothing_in_a_cloud(place: Place) -> None:
    writers = WRITERS if COUNTS.full else 5
    kept = moved_by_many(place.open(), place.url, writers=writers)
    count(f"moves of one name by 16 processes at once that are kept, each once, {place.kind}", kept, writers * MOVES)


@pytest.mark.parametrize("cloud", ["s3"], indirect=True)
def test_R23_who_expected_another_generation_is_told_what_there_is(cloud: CloudTeam, counts: Counts) -> None:
    """Of many who move a name from the generation that all saw, one does; the others exit 6 with what it means."""
    for name in ("small", "mixed"):
        cloud.run("lock", f"{name}.yaml")
    for turn in range(counts.rounds):
        writers = counts.processes
        with Gate(cloud) as gate:
            for writer in range(writers):
                recipe = "small" if (writer + turn) % 2 else "mixed"
                home = {"ENVBUILD_HOME": str(cloud.folder / "writers" / str(writer))}
                gate.start("alias", f"{recipe}.yaml", str(NAME), "--expect", str(turn), environ=home)
            outcomes = gate.open(code=None)
        (meaning,) = json.loads(cloud.run("get", str(NAME), "--json").out)["environments"].values()
        moved = [outcome for outcome in outcomes if "is generation" in outcome.err]
        same = [outcome for outcome in outcomes if outcome.code == 0 and outcome not in moved]
        losers = [outcome for outcome in outcomes if outcome.code]
        assert (len(moved), len(moved) + len(same) + len(losers)) == (1, writers)
        for outcome in losers:
            assert outcome.code == 6
            assert f"is at generation {turn + 1} (" in one_error(outcome)
            assert meaning[:12] in one_error(outcome)
        count("processes that expected another generation and were told what there is", len(losers), len(losers))
    assert f"{counts.rounds} generation" in cloud.run("history", str(NAME)).err


class Flaky(TableObjects):
    """Loses every third answer of a put, drops some puts, and says of some that they exist which it has just made."""

    def __init__(self, seed: int) -> None:
        super().__init__(f"memory://flaky-{seed}")
        self._random = random.Random(seed)
        self._turn = threading.Lock()

    def put(self, name: str, source: Path | bytes) -> Put:
        with self._turn:
            fault = self._random.choice(["lose", "drop", "double", "none", "none"])
        if fault == "drop":
            raise UnreachableError("the put did not arrive", retryable=True)
        told = super().put(name, source)
        if fault == "lose":
            raise UnreachableError("the answer was lost", retryable=True)
        return "exists" if fault == "double" else told


@pytest.mark.parametrize("seed", range(COUNTS.rounds))
def test_R18_answers_that_are_lost_lose_no_move_and_make_none_twice(seed: int) -> None:
    objects = Flaky(seed)
    done: list[int] = []
    failed: list[int] = []
    barrier = threading.Barrier(WRITERS)

    def write(writer: int) -> None:
        barrier.wait()
        for step in range(MOVES):
            number = writer * 1000 + step
            try:
                assert move(objects, NAME, named(number)).written
                done.append(number)
            except UnreachableError:
                failed.append(number)

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed
    assert len(done) + len(failed) == WRITERS * MOVES
    now = current(objects, NAME)
    assert now is not None
    past = [item.named for item in history(objects, NAME, now)]
    assert now.number == len(past) == len(done)
    assert set(past) == {named(number) for number in done}
    count("moves whose answers a store lost, kept once when they arrived and refused when not", len(past), len(done))
