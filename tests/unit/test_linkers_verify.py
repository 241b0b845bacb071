"""Every kind of damage to a prefix is found and named, and a repair gives the tree back, whatever shares its files."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from envbuild.derivations.link import Link, realise
from envbuild.linkers.verify import Finding, verify_prefix
from tests.support.channel import TestChannel
from tests.support.conda_package import PackageRecipe, write_package
from tests.support.link_context import (
    SERIES,
    FolderContext,
    conda_package,
    make_link,
    prefix_of,
    store_blobs,
    tree,
    wheel_inputs,
)
from tests.support.wheels import make_wheel


def overwrite(path: Path) -> None:
    """Damage a file through its inode, as root or a stray tool can."""
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    with path.open("r+b") as stream:
        stream.write(data)


def to_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/passwd")


def to_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "flipped": (overwrite, "different content"),
    "cut": (lambda path: os.truncate(path, 1), "different content"),
    "gone": (Path.unlink, "missing"),
    "mode": (lambda path: path.chmod(0o600), "different mode"),
    "link": (to_link, "different type"),
    "folder": (to_folder, "different type"),
    "more": (lambda path: path.with_name("more").touch(), "unexpected"),
}


def conda_case(folder: Path) -> tuple[Link, FolderContext, str]:
    recipe = PackageRecipe(
        name="stuff",
        version="1",
        subdir="noarch",
        noarch="generic",
        files={"share/stuff": "stuff\n" * 50, "share/other": "x"},
    )
    path = write_package(recipe, folder)
    record = {"name": "stuff", "version": "1", "build": "0", "build_number": 0, "subdir": "noarch", "noarch": "generic"}
    link, files = make_link([(conda_package(path.name, record, path), path)], python=None)
    return link, FolderContext(folder / "home", store_blobs(files, folder / "home/store")), "share/stuff"


def host_case(folder: Path) -> tuple[Link, FolderContext, str]:
    wheels = wheel_inputs([make_wheel(folder, "tool-box", "1.0", files={"tool_box/data.txt": "data" * 50})])
    link, files = make_link((), wheels, interpreter="host")
    context = FolderContext(folder / "home", store_blobs(files, folder / "home/store"))
    return link, context, f"lib/python{SERIES}/site-packages/tool_box/data.txt"


CASES = {"conda": conda_case, "host": host_case}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("mode", CASES)
def test_damage_is_named_and_repaired_also_in_the_caches(mode: str, damage: str, tmp_path: Path) -> None:
    link, context, victim = CASES[mode](tmp_path)
    host = context.host_python(SERIES) if mode == "host" else None
    realise(link, context.typed())
    prefix = prefix_of(link, context)
    good = tree(prefix)
    assert verify_prefix(link, prefix, host, context.typed()) == ()
    harm, problem = DAMAGE[damage]
    harm(prefix / victim)
    path = str(Path(victim).with_name("more")) if damage == "more" else victim
    expected = (Finding(path=path, problem=problem),)  # type: ignore[arg-type]
    assert verify_prefix(link, prefix, host, context.typed()) == expected
    assert tree(prefix) != good
    assert verify_prefix(link, prefix, host, context.typed(), repair=True) == expected
    assert verify_prefix(link, prefix, host, context.typed()) == ()
    assert tree(prefix) == good
    shutil.rmtree(prefix)
    realise(link, context.typed())
    assert tree(prefix) == good, "the damage lived on in an engine's cache"


def test_a_prefix_that_is_gone_comes_back(tmp_path: Path) -> None:
    link, context, victim = conda_case(tmp_path)
    realise(link, context.typed())
    prefix = prefix_of(link, context)
    good = tree(prefix)
    shutil.rmtree(prefix)
    findings = verify_prefix(link, prefix, None, context.typed(), repair=True)
    assert findings == (Finding(path=".", problem="missing"),)
    assert tree(prefix) == good
    assert victim in good


def test_bytecode_that_python_wrote_does_not_count(channel: TestChannel, tmp_path: Path) -> None:
    link, context, victim = host_case(tmp_path)
    realise(link, context.typed())
    prefix = prefix_of(link, context)
    cache = (prefix / victim).parent / "__pycache__"
    cache.mkdir()
    (cache / "x.pyc").touch()
    assert verify_prefix(link, prefix, context.host_python(SERIES), context.typed()) == ()
