"""Damage on disk: every changed byte is found, named, and healed from the origin; without an origin it is an error."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.counts import TORTURE, Counts
from tests.faults.figures import count
from tests.faults.world import World, differences, remove


def flip(place: float) -> Callable[[Path, World], None]:
    def damage(path: Path, world: World) -> None:
        data = bytearray(path.read_bytes())
        data[int(place * (len(data) - 1))] ^= 0x01
        rewrite(path, bytes(data))

    return damage


def truncate(size: Callable[[int], int]) -> Callable[[Path, World], None]:
    def damage(path: Path, world: World) -> None:
        rewrite(path, path.read_bytes()[: size(path.stat().st_size)])

    return damage


def append(path: Path, world: World) -> None:
    rewrite(path, path.read_bytes() + b"\0")


def swap(path: Path, world: World) -> None:
    """The bytes of another blob, which are right under another name."""
    other = next(blob for blob in world.blobs().values() if blob.read_bytes() != path.read_bytes())
    rewrite(path, other.read_bytes())


def rewrite(path: Path, data: bytes) -> None:
    """Change a file in place, as broken disks and root do: same inode, same times."""
    before = path.stat()
    path.chmod(0o644)
    path.write_bytes(data)
    path.chmod(before.st_mode & 0o7777)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


BLOB_DAMAGE: dict[str, Callable[[Path, World], None]] = {
    "first byte": flip(0),
    "middle byte": flip(0.5),
    "last byte": flip(1),
    "empty": truncate(lambda size: 0),
    "one byte": truncate(lambda size: 1),
    "half": truncate(lambda size: size // 2),
    "one byte short": truncate(lambda size: size - 1),
    "one byte more": append,
    "another blob's bytes": swap,
}
RECIPES = ("small", "mixed") if TORTURE else ("small",)


def damaged_packages(world: World, name: str, how: str) -> list[Path]:
    """Realize, then damage every package of the recipe in the store."""
    world.run("realize", f"{name}.yaml")
    paths = [path for digest, path in world.blobs().items() if digest in world.packages(name)]
    assert len(paths) == len(world.packages(name))
    originals = {path: path.read_bytes() for path in paths}
    for path in paths:
        BLOB_DAMAGE[how](path, world)
    return [path for path in paths if path.read_bytes() != originals[path]]


def without_prefix_and_caches(world: World) -> None:
    for folder in ("prefixes", "cache", "stamps"):
        remove(world.home / folder)


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("how", BLOB_DAMAGE)
def test_a_damaged_package_is_found_and_healed(world: World, how: str, name: str) -> None:
    expected = world.clean(name)
    damaged = damaged_packages(world, name, how)
    assert damaged
    found = world.run("verify", code=4)
    for path in damaged:
        assert str(path) in found.out, f"{path} is not named\n{found.out}"
    count("corruptions of packages detected by verify", len(damaged), len(damaged))
    without_prefix_and_caches(world)
    world.server.forget()
    outcome = world.run("realize", f"{name}.yaml")
    assert not differences(world.tree(name), expected)
    files = {path: world.packages(name)[path.name] for path in damaged}
    idle = {file for file in files.values() if file.endswith(".tar.bz2")}  # what was made of it is linked, and is whole
    assert set(world.downloads()) == set(files.values()) - idle
    assert set(world.downloads().values()) == {1}
    assert outcome.err.count("was damaged") == len(damaged) - len(idle), outcome.err
    count("corruptions of packages healed by the next realize", len(damaged) - len(idle), len(damaged) - len(idle))
    if idle:
        world.run("verify", "--repair", code=4)
        count("corruptions of packages that no link reads, gone after verify --repair", len(idle), len(idle))
    assert "0 findings" in world.run("verify").err


@pytest.mark.parametrize("how", BLOB_DAMAGE if TORTURE else ["middle byte", "half", "another blob's bytes"])
def test_repair_brings_packages_again(world: World, how: str) -> None:
    expected = world.clean("small")
    damaged = damaged_packages(world, "small", how)
    world.run("verify", "--repair", code=4)
    assert "0 findings" in world.run("verify").err
    assert {path.name for path in damaged} <= set(world.blobs())
    assert not differences(world.tree("small"), expected)


def test_damage_without_an_origin_is_an_error_that_names_it(world: World) -> None:
    world.clean("small")
    damaged = damaged_packages(world, "small", "middle byte")
    without_prefix_and_caches(world)
    world.server.fault("/channel/*.conda", status=404, times=999)
    outcome = world.run("realize", "small.yaml", code=None)
    assert outcome.code in {4, 5}, outcome
    assert any(world.packages("small")[path.name] in outcome.err for path in damaged), outcome.err
    assert world.server.url in outcome.err
    assert not world.prefixes()
    world.server.forget()
    world.run("realize", "small.yaml")


def test_repair_without_an_origin_says_what_it_could_not_bring(world: World) -> None:
    world.clean("small")
    damaged = damaged_packages(world, "small", "first byte")
    world.server.fault("/channel/*.conda", status=404, times=999)
    outcome = world.run("verify", "--repair", code=None)
    assert outcome.code in {4, 5}, outcome
    assert any(world.packages("small")[path.name] in outcome.err for path in damaged), outcome.err
    world.server.forget()
    world.run("verify", "--repair", code=None)
    assert "0 findings" in world.run("verify").err


@pytest.mark.parametrize("how", ["middle byte", "half", "another blob's bytes"])
def test_a_damaged_result_costs_its_work_again(world: World, how: str) -> None:
    """Blobs that are no packages: what a solve found, what a link holds."""
    expected = world.clean("small")
    world.fresh(locks=True)
    world.run("realize", "small.yaml")
    others = [path for digest, path in world.blobs().items() if digest not in world.packages("small")]
    assert len(others) >= 2
    for path in others:
        BLOB_DAMAGE[how](path, world)
    found = world.run("verify", code=4).out
    assert all(str(path) in found for path in others)
    world.lock("small").unlink()
    without_prefix_and_caches(world)
    for _ in range(2):  # a result that is found damaged only while it is read is dropped, and made by the next run
        outcome = world.run("realize", "small.yaml", code=None)
        if outcome.code == 0:
            break
        assert outcome.code == 4, outcome
        assert "run it again" in outcome.err
    assert world.lock("small").read_bytes() == world.lock_bytes("small")
    assert not differences(world.tree("small"), expected)
    world.run("verify", "--repair", code=None)
    assert "0 findings" in world.run("verify").err


@pytest.mark.parametrize("text", [b"", b"{", b"\xff\xfe", b"[]", b'{"version": 2}'], ids=repr)
def test_a_damaged_record_costs_its_work_again(world: World, text: bytes) -> None:
    expected = world.clean("small")
    world.run("realize", "small.yaml")
    records = list((world.home / "store" / "results").glob("*/*/*.json"))
    assert records
    for path in records:
        rewrite(path, text)
    found = world.run("verify", code=4).out
    assert all(str(path) in found for path in records)
    without_prefix_and_caches(world)
    world.run("realize", "small.yaml")
    assert not differences(world.tree("small"), expected)


# Prefixes


def changed(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x20
    mode = path.stat().st_mode & 0o7777
    path.unlink()
    path.write_bytes(bytes(data))
    path.chmod(mode)


def written_through(path: Path) -> None:
    """Through every name that the file has: root is not stopped by mode 0444."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x20
    rewrite(path, bytes(data))


