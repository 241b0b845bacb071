"""Disks that are full, limited, read-only or nowhere: exit 8 with the path in one line, and whole again afterwards."""

from __future__ import annotations

import os
import resource
import subprocess
from pathlib import Path

import pytest

from tests.faults.conftest import Mounts
from tests.faults.counts import COUNTS, TORTURE
from tests.faults.figures import count
from tests.faults.world import World, differences, one_error, remove, tree_of

STEPS = COUNTS.sizes


def size_of(folder: Path) -> int:
    """Bytes on disk below a folder, each file once."""
    seen = {(path.lstat().st_dev, path.lstat().st_ino): path.lstat().st_blocks * 512 for path in folder.rglob("*")}
    return sum(seen.values())


@pytest.mark.parametrize("step", range(STEPS))
def test_a_full_disk(world: World, mounted: Mounts, step: int) -> None:
    """From 1 MiB to what is needed and a bit more."""
    expected = world.clean("mixed")
    world.run("realize", "mixed.yaml")
    need = size_of(world.home) * 1.1
    world.fresh(locks=step % 2 == 0)
    size = (1 << 20) + int((need - (1 << 20)) * step / (STEPS - 1))
    mounted(world.home, "-t", "tmpfs", "-o", f"size={size // 4096 * 4096},mode=700", "tmpfs")
    try:
        outcome = world.run("realize", "mixed.yaml", code=None)
        assert outcome.code in {0, 8}, outcome
        if outcome.code:
            line = one_error(outcome)
            assert str(world.home) in line, line
            assert "envbuild gc" in outcome.err
            assert not world.prefixes()
            assert not world.leftovers()
        else:
            assert not differences(world.tree("mixed"), expected)
        subprocess.run(["mount", "-o", "remount,size=256m", str(world.home)], check=True)
        assert "0 findings" in world.run("verify").err
        world.recovered("mixed", expected)
        count("disk sizes survived", 1, 1)
    finally:
        mounted.end()


@pytest.mark.parametrize("inodes", [60, 400, 1000] if TORTURE else [200])
def test_no_more_names(world: World, mounted: Mounts, inodes: int) -> None:
    expected = world.clean("mixed")
    mounted(world.home, "-t", "tmpfs", "-o", f"size=256m,nr_inodes={inodes},mode=700", "tmpfs")
    try:
        outcome = world.run("realize", "mixed.yaml", code=8)
        assert str(world.home) in one_error(outcome)
        assert not world.prefixes()
        subprocess.run(["mount", "-o", "remount,nr_inodes=100000", str(world.home)], check=True)
        world.recovered("mixed", expected)
    finally:
        mounted.end()


@pytest.mark.parametrize("limit", [0, 4096, 100_000, 1_000_000])
def test_a_limit_on_the_size_of_files(world: World, limit: int) -> None:
    expected = world.clean("mixed")

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    outcome = world.run("realize", "mixed.yaml", code=8, preexec_fn=limited)
    assert str(world.home) in one_error(outcome)
    assert not world.prefixes()
    assert not world.leftovers()
    world.recovered("mixed", expected)


def test_few_open_files(world: World) -> None:
    expected = world.clean("mixed")

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))

    world.fresh(locks=True)
    world.run("realize", "mixed.yaml", preexec_fn=limited)
    assert not differences(world.tree("mixed"), expected)
    assert "0 findings" in world.run("verify", preexec_fn=limited).err


def read_only(folder: Path, mounted: Mounts) -> None:
    mounted(folder, "--bind", str(folder))
    subprocess.run(["mount", "-o", "remount,ro,bind", str(folder)], check=True)
    if os.access(folder, os.W_OK):
        pytest.skip("NO READ-ONLY MOUNTS: the folder can be written all the same")


def test_a_read_only_home(world: World, mounted: Mounts) -> None:
    expected = world.clean("small")
    first = world.run("realize", "small.yaml")
    world.run("lock", "mixed.yaml")
    mixed = world.lock("mixed").read_bytes()
    read_only(world.home, mounted)
    again = world.run("realize", "small.yaml")
    assert again.out == first.out
    assert not differences(world.tree("small"), expected)
    for command in ("realize", "lock"):
        world.recipe("mixed", world.mixed() + "    idle-hands:\n")
        outcome = world.run(command, "mixed.yaml", code=8)
        assert str(world.home) in one_error(outcome)
    world.recipe("mixed", world.mixed())
    outcome = world.run("realize", "mixed.yaml", code=8)
    assert str(world.home) in one_error(outcome)
    assert world.lock("mixed").read_bytes() == mixed
    outcome = world.run("gc", code=8)
    assert str(world.home) in one_error(outcome)


def test_a_read_only_checkout(world: World, mounted: Mounts) -> None:
    """No link beside the recipe is a note, for the environment is there; no lock is an error."""
    expected = world.clean("small")
    read_only(world.project, mounted)
    outcome = world.run("realize", "small.yaml")
    assert not differences(tree_of(Path(outcome.out.strip())), expected)
    assert "no link" in outcome.err
    outcome = world.run("lock", "small.yaml", "--upgrade", code=None)
    assert outcome.code == 0, "a lock that comes out the same needs no writing"
    outcome = world.run("realize", "mixed.yaml", code=8)
    assert "mixed.lock.yaml" in one_error(outcome)


def test_no_home_at_all(world: World) -> None:
    """``HOME`` unset is no matter where ``ENVBUILD_HOME`` is set, and a usage error where nothing is."""
    expected = world.clean("mixed")
    saved = dict(world.environ)
    try:
        del world.environ["HOME"]
        world.run("realize", "mixed.yaml")
        assert not differences(world.tree("mixed"), expected)
        for name in ("ENVBUILD_HOME", "XDG_DATA_HOME"):
            del world.environ[name]
        outcome = world.run("realize", "mixed.yaml", code=2)
        assert "ENVBUILD_HOME" in outcome.err
    finally:
        world.environ.clear()
        world.environ.update(saved)


def test_a_home_below_a_file(world: World) -> None:
    world.clean("small")
    remove(world.home)
    world.home.write_text("a file")
    try:
        said = one_error(world.run("realize", "small.yaml", code=8))
        assert f"{world.home} is a file" in said
        assert "bytes are free" not in said
    finally:
        world.home.unlink()


def test_a_folder_for_temporary_files_that_cannot_be_used(world: World) -> None:
    expected = world.clean("mixed")
    world.fresh(locks=True)
    world.run("realize", "mixed.yaml", environ={"TMPDIR": "/proc"})
    assert not differences(world.tree("mixed"), expected)
    assert world.lock("mixed").read_bytes() == world.lock_bytes("mixed")
