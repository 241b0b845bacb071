"""Managed interpreters: a real archive becomes a prefix; hostile ones leave nothing outside (and nothing inside)."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from envbuild.derivations import PackageInput
from envbuild.derivations.link import Link, prepare, realise
from envbuild.digest import digest_file
from envbuild.errors import IntegrityError
from envbuild.linkers import archive as archives
from envbuild.linkers.archive import unpack
from envbuild.package import InterpreterArchive, Platform
from tests.support.channel import this_platform
from tests.support.link_context import FolderContext, fetch_key, prefix_of, store_blobs, tree, wheel_inputs
from tests.support.managed_python import ManagedPython, made_managed_python
from tests.support.wheels import make_wheel


@pytest.fixture
def managed() -> ManagedPython:
    try:
        return made_managed_python()
    except LookupError as missing:
        pytest.skip(f"NO MANAGED PYTHON: {missing}")


def test_an_archive_and_wheels_become_a_prefix_twice_the_same(managed: ManagedPython, tmp_path: Path) -> None:
    wheels = wheel_inputs([make_wheel(tmp_path, "tool-box", "1.0", scripts={"tool-box": "tool_box:main"})])
    series = ".".join(managed.version.split(".")[:2])
    package = InterpreterArchive(
        implementation="cpython",
        version=managed.version,
        build="1",
        file=managed.archive.name,
        sha256=digest_file(managed.archive),
    )
    inputs = [(package, managed.archive), *wheels]
    link = Link(
        platform=Platform(this_platform()),
        python=series,
        interpreter="managed",
        packages=tuple(PackageInput(key=fetch_key(item.sha256), package=item) for item, _ in inputs),
    )
    files = {fetch_key(item.sha256): path for item, path in inputs}
    context = FolderContext(tmp_path / "home", store_blobs(files, tmp_path / "home/store"))
    prepare(link, link.inputs[0], context.typed())
    realise(link, context.typed())
    prefix = prefix_of(link, context)
    environ = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}  # what it writes is no part of the tree
    done = subprocess.run([prefix / "bin/tool-box"], env=environ, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "tool-box 1.0"
    script = "import sys, sysconfig; print(sys.prefix, sysconfig.get_config_var('prefix'), sys.version.split()[0])"
    done = subprocess.run([prefix / "bin/python", "-B", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(prefix), str(prefix), managed.version]
    assert (prefix / f"lib/python{series}/EXTERNALLY-MANAGED").exists()
    before = tree(prefix)
    shutil.rmtree(prefix)
    shutil.rmtree(tmp_path / "home/cache")
    realise(link, context.typed())
    assert tree(prefix) == before


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "", mode: int = 0o644) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, target, mode
    info.size = 4 if kind == tarfile.REGTYPE else 0
    return info


def packed(path: Path, members: Sequence[tarfile.TarInfo]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for info in members:
            tar.addfile(info, io.BytesIO(b"data") if info.size else None)
    return path


FOLDER, SYMLINK, HARDLINK = tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE
HOSTILE = {
    "parent": [member("../x")],
    "absolute": [member("/x")],
    "inner-parent": [member("a/../../x")],
    "backslash": [member("..\\x")],
    "long": [member("a/" * 600 + "x")],
    "link-out": [member("a/l", SYMLINK, "../../outside")],
    "link-absolute": [member("a/l", SYMLINK, "/etc")],
    "link-to-root": [member("l", SYMLINK, "..")],
    "through-a-link": [member("a", FOLDER), member("l", SYMLINK, "a"), member("l/x")],
    "hard-link-out": [member("l", HARDLINK, "../outside")],
    "hard-link-absolute": [member("l", HARDLINK, "/etc/passwd")],
    "hard-link-to-nothing": [member("l", HARDLINK, "absent")],
    "hard-link-to-a-link": [member("a"), member("s", SYMLINK, "a"), member("l", HARDLINK, "s")],
    "hard-link-then-file": [member("a"), member("l", HARDLINK, "a"), member("l")],
    "file-twice": [member("a"), member("a")],
    "link-then-file": [member("b"), member("a", SYMLINK, "b"), member("a")],
    "fifo": [member("a", tarfile.FIFOTYPE)],
    "device": [member("a", tarfile.CHRTYPE)],
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_members_are_refused(case: str, tmp_path: Path) -> None:
    ground = tmp_path / "ground"
    folder = ground / "in/to"
    folder.mkdir(parents=True)
    path = packed(ground / "x.tar.gz", HOSTILE[case])
    outside = ground / "in/outside"
    outside.write_text("safe")
    with pytest.raises(IntegrityError) as caught:
        unpack(path, "x.tar.gz", folder)
    assert "x.tar.gz" in caught.value.message
    assert caught.value.reference == "bad-archive"
    assert outside.read_text() == "safe"
    assert sorted(item.name for item in (ground / "in").iterdir()) == ["outside", "to"]
    assert sorted(item.name for item in ground.iterdir()) == ["in", "x.tar.gz"]


@pytest.mark.parametrize("cut", [0, 1, 5, 30, 200])
def test_cut_archives_are_refused(cut: int, tmp_path: Path) -> None:
    path = packed(tmp_path / "x.tar.gz", [member(f"python/bin/{number}") for number in range(200)])
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(IntegrityError):
        unpack(path, "x.tar.gz", tmp_path)


def test_modes_become_plain(tmp_path: Path) -> None:
    members = [
        member("a", mode=0o6777),
        member("b", mode=0o666),
        member("d", FOLDER, mode=0o1777),
        member("d/c", mode=0),
    ]
    folder = tmp_path / "to"
    folder.mkdir()
    path = packed(tmp_path / "x.tar.gz", members)
    mask = os.umask(0o077)
    try:
        unpack(path, "x", folder)
    finally:
        os.umask(mask)
    modes = {path: said.split()[1] for path, said in tree(folder).items()}
    assert modes == {"a": "755", "b": "644", "d": "755", "d/c": "644"}


def test_the_limits_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MEMBERS", 3)
    path = packed(tmp_path / "x.tar.gz", [member(str(number)) for number in range(5)])
    folder = tmp_path / "to"
    folder.mkdir()
    with pytest.raises(IntegrityError, match="larger than the limits"):
        unpack(path, "x", folder)
    assert len(list(folder.iterdir())) == 3
