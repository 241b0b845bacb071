"""Locks: who waits is told for whom, gives up in time, and never needs anybody to clean up after the dead."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from envbuild.machine.kernel_lock import KernelLock
from tests.case import CHECKOUT
from tests.faults.counts import COUNTS
from tests.faults.figures import count, worst
from tests.faults.world import World, kill_group


def test_a_holder_that_is_stopped_is_named(world: World) -> None:
    world.run("lock", "small.yaml")
    process = world.start("realize", "small.yaml", environ={"ENVBUILD_FAULT": "pre-prefix-rename:sleep=60000"})
    try:
        deadline = time.monotonic() + 30
        while not any(path.name.startswith("prefix-") for path in (world.home / "locks").glob("*")):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGSTOP)
        outcome = world.run("realize", "small.yaml", environ={"ENVBUILD_LOCK_TIMEOUT": "6"}, code=7)
        assert 6 <= outcome.seconds < 13, outcome  # the start of Python is in it, on whatever machine
        assert "waited 6 s" in outcome.err
        assert "waiting for " in outcome.err, "said after 5 s, not only at the end"
        worst("seconds until a waiter with a timeout of 6 s gave up", outcome.seconds)
        for text in (f"process {process.pid}", socket.gethostname(), "since 20", str(world.home / "locks")):
            assert text in outcome.err, outcome.err
        assert "ENVBUILD_LOCK_TIMEOUT" in outcome.err
        count("waiters for a stopped process: exit 7 in time, with process, host, since and path", 1, 1)
    finally:
        kill_group(process)
        process.communicate(timeout=30)
    assert world.seconds_until_free() < 1
    world.run("realize", "small.yaml")


def test_a_collector_waits_for_users_no_longer_than_it_is_told(world: World) -> None:
    world.run("lock", "small.yaml")
    process = world.start("realize", "small.yaml", environ={"ENVBUILD_FAULT": "pre-prefix-rename:sleep=60000"})
    try:
        deadline = time.monotonic() + 30
        while not any(path.name.startswith("prefix-") for path in (world.home / "locks").glob("*")):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        outcome = world.run("gc", environ={"ENVBUILD_LOCK_TIMEOUT": "1"}, code=7)
        assert outcome.seconds < 5
        assert f"process {process.pid}" in outcome.err
    finally:
        kill_group(process)
        process.communicate(timeout=30)


@pytest.mark.parametrize("text", ["-1", "soon", ""])
def test_a_timeout_that_is_no_number(world: World, text: str) -> None:
    world.run("lock", "small.yaml")
    outcome = world.run("realize", "small.yaml", environ={"ENVBUILD_LOCK_TIMEOUT": text}, code=None)
    assert outcome.code == (2 if text else 0), outcome


ALONE = """
import os, sys
from pathlib import Path
from envbuild.machine.kernel_lock import KernelLock
folder, turns = Path(sys.argv[1]), int(sys.argv[2])
for _ in range(turns):
    with KernelLock(folder / "locks" / "lock", timeout=240):
        marker = os.open(folder / "marker", os.O_CREAT | os.O_EXCL)   # a second holder would fail here
        os.close(marker)
        with open(folder / "turns", "a") as stream:
            stream.write("x")
        os.unlink(folder / "marker")
"""
HOLDERS = 8
TURNS = 1000 if COUNTS.full else 100


@pytest.mark.parametrize("what", ["the file", "its folder"])
def test_R11_there_are_never_two_holders_whatever_is_removed_while_they_wait(tmp_path: Path, what: str) -> None:
    """As ``gc`` removes a lock file (holding it), and as somebody removes a home: the folder is made anew."""
    environ = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    command = [sys.executable, "-c", ALONE, str(tmp_path), str(TURNS // HOLDERS)]
    running = [subprocess.Popen(command, env=environ) for _ in range(HOLDERS)]
    path = tmp_path / "locks" / "lock"
    removed = 0
    while any(process.poll() is None for process in running):
        lock = KernelLock(path, timeout=0)
        if lock.try_acquire():
            path.unlink() if what == "the file" else shutil.rmtree(path.parent)
            removed += 1
            lock.release()
        time.sleep(0.001)
    assert [process.wait() for process in running] == [0] * HOLDERS
    turns = len((tmp_path / "turns").read_text())
    assert turns == TURNS // HOLDERS * HOLDERS
    assert removed
    count("turns of 8 holders of a lock whose file or folder is removed all the while, one at a time", turns, turns)
