"""Names that many move at once, over stores that lose answers: no move is lost, none is done twice."""

from __future__ import annotations

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
from envbuild.objects import Put
from envbuild.objects.folder import FolderObjects
from envbuild.package import Platform
from envbuild.store.names import Named, current, history, move
from tests.case import CHECKOUT
from tests.faults.counts import COUNTS
from tests.faults.figures import count
from tests.support.name_objects import TableObjects

NAME = parse_name("team/x:stable")
WRITERS = 16
MOVES = 50 if COUNTS.full else 10
WRITER = """
import sys
from pathlib import Path
from envbuild.digest import digest_bytes
from envbuild.names import parse_name
from envbuild.objects.folder import FolderObjects
from envbuild.package import Platform
from envbuild.store.names import Named, current, move

writer, moves, name = int(sys.argv[2]), int(sys.argv[3]), parse_name(sys.argv[4])
objects = FolderObjects(Path(sys.argv[1]), "fast")
sys.stdin.readline()
for step in range(moves):
    named = Named(
        request=digest_bytes(b"%d %d" % (writer, step)), environments=((Platform("linux-64"), digest_bytes(b"x")),)
    )
    moved = move(objects, name, named)
    seen = current(objects, name)
    assert moved.written and seen is not None and seen.number >= moved.now.number
    print(moved.now.number, named.request)
"""


def named(number: int) -> Named:
    return Named(
        request=digest_bytes(b"%d" % number), environments=((Platform("linux-64"), digest_bytes(b"environment")),)
    )


@pytest.mark.parametrize("turn", range(COUNTS.rounds))
def test_R23_sixteen_processes_lose_nothing(tmp_path: Path, turn: int) -> None:
    store = tmp_path / f"store-{turn}"
    running = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(store), str(writer), str(MOVES), str(NAME)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        )
        for writer in range(WRITERS)
    ]
    for process in running:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    won = [line.split() for process in running for line in process.communicate(timeout=300)[0].splitlines()]
    assert [process.returncode for process in running] == [0] * WRITERS
    assert sorted(int(number) for number, _ in won) == list(range(1, WRITERS * MOVES + 1))
    now = current(FolderObjects(store), NAME)
    assert now is not None
    past = {str(item.number): item.named.request for item in history(FolderObjects(store), NAME, now)}
    assert past == dict(won)
    count("moves of one name by 16 processes at once that are kept, each once", len(past), WRITERS * MOVES)


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
