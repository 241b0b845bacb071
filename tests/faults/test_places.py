"""Places and what they cannot: few open files, read-only stores, other file systems, too many links, odd names, and
stores of other versions. R22, R27, R28 and R30 of the design.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import tempfile
import unicodedata
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.faults.conftest import Mounts
from tests.faults.far import Far, notes
from tests.faults.figures import count, worst
from tests.faults.test_disk import read_only
from tests.faults.world import World, differences, one_error, remove, tree_of
from tests.support.channel import TestChannel
from tests.support.conda_package import PackageRecipe, write_package
from tests.support.no_symlinks import possible, without_symlinks
from tests.support.servers import serve

# R22


def few_files() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))


def test_R22_few_open_files_and_a_store_in_a_cloud(far: Far) -> None:
    outcome = far.realized(preexec_fn=few_files)
    assert notes(outcome) == []
    far.emptied()
    assert notes(far.realized(preexec_fn=few_files)) == []
    far.fresh()
    assert notes(far.realized(preexec_fn=few_files)) == []
    count("commands with a store and at most 64 open files", 3, 3)


def test_R22_a_read_only_store_below_a_written_one(far: Far, mounted: Mounts) -> None:
    """Whatever its mode says, a store that lies on a read-only disk is read, and nothing tries to write there twice."""
    far.realized()
    lower, upper = far.folder / "lower", far.folder / "upper"
    for store in (lower, upper):
        far.run("store", "init", str(store))
    far.run("push", "both.yaml", "--to", str(lower))
    before = tree_of(lower)
    read_only(lower, mounted)
    for mode in ("read-only", "read-write"):
        far.fresh()
        far.close()
        far.configure(
            {"name": "upper", "url": str(upper)},
            {"name": "cloud", "url": str(lower), "mode": mode},
            trusted=[str(lower)],
        )
        outcome = far.realized()
        assert notes(outcome) == []
        assert tree_of(lower) == before
        assert far.packages("both").keys() <= {path.name for path in upper.rglob("*")}
        remove(upper)
        far.run("store", "init", str(upper))
    count("realizes from a read-only store with a written one before it, without a write to the lower", 2, 2)
    # what it lacks, and may not have, costs one line
    far.fresh()
    far.again()
    far.lock("small").unlink(missing_ok=True)
    far.configure({"name": "cloud", "url": str(lower)})
    outcome = far.run("realize", "small.yaml")
    assert len(notes(outcome)) == 1, outcome.err
    assert tree_of(lower) == before
    remove(upper)


# R27


def test_R27_prefixes_on_another_file_system(world: World, mounted: Mounts) -> None:
    expected = world.clean("mixed")
    other = world.folder / "other-disk"
    mounted(other, "-t", "tmpfs", "-o", "mode=700", "tmpfs")
    assert other.stat().st_dev != world.folder.stat().st_dev
    for number, flags in enumerate(((), ("--writable",))):
        outcome = world.run("realize", "mixed.yaml", "--prefix", str(other / str(number)), *flags)
        found = tree_of(other / str(number))
        assert expected.keys() - found.keys() <= ({f"lib/python{world.series}/EXTERNALLY-MANAGED"} if flags else set())
        assert found.keys() <= expected.keys()
        assert len(outcome.err.splitlines()) <= 6, outcome.err
        done = subprocess.run([other / str(number) / "bin" / "tool-box"], check=True, capture_output=True)
        assert done.stderr == b""
    assert sorted(path.name for path in other.iterdir()) == ["0", "1"], "nothing is left there"
    count("environments linked across file systems", 2, 2)


def test_R27_a_home_of_two_file_systems_is_said(world: World, mounted: Mounts) -> None:
    """What is in ``prefixes`` gets its name by one rename."""
    world.run("lock", "small.yaml")
    mounted(world.home / "prefixes", "-t", "tmpfs", "-o", "mode=700", "tmpfs")
    outcome = world.run("realize", "small.yaml", code=8)
    assert str(world.home / "prefixes") in one_error(outcome)
    assert "--prefix" in outcome.err
    assert world.prefixes() == []
    assert not world.leftovers()


@pytest.mark.parametrize("link", ["auto", "reflink", "hardlink", "copy"])
def test_R27_every_way_to_link_gives_the_same(world: World, link: str) -> None:
    """Also where the file system has no reflinks."""
    expected = world.clean("mixed")
    world.run("realize", "mixed.yaml", environ={"ENVBUILD_LINK": link})
    assert not differences(world.tree("mixed"), expected)
    count("environments linked by each way (auto, reflink, hardlink, copy), the same in every byte", 1, 1)


@pytest.mark.skipif(not possible(), reason="NOT TRIED: no file system without symbolic links on this kernel")
@pytest.mark.parametrize("name", ["small", "mixed"])
def test_R27_a_file_system_without_symbolic_links(world: World, name: str) -> None:
    """A home there is refused, with what could not be made, and where; nothing half is left. A store there is fine."""
    expected = world.clean(name)
    world.fresh()
    outcome = world.run("realize", f"{name}.yaml", code=8, preexec_fn=without_symlinks)
    assert str(world.home) in one_error(outcome)
    assert "Operation not permitted" in outcome.err
    assert "set ENVBUILD_HOME" in outcome.err
    assert world.prefixes() == []
    assert not world.leftovers()
    world.run("realize", f"{name}.yaml")
    assert not differences(world.tree(name), expected)
    store = world.folder / "store-without-links"
    for command in (("store", "init", str(store)), ("push", f"{name}.yaml", "--to", str(store))):
        world.run(*command, preexec_fn=without_symlinks)
    assert world.run("verify", "--store", str(store), preexec_fn=without_symlinks).out == ""
    remove(store)
    count("homes on a file system without symbolic links: refused, nothing half there", 1, 1)


MOST_LINKS = 65_000


@pytest.fixture
def world_on_disk(channel: TestChannel) -> Iterator[World]:
    """A world on a disk even when tests write into memory, where a file may have any number of links."""
    with (
        tempfile.TemporaryDirectory(dir="/var/tmp", ignore_cleanup_errors=True) as folder,
        serve(lambda request: None) as server,
    ):
        yield World(Path(folder), channel, server)


def test_R27_a_file_that_has_all_the_links_it_may_have(world_on_disk: World) -> None:
    """Files of the engines' caches that cannot be linked any more are copied, and only those."""
    world = world_on_disk
    expected = world.clean("mixed")
    world.run("realize", "mixed.yaml", environ={"ENVBUILD_LINK": "hardlink"})
    prefix = world.prefix("mixed")
    shared = [
        path for path in prefix.rglob("*") if not path.is_symlink() and path.is_file() and path.stat().st_nlink > 1
    ]
    chosen = [next(p for p in shared if p.name == name) for name in ("two.bin", "data.bin")]
    others = [path for path in shared if path not in chosen]
    extra = world.home / "extra"
    extra.mkdir()
    for number, path in enumerate(chosen):
        (folder := extra / str(number)).mkdir()
        with suppress(OSError):  # EMLINK
            for link in range(MOST_LINKS + 10):
                os.link(path, folder / str(link))
        if path.stat().st_nlink > MOST_LINKS:
            pytest.skip("NO LIMIT OF LINKS: this file system lets a file have more than 65,000")
    remove(prefix)
    remove(world.home / "stamps")
    subprocess.run(["sh", "-c", 'ln "$1"/0/0 "$1"/0/again; ln "$1"/1/0 "$1"/1/again', "sh", str(extra)], check=False)
    world.run("realize", "mixed.yaml", environ={"ENVBUILD_LINK": "hardlink"})
    assert not differences(world.tree("mixed"), expected)
    # uv puts the copy into its cache too, where it has room for links again
    assert [path.stat().st_nlink for path in chosen] == [1, 2]
    assert all(path.stat().st_nlink > 1 for path in others), "the others are linked as before"
    assert "0 findings" in world.run("verify").err
    remove(extra)
    count("files with all the links that they may have, copied, the others linked", len(chosen), len(chosen))