def replaced_by_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/hostname")


PREFIX_DAMAGE: dict[str, Callable[[Path], None]] = {
    "changed": changed,
    "written through a hard link": written_through,
    "deleted": Path.unlink,
    "chmod": lambda path: path.chmod(0o666),
    "replaced by a symbolic link": replaced_by_link,
    "something beside it": lambda path: path.with_name(f"{path.name}.extra").write_bytes(b"x") and None,
}


def victims(prefix: Path, number: int) -> list[Path]:
    """Files of a prefix: one of conda's, one of a wheel's, one that both sides rewrite, and some at random."""
    files = sorted(
        path
        for path in prefix.rglob("*")
        if path.is_file() and not path.is_symlink() and path.stat().st_size and "__pycache__" not in path.parts
    )
    chosen = {
        prefix / "share" / "data-files" / "where.txt",
        prefix / "share" / "data-files" / "sub" / "two.bin",
        prefix / "bin" / "tool-box",
        next(path for path in files if path.name == "data.bin"),
        next(path for path in files if path.parent.name == "conda-meta" and path.suffix == ".json"),
    }
    rest = [path for path in files if path not in chosen]
    return sorted(chosen) + random.Random(5).sample(rest, number)


@pytest.mark.parametrize("how", PREFIX_DAMAGE)
def test_a_damaged_prefix_is_found_and_repaired(world: World, counts: Counts, how: str) -> None:
    expected = world.clean("mixed")
    world.run("realize", "mixed.yaml")
    prefix = world.prefix("mixed")
    paths = victims(prefix, counts.files)
    for path in paths:
        PREFIX_DAMAGE[how](path)
    hurt = [path.split(":")[0] for path in differences(world.tree("mixed"), expected)]
    assert len(hurt) >= len(paths)
    found = world.run("verify", code=4).out
    missed = [path for path in hurt if str(prefix / path) not in found]
    assert not missed, f"{missed} of\n{found}"
    count("damaged files of prefixes found by verify", len(hurt), len(hurt))
    world.run("verify", "--repair", code=4)
    assert not differences(world.tree("mixed"), expected)
    assert "0 findings" in world.run("verify").err
    # What is linked next must not bring the damage back from a cache that shared the file.
    remove(prefix)
    remove(world.home / "stamps")
    world.run("realize", "mixed.yaml")
    assert not differences(world.tree("mixed"), expected)
    count("damaged prefixes repaired", 1, 1)
