"""Killed at every named step, at any instant, and asked to end: the next realize is as if nothing had happened."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from envbuild.faults import FAULTS
from tests.faults.counts import COUNTS, Counts
from tests.faults.figures import count, worst
from tests.faults.world import World, children, command_of, differences, kill_group, nobody_stays, one_error

BUILDS = {"mid-wheel-build"}
"""Points of builds from source, which ``test_builds`` passes."""
STORES = {"mid-upload", "post-blobs-pre-record"}
"""Points of shared stores, which ``tests/flows/test_shared_stores.py`` passes."""
NAMES = {"pre-name-put", "post-name-put"}
"""Points of names, which ``tests/flows/test_named.py`` passes."""
COLLECTIONS = {name for name in FAULTS if name.startswith("store-gc-")}
"""Points of collections of shared stores, which ``test_store_gc`` passes."""
POINTS = tuple(name for name in FAULTS if name not in BUILDS | STORES | NAMES | COLLECTIONS)
SCENARIO = {
    name: ("gc", "--keep-days", "0") if name.startswith("gc-") else ("realize", "mixed.yaml") for name in POINTS
}
TIMES = {"tmp-created": (1, 4), "pre-fsync": (1, 3), "pre-rename": (1, 2, 6), "post-rename-pre-result": (1, 5),
         "lock-taken": (1, 3), "post-prefix-rename-pre-root": (1, 2)}  # fmt: skip
CASES = [
    pytest.param(name, nth, marks=pytest.mark.xdist_group(f"kills at {name}"))  # what one process finds out serves all
    for name in POINTS
    for nth in (range(1, COUNTS.nth + 1) or TIMES.get(name, (1,)))
]
ROUND = 10
"""Random kills of one test."""
NOTHING_WRITTEN = {"lock-taken", "mid-solve", "pre-stamp", "gc-post-mark", "gc-mid-sweep"}
"""Steps at which no file is being written, so that an error there can name none."""
NEVER: dict[str, int] = {}
"""How often a point is passed by no scenario, as far as this process has found out."""


def killed_at(world: World, fault: str, nth: int, *arguments: str) -> bool:
    """Run a command that a fault point kills; False when it came to its end, because the point is passed less often."""
    with nobody_stays():
        outcome = world.run(*arguments, environ={"ENVBUILD_FAULT": f"{fault}:kill:{nth}"}, code=None)
        if outcome.code == 0:
            return False
        assert outcome.code == -signal.SIGKILL, outcome
        seconds = world.seconds_until_free()
    assert seconds < 1
    worst("seconds until every lock is free after kill -9", seconds)
    return True


@pytest.mark.parametrize(("fault", "nth"), CASES, ids=lambda value: str(value))
def test_killed_at_a_named_step(world: World, fault: str, nth: int) -> None:
    if nth >= NEVER.get(fault, nth + 1):
        pytest.skip(f"{fault} is passed fewer than {nth} times")
    expected = world.clean("mixed")
    command = SCENARIO[fault]
    if command[0] == "gc":
        world.run("realize", "small.yaml", "--no-out-link")
        world.run("realize", "mixed.yaml")
    else:
        world.fresh(locks=True)
    if not killed_at(world, fault, nth, *command):
        NEVER[fault] = nth
        assert nth > 1, f"no scenario reaches the fault point {fault}"
        pytest.skip(f"{fault} is passed fewer than {nth} times")
    assert not world.lock("mixed").exists() or world.lock("mixed").read_bytes() == world.lock_bytes("mixed")
    world.recovered("mixed", expected, stored=frozenset(world.blobs()))
    count("kills at a named step survived", 1, 1)


@pytest.mark.parametrize("fault", ["tmp-created", "mid-download", "mid-link", "pre-prefix-rename"])
def test_the_next_realize_removes_what_a_killed_one_left(world: World, fault: str) -> None:
    expected = world.clean("mixed")
    assert killed_at(world, fault, 1, "realize", "mixed.yaml")
    assert world.leftovers(), "the kill left nothing, so this shows nothing"
    world.run("realize", "mixed.yaml")
    assert world.leftovers() == []
    assert not differences(world.tree("mixed"), expected)


HOLDER = """
import sys
from pathlib import Path
from envbuild.machine.publish import Incoming
from envbuild.machine.temporary import scratch_folder
home = Path(sys.argv[1])
with scratch_folder(home / "tmp") as folder, Incoming(home / "store" / "tmp") as incoming:
    (folder / "work").write_text("under way")
    incoming.write(b"under way")
    print(folder, f"{folder}.hold", incoming.path, flush=True)
    sys.stdin.read()
    assert (folder / "work").read_text() == "under way" and incoming.path.read_bytes() == b"under way"