# R28

E_ACUTE = "\u00e9"
LONG = "share/" + "n" * 255
NAMES: dict[str, tuple[str, ...]] = {
    "composed and decomposed": (f"share/caf{E_ACUTE}", "share/" + unicodedata.normalize("NFD", f"caf{E_ACUTE}")),
    "upper and lower case": ("share/Case/Read.me", "share/case/read.me"),
    "255 bytes": (LONG,),
    "256 bytes": (LONG + "n",),
    "255 bytes of two each": ("share/" + E_ACUTE * 127,),
    "a path of 1,000 bytes": ("share/" + "/".join("d" * 98 for _ in range(10)),),
    "a path of 4,200 bytes": ("share/" + "/".join("d" * 200 for _ in range(21)),),
    "a dot at the end": ("share/dot.",),
    "a blank at the end": ("share/blank ",),
    "a device of Windows": ("share/CON", "share/aux.txt"),
    "right to left": ("share/\u202eexe.txt", "share/\u0627\u0644"),
    "a newline": ("share/a\nb",),
    "a bell": ("share/a\x07b",),
    "only a blank": ("share/ ",),
    "a backslash": ("share/a\\b",),
    "a star and a question mark": ("share/*?",),
    "an option": ("share/-rf",),
    "no text": ("share/\udcff\udcfe",),
}


