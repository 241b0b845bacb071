"""Builds that are killed, that meet a full disk, that several processes want at once: one result, and nothing stays."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.faults.conftest import Mounts
from tests.faults.figures import count, worst
from tests.faults.world import World, differences, kill_group, nobody_stays, one_error
from tests.support.link_context import contents_of_processes
from tests.support.sdists import make_project

SLEEPER = f"sleep {100_000 + os.getpid()}"
"""What the backend leaves running; no other test process has the same."""

SLOW = f"""
def build_wheel(wheel_directory, config_settings=None, metadata_directory=None, _real=build_wheel):
    import time
    os.system("setsid {SLEEPER} & {SLEEPER} &")
    time.sleep(1.5)
    return _real(wheel_directory)
"""


WIDE = """
def build_wheel(wheel_directory, config_settings=None, metadata_directory=None, _real=build_wheel):
    try:
        with open("wide.bin", "wb") as stream:
            for _ in range(64):
                stream.write(os.urandom(1 << 20))
    except OSError as error:
        raise SystemExit(f"error: could not write wide.bin: {error.strerror}")
    os.unlink("wide.bin")
    return _real(wheel_directory)
"""


@pytest.fixture
def built(world: World) -> World:
    """The world with a recipe ``built`` of one folder, whose backend takes its time and starts what does not end."""
    project = world.project / "brewed"
    if not project.exists():
        make_project(project, "brewed", "1.0", static=True, more_backend=SLOW)
    world.recipe(
        "built",
        f"python: {world.series}\n" + world.conda_lines() + "pypi:\n  packages:\n    brewed: {path: ./brewed}\n",
    )
    return world


def nothing_of_it_runs(seconds: float = 10.0) -> None:
    """No backend, and nothing that one started, lives on."""
    deadline = time.monotonic() + seconds
    while True:
        left = [said for said in contents_of_processes().values() if SLEEPER in said]
        if not left:
            return
        assert time.monotonic() < deadline, left
        time.sleep(0.02)


def until_it_builds(process_id: int) -> None:
    """Wait for the backend of a command to be at work."""
    deadline = time.monotonic() + 30
    while not any(SLEEPER in said for said in contents_of_processes().values()):
        assert time.monotonic() < deadline, "the build never began"
        assert Path(f"/proc/{process_id}").exists()
        time.sleep(0.01)


def test_killed_when_the_wheel_is_there_and_not_yet_published(built: World) -> None:
    expected = built.clean("built")
    built.fresh()
    with nobody_stays():
        outcome = built.run("realize", "built.yaml", environ={"ENVBUILD_FAULT": "mid-wheel-build:kill"}, code=None)
    assert outcome.code == -signal.SIGKILL
    assert built.seconds_until_free() < 1
    nothing_of_it_runs()
    built.recovered("built", expected)
    count("kills at a named step survived", 1, 1)


def test_killed_while_the_backend_works(built: World) -> None:
    """Also what left its session ends: the kernel ends the whole namespace where there is one."""
    expected = built.clean("built")
    built.fresh()
    with nobody_stays():
        process = built.start("realize", "built.yaml")
        until_it_builds(process.pid)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate(timeout=30)
        worst("seconds until every lock is free after kill -9", built.seconds_until_free())
    nothing_of_it_runs()
    built.recovered("built", expected)
    count("kills at a random instant survived", 1, 1)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)])
def test_asked_to_end_while_the_backend_works(built: World, number: signal.Signals, code: int) -> None:
    expected = built.clean("built")
    built.fresh()
    with nobody_stays():
        process = built.start("realize", "built.yaml")
        until_it_builds(process.pid)
        kill_group(process, number)
        outcome = built.ended(process, ("realize", "built.yaml"), time.monotonic(), code)
    nothing_of_it_runs()
    assert "Traceback" not in outcome.err
    assert built.leftovers() == []
    built.recovered("built", expected)


def test_the_disk_is_full_when_the_wheel_is_published(built: World) -> None:
    expected = built.clean("built")
    built.fresh()
    outcome = built.run("realize", "built.yaml", environ={"ENVBUILD_FAULT": "mid-wheel-build:enospc"}, code=8)
    line = one_error(outcome)
    assert str(built.folder) in line
    assert built.leftovers() == []
    nothing_of_it_runs()
    built.run("realize", "built.yaml")
    assert not differences(built.tree("built"), expected)


def test_two_processes_want_one_build(built: World) -> None:
    expected = built.clean("built")
    built.fresh()
    with nobody_stays():
        both = [built.start("realize", "built.yaml") for _ in range(2)]
        outcomes = [built.ended(process, ("realize", "built.yaml"), time.monotonic(), 0) for process in both]
    done = [int(found[1]) if (found := re.search(r"(\d+) built", outcome.err)) else 0 for outcome in outcomes]
    assert sorted(done) == [0, 1], [outcome.err for outcome in outcomes]
    assert not differences(built.tree("built"), expected)
    assert built.leftovers() == []


def test_a_disk_that_is_full_while_the_backend_writes(built: World, mounted: Mounts) -> None:
    """Exit 8 with what the backend said, nothing half-written, and whole again when there is room."""
    make_project(built.project / "wide", "wide", "1.0", static=True, more_backend=WIDE)
    built.recipe(
        "wide", f"python: {built.series}\n" + built.conda_lines() + "pypi:\n  packages:\n    wide: {path: ./wide}\n"
    )
    built.run("realize", "wide.yaml")
    need = sum(path.stat().st_blocks * 512 for path in built.home.rglob("*") if path.is_file())
    built.fresh()
    mounted(built.home, "-t", "tmpfs", "-o", f"size={need + (16 << 20)},mode=700", "tmpfs")
    try:
        outcome = built.run("realize", "wide.yaml", code=8)
        assert outcome.err.startswith("error[no-space]: wide 1.0 was not built: "), outcome.err
        assert "No space left on device" in outcome.err
        assert "hint: run: envbuild gc" in outcome.err
        assert built.leftovers() == []
        assert not built.prefixes()
        subprocess.run(["mount", "-o", "remount,size=400m", str(built.home)], check=True)
        built.run("realize", "wide.yaml")
        assert "0 findings" in built.run("verify").err
    finally:
        mounted.end()
