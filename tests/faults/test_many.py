"""Many processes at once: one download for all, one prefix, the same answer, with and without a collector at work."""

from __future__ import annotations

import fcntl
import random
import subprocess
import sys
import time

from tests.faults.counts import Counts
from tests.faults.figures import count, worst
from tests.faults.world import Outcome, World, differences, kill_group, nobody_stays

PROCESSES = 16


def all_at_once(world: World, commands: list[tuple[str, ...]]) -> list[Outcome]:
    """Start every command, then wait for all; each must end well."""
    began = time.monotonic()
    started = [(world.start(*arguments), arguments) for arguments in commands]
    return [world.ended(process, arguments, began, 0) for process, arguments in started]


def test_sixteen_processes_realize_one_recipe(world: World, counts: Counts) -> None:
    expected = world.clean("mixed")
    for number in range(counts.rounds):
        world.fresh(locks=number == 0)
        with nobody_stays():
            outcomes = all_at_once(world, [("realize", "mixed.yaml")] * PROCESSES)
        assert {item.out for item in outcomes} == {f"{world.prefix('mixed')}\n"}
        assert not differences(world.tree("mixed"), expected)
        assert world.lock("mixed").read_bytes() == world.lock_bytes("mixed")
        downloads = world.downloads()
        assert set(downloads) == set(world.packages("mixed").values())
        assert set(downloads.values()) == {1}, downloads
        assert len(world.prefixes()) == 1
        assert not world.leftovers()
        count("processes of 16-way realizes that succeeded", len(outcomes), PROCESSES)
        worst("duplicate downloads in a 16-way realize", sum(downloads.values()) - len(downloads))
    assert "0 findings" in world.run("verify").err


def test_what_a_killed_process_left_of_a_lock_goes_with_gc(world: World) -> None:
    """Another process wrote the lock meanwhile, so that nobody has to write it again: only ``gc`` comes by."""
    world.clean("mixed")
    world.run("realize", "mixed.yaml")
    names = (".mixed.lock.yaml.7.tmp", ".b.yaml.8.tmp", ".b.toml.9.tmp")
    dead, living, other = (world.project / name for name in names)
    for path in (dead, living, other):
        path.write_text("half a lock")
    with living.open("rb") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        world.run("gc", "--dry-run")
        assert dead.exists()
        world.run("gc")
    assert [path.exists() for path in (dead, living, other)] == [False, True, True]
    for path in (living, other):
        path.unlink()


def test_two_recipes_share_their_packages(world: World) -> None:
    world.recipe("other", world.mixed().replace("    bulky:\n", "    idle-hands:\n"))
    for name in ("mixed", "other"):
        world.run("lock", f"{name}.yaml")
    world.fresh()
    all_at_once(world, [("realize", f"{name}.yaml") for name in ("mixed", "other")] * 3)
    downloads = world.downloads()
    assert set(downloads.values()) == {1}, downloads
    assert len(world.prefixes()) == 2
    (world.project / "other.yaml").unlink()
    assert "0 findings" in world.run("verify").err


def test_one_command_for_two_recipes_fetches_once(world: World) -> None:
    world.recipe("other", world.small() + "    old-md5:\n")
    world.run("realize", "small.yaml", "other.yaml")
    assert set(world.downloads().values()) == {1}
    assert len(world.prefixes()) == 2
    (world.project / "other.yaml").unlink()


def test_some_of_many_are_killed(world: World, counts: Counts) -> None:
    """Who waits for a process that dies takes over what it left undone."""
    expected = world.clean("mixed")
    chance = random.Random(11)
    for _ in range(counts.rounds):
        world.fresh(locks=True)
        with nobody_stays():
            began = time.monotonic()
            started = [world.start("realize", "mixed.yaml") for _ in range(8)]
            doomed = started[:4]
            for process in doomed:
                time.sleep(chance.uniform(0, 0.8))
                kill_group(process)
            for process in doomed:
                process.communicate(timeout=60)
            for process in started[4:]:
                world.ended(process, ("realize", "mixed.yaml"), began, 0)
        world.recovered("mixed", expected, stored=frozenset(world.blobs()))
        count("processes that went on while others beside them were killed", 4, 4)


def test_realizing_while_a_collector_never_rests(world: World, counts: Counts) -> None:
    """``gc --keep-days 0`` in a loop: what is realized is whole, and rooted prefixes stay."""
    expected = world.clean("small")
    mixed = world.clean("mixed")
    world.run("realize", "mixed.yaml")
    loop = "import subprocess, sys, time\nwhile True:\n  subprocess.run(sys.argv[1:], check=True)\n  time.sleep(0.05)"
    collector = subprocess.Popen(
        [sys.executable, "-c", loop, sys.executable, "-m", "envbuild", "gc", "--keep-days", "0", "--quiet"],
        cwd=world.project,
        env=world.environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        for _ in range(counts.collections):
            world.run("realize", "small.yaml")
            assert not differences(world.tree("small"), expected)
            (world.project / ".envs" / "small").unlink()
        assert collector.poll() is None, collector.stderr and collector.stderr.read()
    finally:
        collector.terminate()
        collector.communicate(timeout=30)
    assert not differences(world.tree("mixed"), mixed)
    world.run("gc", "--keep-days", "0")
    assert world.prefixes() == [world.prefix("mixed")]
    assert set(world.packages("mixed")) <= set(world.blobs())
    assert "0 findings" in world.run("verify").err
    assert not world.leftovers()
    count("realizes beside a collector that succeeded", counts.collections, counts.collections)