@pytest.mark.parametrize("how", NAMES)
def test_R28_odd_names_come_out_as_they_are_or_are_refused_before_anything_is_linked(world: World, how: str) -> None:
    folder = world.project / "builds"
    files = {name: f"contents of {number}" for number, name in enumerate(NAMES[how])}
    try:
        path = write_package(
            PackageRecipe(name="odd", version="1.0", subdir="noarch", noarch="generic", files=files), folder
        )
    except UnicodeEncodeError:  # said as bytes: what a tar may hold
        path = _written_raw(folder, files)
    world.recipe(
        "odd",
        world.conda_lines(f"odd: {{url: './builds/noarch/{path.name}'}}"),
    )
    try:
        outcome = world.run("realize", "odd.yaml", code=None)
        assert outcome.code in {0, 3, 4}, outcome
        if outcome.code == 0:
            prefix = world.prefix("odd")
            for name, text in files.items():
                assert (prefix / name).read_text() == text
            assert "0 findings" in world.run("verify").err
        else:
            assert world.prefixes() == []
        assert not world.leftovers()
        assert not any(char in outcome.err for char in "\x07\u202e")
    finally:
        (world.project / "odd.yaml").unlink()
        remove(folder)
    count("odd names of files (Unicode, case, length, devices, controls): linked as they are, or refused before", 1, 1)


def _written_raw(folder: Path, files: dict[str, str]) -> Path:
    """A package of the older format whose members' names are no UTF-8."""
    import hashlib
    import io
    import tarfile

    index = {"name": "odd", "version": "1.0", "build": "0", "build_number": 0, "subdir": "noarch", "depends": []}
    paths = [
        {
            "_path": name.encode("utf-8", "surrogateescape").decode("latin-1"),
            "path_type": "hardlink",
            "sha256": hashlib.sha256(text.encode()).hexdigest(),
            "size_in_bytes": len(text),
        }
        for name, text in files.items()
    ]
    said = {
        "info/index.json": json.dumps({**index, "noarch": "generic"}).encode(),
        "info/paths.json": json.dumps({"paths": paths, "paths_version": 1}).encode(),
        "info/files": b"",
    }
    (folder / "noarch").mkdir(parents=True, exist_ok=True)
    path = folder / "noarch" / "odd-1.0-0.tar.bz2"
    with tarfile.open(path, "w:bz2", format=tarfile.GNU_FORMAT, errors="surrogateescape") as archive:
        for name, data in (*said.items(), *((name, text.encode()) for name, text in files.items())):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


