"""Loss of power while engines unpack: what they had unpacked is not linked later, for nothing tells what is torn."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.figures import count
from tests.faults.world import World, differences, remove

MARKS = "cache/unsynced"

pytestmark = pytest.mark.skipif(
    not Path("/proc/sys/kernel/random/boot_id").is_file(),
    reason="NO BOOT ID: this system does not tell its boots apart",
)


def marks(world: World) -> list[Path]:
    return sorted((world.home / MARKS).glob("*"))


def torn(world: World) -> int:
    """Leave the engines' caches as a file system may after a loss of power: names, and nothing in the files."""
    cache = world.home / "cache"
    unpacked = [*(cache / "rattler" / "packages").rglob("*"), *cache.glob("uv/archive-v*/**/*")]
    hurt = [
        path
        for path in unpacked
        if "info" not in path.parts and path.is_file() and not path.is_symlink() and path.stat().st_size
    ]
    for path in hurt:
        path.chmod(0o644)
        path.write_bytes(b"")
    return len(hurt)


def another_boot(world: World) -> None:
    """The machine has stopped since the marks were made."""
    for mark in marks(world):
        machine, _, by = mark.name.split(".")
        mark.rename(mark.with_name(f"{machine}.00000000-0000-4000-8000-000000000000.{by}"))


@pytest.mark.parametrize("point", ["mid-link", "pre-prefix-rename"])
def test_what_was_not_synced_when_the_machine_stopped_is_unpacked_again(world: World, point: str) -> None:
    expected = world.clean("mixed")
    world.run("realize", "mixed.yaml", environ={"ENVBUILD_FAULT": f"{point}:kill"}, code=-9)
    assert len(marks(world)) == 1
    another_boot(world)
    hurt = torn(world)
    assert hurt
    said = world.run("realize", "mixed.yaml").err
    assert "the machine stopped before what engines had unpacked was on the disk" in said
    assert not differences(world.tree("mixed"), expected)
    assert "0 findings" in world.run("verify").err
    assert not marks(world)
    assert not list((world.home / "tmp").glob("*/*"))  # what was thrown away is gone
    count("files of engines' caches that a loss of power may have torn", hurt, hurt)


def test_torn_caches_of_this_boot_are_what_would_be_linked(world: World) -> None:
    """The damage of the test above is one: without a mark nobody sees it but ``verify``."""
    expected = world.clean("small")
    world.run("realize", "small.yaml")
    assert not marks(world)
    assert torn(world)
    for folder in ("prefixes", "stamps"):
        remove(world.home / folder)
    world.run("realize", "small.yaml")
    assert differences(world.tree("small"), expected)


def test_marks_of_other_machines_are_theirs(world: World) -> None:
    world.clean("mixed")
    world.run("realize", "mixed.yaml", environ={"ENVBUILD_FAULT": "pre-prefix-rename:kill"}, code=-9)
    (mark,) = marks(world)
    other = mark.with_name("elsewhere.00000000-0000-4000-8000-000000000000.1-2")
    other.touch()
    packages = world.home / "cache" / "rattler" / "packages"
    before = {path.name: path.stat().st_ino for path in packages.iterdir()}
    assert "the machine stopped" not in world.run("realize", "mixed.yaml").err
    assert before.items() <= {path.name: path.stat().st_ino for path in packages.iterdir()}.items()
    assert marks(world) == sorted([mark, other])  # who was killed leaves its own, until nobody else is in the home
    left = world.home / "tmp" / "0123456789abcdef" / "rattler"  # as a kill leaves what was being thrown away
    left.mkdir(parents=True)
    world.run("gc")
    assert marks(world) == [other]
    assert not left.exists()


def test_where_nothing_is_synced_there_are_no_marks(world: World) -> None:
    world.clean("small")
    durable = {"ENVBUILD_DURABILITY": "fast", "ENVBUILD_FAULT": "pre-prefix-rename:kill"}
    world.run("realize", "small.yaml", environ=durable, code=-9)
    assert not marks(world)
