"""Locks: who waits is told for whom, gives up in time, and never needs anybody to clean up after the dead."""

from __future__ import annotations

import os
import signal
import socket
import time

import pytest

from tests.faults.figures import worst
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
        outcome = world.run("realize", "small.yaml", environ={"ENVBUILD_LOCK_TIMEOUT": "3"}, code=7)
        assert 3 <= outcome.seconds < 10, outcome  # the start of Python is in it, on whatever machine
        assert "waited 3 s" in outcome.err
        worst("seconds until a waiter with a timeout of 3 s gave up", outcome.seconds)
        for text in (f"process {process.pid}", socket.gethostname(), "since 20", str(world.home / "locks")):
            assert text in outcome.err, outcome.err
        assert "ENVBUILD_LOCK_TIMEOUT" in outcome.err
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