# R30

FORMATS: dict[str, tuple[bytes, bool, bool]] = {
    "ours": (b'{"format": 1}\n', True, True),
    "ours, with a word that we do not know": (b'{"format": 1, "comment": "made by a newer one"}', False, False),
    "the next, to be read by us": (b'{"format": 2, "readable-by": 1}', True, False),
    "the next, to be read, with more words": (b'{"format": 2, "readable-by": 1, "packs": true}', True, False),
    "the next": (b'{"format": 2}', False, False),
    "the one before": (b'{"format": 0}', False, False),
    "a feature that is mandatory": (b'{"format": 1, "mandatory": ["packs"]}', False, False),
    "no JSON": (b"format: 1", False, False),
}


@pytest.mark.parametrize("how", FORMATS)
def test_R30_a_store_of_another_version_is_not_written(far: Far, how: str) -> None:
    data, reads, writes = FORMATS[how]
    store = far.folder / "skewed"
    far.realized()
    remove(store) if store.exists() else None
    far.run("store", "init", str(store))
    far.run("push", "both.yaml", "--to", str(store))
    blob = next(path for path in (store / "blobs").rglob("*") if path.name in far.packages("both"))
    blob.chmod(0o644)
    blob.write_bytes(b"damaged")  # what right bytes would mend where we may write
    (store / "format.json").chmod(0o644)
    (store / "format.json").write_bytes(data)
    before = tree_of(store)
    far.fresh()
    far.configure({"name": "cloud", "url": str(store)})
    outcome = far.realized()
    (found,) = json.loads(outcome.out)["environments"]
    assert found["pulled"] == (found["packages"] - 1 if reads else 0)
    if not writes:
        assert tree_of(store) == before
        assert len([line for line in notes(outcome) if "format" in line or "version" in line]) == 1, outcome.err
        refused = far.run("push", "both.yaml", "--to", str(store), code=None)
        assert refused.code != 0
        assert tree_of(store) == before
    else:
        assert blob.read_bytes() != b"damaged"
    remove(store)
    count("stores of other versions: read where they say so, never written, never mended", 1, 1)


@pytest.mark.parametrize("text", ['{"format": 2}', '{"format": 1, "mandatory": ["x"]}', "{"])
def test_R30_a_home_of_another_version_is_left_as_it_is(world: World, text: str) -> None:
    world.run("realize", "small.yaml")
    file = world.home / "store" / "format.json"
    file.chmod(0o644)
    file.write_text(text)
    before = tree_of(world.home / "store")
    for command in (("realize", "mixed.yaml"), ("gc",), ("verify", "--repair")):
        outcome = world.run(*command, code=None)
        assert outcome.code not in {0, 1}, outcome
    assert tree_of(world.home / "store") == before
    count("homes of other versions left as they are by realize, gc and verify --repair", 1, 1)


def test_R30_a_lock_of_another_version_is_left_as_it_is(world: World) -> None:
    world.run("lock", "small.yaml")
    text = world.lock("small").read_text()
    for change in (text.replace("lock-version: 1", "lock-version: 2"), text.replace("\n", "\nunheard-of: true\n", 1)):
        if change == text:
            change = text.replace(text.splitlines()[0], "version: 99", 1)
        world.lock("small").write_text(change)
        outcome = world.run("realize", "small.yaml", code=None)
        assert outcome.code in {3, 4, 10}, outcome
        assert world.lock("small").read_text() == change
    shutil.rmtree(world.home / "prefixes", ignore_errors=True)
    worst("locks of other versions that were changed", 0)
