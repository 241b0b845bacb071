"""How files get into prefixes on real file systems: reflinks, hard links, copies. R27 of the design.

Images of XFS and Btrfs are mounted as the home; where the machine lets nobody do that, the tests say so and skip. Which
way a file came is asked of the kernel: by its links, and by the extents that it shares.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from tests.faults.conftest import Mounts
from tests.faults.figures import count
from tests.faults.world import World, differences, remove
from tests.support.no_symlinks import possible, without_hard_links

SHOWN = ("data.bin", "two.bin")
"""A file of a wheel, and one of a conda package."""

_FIEMAP, _SYNC, _SHARED = 0xC020660B, 0x1, 0x2000
IMAGES = {"xfs": (320 << 20, ["-q", "-m", "reflink=1"]), "btrfs": (256 << 20, ["-q"])}

MOUNTED = {"xfs": "loop", "btrfs": "loop,max_inline=0"}
"""What is so small that it lies within its inode shares no blocks."""


def shares_blocks(path: Path) -> bool:
    """Whether the kernel says that another file has this one's extents too."""
    with path.open("rb") as stream:
        asked = struct.pack("=QQLLLL", 0, 2**64 - 1, _SYNC, 0, 1, 0) + bytes(56)
        told = fcntl.ioctl(stream, _FIEMAP, asked)
    _, _, _, mapped, _, _ = struct.unpack_from("=QQLLLL", told)
    (flags,) = struct.unpack_from("=L", told, 32 + 40)
    return bool(mapped and flags & _SHARED)


def way_of(path: Path) -> str:
    if path.stat().st_nlink > 1:
        return "hardlink"
    try:
        return "reflink" if shares_blocks(path) else "copy"
    except OSError:  # a file system that cannot be asked has none
        return "copy"


def linked(world: World, link: str, **options) -> tuple[set[str], str]:  # type: ignore[no-untyped-def]
    """The ways in which the shown files came when an environment is linked anew, and what was said."""
    for name in ("prefixes", "stamps"):
        if (world.home / name).exists():
            remove(world.home / name)
    outcome = world.run("realize", "mixed.yaml", environ={"ENVBUILD_LINK": link}, **options)
    prefix = world.prefix("mixed")
    found = {way_of(path) for path in prefix.rglob("*") if path.name in SHOWN and not path.is_symlink()}
    assert found
    return found, outcome.err


def image(world: World, kind: str, mounted: Mounts) -> None:
    """A new file system of a kind as the home."""
    maker = shutil.which(f"mkfs.{kind}", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if maker is None or os.getuid() != 0:
        pytest.skip(f"NO {kind.upper()}: this takes mkfs.{kind} and the right to mount")
    size, options = IMAGES[kind]
    file = world.folder / f"{kind}.img"
    with file.open("wb") as stream:
        stream.truncate(size)
    subprocess.run([maker, *options, str(file)], check=True, capture_output=True)
    mounted(world.home, "-o", MOUNTED[kind], "-t", kind, str(file))
    world.home.chmod(0o700)
    file.unlink()


@pytest.mark.parametrize("kind", IMAGES)
def test_R27_where_blocks_can_be_shared_each_setting_does_what_it_says(
    world: World, kind: str, mounted: Mounts
) -> None:
    expected = world.clean("mixed")
    image(world, kind, mounted)
    for link, way in (("auto", "reflink"), ("hardlink", "hardlink"), ("reflink", "reflink")):
        found, said = linked(world, link)
        assert found == {way}, link
        assert "link:" not in said
        assert not differences(world.tree("mixed"), expected)
    found, _ = linked(world, "copy")
    assert "hardlink" not in found
    assert not differences(world.tree("mixed"), expected)
    # what is written into one environment is not in the caches, nor in the next one
    linked(world, "auto")
    victim = next(path for path in world.prefix("mixed").rglob("two.bin"))
    victim.write_bytes(b"damaged")
    linked(world, "auto")
    assert not differences(world.tree("mixed"), expected)
    count("environments on file systems that share blocks, linked as the setting says", 5, 5)


def test_R27_where_blocks_cannot_be_shared_hard_links_serve(world: World, mounted: Mounts) -> None:
    expected = world.clean("mixed")
    mounted(world.home, "-t", "tmpfs", "-o", "mode=700", "tmpfs")
    found, said = linked(world, "auto")
    assert found == {"hardlink"}
    assert "link:" not in said
    found, said = linked(world, "reflink")
    assert found == {"copy"}, "who asks for reflinks wants no shared file"
    assert said.count("has no reflinks (`link: reflink`): environments are copies") == 1
    assert not differences(world.tree("mixed"), expected)
    count("environments on a file system without reflinks", 2, 2)


@pytest.mark.skipif(not possible(), reason="NOT TRIED: the numbers of this machine's system calls are not known here")
@pytest.mark.parametrize("link", ["auto", "hardlink"])
def test_R27_a_file_system_without_hard_links(world: World, link: str) -> None:
    expected = world.clean("mixed")
    found, said = linked(world, link, preexec_fn=without_hard_links)
    assert "hardlink" not in found
    assert not differences(world.tree("mixed"), expected)
    assert ("has no hard links" in said) == (link == "hardlink")
    count("environments on a file system without hard links", 1, 1)


def test_R27_a_writable_copy_shares_blocks_and_no_file(world: World, mounted: Mounts) -> None:
    image(world, "btrfs", mounted)
    target = world.folder / "elsewhere"
    mounted(target, "--bind", str(world.home))  # the same file system, outside of the home
    world.run("realize", "mixed.yaml", "--prefix", str(target / "mine"), "--writable")
    for path in (target / "mine").rglob("*"):
        if path.name in SHOWN:
            assert path.stat().st_nlink == 1
            assert shares_blocks(path)