"""


def test_what_a_living_process_is_writing_is_not_swept(world: World) -> None:
    world.clean("small")
    dead = world.home / "tmp" / "00112233aabb"
    argv = [sys.executable, "-c", HOLDER, str(world.home)]
    with subprocess.Popen(argv, env=world.environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        alive = holder.stdout.readline().split()
        (dead / "deep").mkdir(parents=True)
        (dead / "deep").chmod(0o500)
        world.run("realize", "small.yaml")
        assert not dead.exists()
        assert sorted(str(world.folder / item) for item in world.leftovers()) == sorted(alive)
        holder.stdin.close()
        assert holder.wait() == 0
    assert world.leftovers() == []


@pytest.mark.parametrize("fault", POINTS)
def test_the_disk_fails_at_a_named_step(world: World, fault: str) -> None:
    """``ENOSPC`` anywhere is exit 8 with a place, leaves nothing behind, and costs the next run nothing but time."""
    expected = world.clean("mixed")
    if SCENARIO[fault][0] == "gc":
        world.run("realize", "small.yaml", "--no-out-link")
        world.run("realize", "mixed.yaml")
    else:
        world.fresh(locks=True)
    outcome = world.run(*SCENARIO[fault], environ={"ENVBUILD_FAULT": f"{fault}:enospc"}, code=8)
    line = one_error(outcome)
    assert "No space left on device" in line or "the disk is full" in line, line
    assert str(world.folder) in line or fault in NOTHING_WRITTEN, line
    assert world.leftovers() == []
    world.run("realize", "mixed.yaml")
    assert not differences(world.tree("mixed"), expected)
    count("full disks at a named step survived", 1, 1)


def test_every_name_of_a_fault_point_is_reached_in_the_code() -> None:
    """The list and the calls agree; that each is passed by a scenario is what the test above shows."""
    source = "\n".join(path.read_text() for path in Path(__file__).parents[2].joinpath("envbuild").rglob("*.py"))
    assert set(re.findall(r'\breach\("([a-z-]+)"\)', source)) == set(FAULTS)


@pytest.mark.parametrize("first", range(0, COUNTS.kills, ROUND))
def test_killed_at_any_instant(world: World, counts: Counts, first: int) -> None:
    expected = world.clean("mixed")
    world.fresh(locks=True)
    whole = world.run("realize", "mixed.yaml").seconds
    chance = random.Random(20_240_501 + first)
    for _ in range(min(ROUND, counts.kills - first)):
        world.fresh(locks=chance.random() < 0.5)
        with nobody_stays():
            process = world.start("realize", "mixed.yaml")
            time.sleep(chance.uniform(0.02, whole * 1.05))
            kill_group(process)
            process.communicate(timeout=30)
            seconds = world.seconds_until_free()
        assert seconds < 1
        worst("seconds until every lock is free after kill -9", seconds)
        world.recovered("mixed", expected, stored=frozenset(world.blobs()))
        count("kills at a random instant survived", 1, 1)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_asked_to_end_at_any_instant(world: World, counts: Counts, number: signal.Signals, code: int) -> None:
    expected = world.clean("mixed")
    world.fresh(locks=True)
    whole = world.run("realize", "mixed.yaml").seconds
    chance = random.Random(7 + number)
    for _ in range(counts.signals):
        world.fresh(locks=chance.random() < 0.5)
        with nobody_stays():
            began = time.monotonic()
            process = world.start("realize", "mixed.yaml")
            time.sleep(chance.uniform(0.15, whole))
            asked = time.monotonic()
            process.send_signal(number)
            outcome = world.ended(process, ("realize", "mixed.yaml"), began, None)
            took = time.monotonic() - asked
        assert outcome.code in {0, code, -number}, outcome
        assert took < 5
        worst(f"seconds to end after {number.name}", took)
        world.seconds_until_free(1)
        world.recovered("mixed", expected, stored=frozenset(world.blobs()))
        count(f"{number.name} at a random instant survived", 1, 1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_asked_to_end_while_a_download_stands_still(world: World, number: signal.Signals) -> None:
    expected = world.clean("mixed")
    world.server.fault("*bulky*.whl", cut_after=1000, stall=60, times=9)
    with nobody_stays():
        began = time.monotonic()
        process = world.start("realize", "mixed.yaml")
        while not world.server.count("*bulky*.whl"):
            assert time.monotonic() - began < 30
            time.sleep(0.02)
        time.sleep(0.3)
        asked = time.monotonic()
        process.send_signal(number)
        outcome = world.ended(process, ("realize", "mixed.yaml"), began, 128 + number)
    assert time.monotonic() - asked < 5
    assert len(outcome.err.splitlines()) < 8
    world.recovered("mixed", expected, stored=frozenset(world.blobs()))


@pytest.mark.parametrize("engine", ["solvers/rattler_child.py", "linkers/rattler_child.py", "/uv"])
def test_a_child_of_ours_is_killed(world: World, engine: str) -> None:
    """An engine that is killed under us costs a second try or a clear error, never a wrong prefix."""
    expected = world.clean("mixed")
    world.fresh(locks=engine.startswith("solvers"))
    with nobody_stays():
        began = time.monotonic()
        process = world.start("realize", "mixed.yaml")
        killed = 0
        while process.poll() is None and not killed:
            for pid in children(process.pid):
                words = command_of(pid)
                if engine in words and (engine != "/uv" or " install " in words):
                    os.kill(pid, signal.SIGKILL)
                    killed += 1
        outcome = world.ended(process, ("realize", "mixed.yaml"), began, None)
    assert killed, "the engine was never seen"
    assert outcome.code in {0, 5 if engine.startswith("solvers") else 9}, outcome
    if outcome.code:
        assert "error[link-failed]" in outcome.err or "error[solver-failed]" in outcome.err, outcome
        assert not world.prefixes()
    world.recovered("mixed", expected, stored=frozenset(world.blobs()))
    count("killed engines survived", 1, 1)


def test_killed_while_repairing(world: World, counts: Counts) -> None:
    """Between the damaged tree's going and the good one's coming there may be none: then the next realize makes it."""
    expected = world.clean("mixed")
    world.run("realize", "mixed.yaml")
    chance = random.Random(3)
    victim = world.prefix("mixed") / "share" / "data-files" / "one.txt"
    for _ in range(max(3, counts.signals)):
        victim.unlink()
        victim.write_text("damaged\n")
        with nobody_stays():
            process = world.start("verify", "--repair")
            time.sleep(chance.uniform(0.3, 2.0))
            kill_group(process)
            process.communicate(timeout=30)
        assert world.seconds_until_free() < 1
        world.run("verify", "--repair", code=None)
        world.recovered("mixed", expected)
        count("kills of a repair survived", 1, 1)
