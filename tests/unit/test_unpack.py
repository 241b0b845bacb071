"""Source archives: honest ones come out as Python's own readers have them, whatever wrote them; others are refused."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import stat
import subprocess
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from envbuild.builders import archive_streams, unpack
from envbuild.builders.unpack import UNPACKED_TIME, unpack_source
from envbuild.errors import IntegrityError
from tests.support.git_server import Link, Script, write_tree
from tests.support.memory import at_most

TREE = {
    "pkg-1.0/pyproject.toml": "[project]\n",
    "pkg-1.0/src/mit leer/ü.py": "ü = 1\n",
    "pkg-1.0/configure": Script("#!/bin/sh\n"),
    "pkg-1.0/link": Link("src/mit leer"),
    "pkg-1.0/large": os.urandom(3 << 20),
    "pkg-1.0/empty": b"",
    "pkg-1.0/" + "n" * 110 + "/" + "m" * 110: "long\n",
}
PACKERS: Mapping[str, Callable[[bytes], bytes]] = {
    ".tar": bytes,
    ".tar.gz": gzip.compress,
    ".tgz": gzip.compress,
    ".tar.bz2": bz2.compress,
    ".tar.xz": lzma.compress,
    ".tar.zst": zstandard.compress,
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    write_tree(folder, TREE)
    return folder


def content(folder: Path) -> dict[str, tuple[object, ...]]:
    """Everything below a folder: what it is, its bytes or target, whether it can be run."""
    found: dict[str, tuple[object, ...]] = {}
    for path in folder.rglob("*"):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = ("link", str(path.readlink()))
        elif path.is_dir():
            found[name] = ("folder",)
        else:
            found[name] = ("file", path.read_bytes(), bool(path.stat().st_mode & 0o100))
    return found


def unpacked(data: bytes, name: str, folder: Path) -> Path:
    """Unpack bytes into a new folder."""
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / name.replace("/", "_")
    archive.write_bytes(data)
    (folder / "out").mkdir()
    return unpack_source(archive, name, folder / "out")


def packed(folder: Path, form: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar as Python makes it."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=form) as tar:
        tar.add(folder / "pkg-1.0", "pkg-1.0")
    return data.getvalue()


@pytest.mark.parametrize("ending", PACKERS)
@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT], ids=["pax", "gnu"])
def test_a_tar_comes_out_as_it_went_in(tree: Path, tmp_path: Path, ending: str, form: int) -> None:
    top = unpacked(PACKERS[ending](packed(tree, form)), f"pkg-1.0{ending}", tmp_path / "new")
    assert top.name == "pkg-1.0"
    assert content(top.parent) == content(tree)


def test_a_tar_of_the_systems_own_tar_too(tree: Path, tmp_path: Path) -> None:
    for form in ("gnu", "pax", "v7", "oldgnu"):
        names = ["pkg-1.0/src", "pkg-1.0/configure", "pkg-1.0/link"]
        command = ["tar", f"--format={form}", "--sort=name", "-C", str(tree), "-c", *names]
        data = subprocess.run(command, check=True, capture_output=True).stdout
        top = unpacked(data, "pkg-1.0.tar", tmp_path / form)
        expected = {name: what for name, what in content(tree).items() if name.startswith(("pkg-1.0/src", *names[1:]))}
        assert {name: what for name, what in content(top.parent).items() if name != "pkg-1.0"} == expected, form


def test_git_archives_as_forges_serve_them(tmp_path: Path) -> None:
    from tests.support.git_server import git

    folder = tmp_path / "repository"
    write_tree(folder, {name.removeprefix("pkg-1.0/"): text for name, text in TREE.items()})
    git("init", "--quiet", cwd=folder)
    git("add", "--force", ".", cwd=folder)
    git("commit", "--quiet", "-m", "x", cwd=folder)
    for ending in ("tar", "tar.gz", "zip"):
        git("archive", f"--format={ending}", "--prefix=pkg-1.0/", f"--output={tmp_path}/a.{ending}", "HEAD", cwd=folder)
        data = (tmp_path / f"a.{ending}").read_bytes()
        top = unpacked(data, f"a.{ending}", tmp_path / f"out-{ending}")
        expected = {name: what for name, what in content(folder).items() if not name.startswith(".git")}
        assert content(top) == expected, ending


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("seekable", [True, False], ids=["seekable", "streamed"])
def test_a_zip_comes_out_as_it_went_in(tree: Path, tmp_path: Path, method: int, seekable: bool) -> None:
    class Stream(io.RawIOBase):
        """A file that can only be written on, so that sizes follow their members."""

        def __init__(self) -> None:
            self.data = bytearray()

        def writable(self) -> bool:
            return True

        def write(self, data: bytes) -> int:  # type: ignore[override]
            self.data += data
            return len(data)

    (tree / "pkg-1.0/link").unlink()
    stream: io.BytesIO | Stream = io.BytesIO() if seekable else Stream()
    with zipfile.ZipFile(stream, "w", method) as archive:  # type: ignore[arg-type]
        for path in sorted(tree.rglob("*")):
            archive.write(path, path.relative_to(tree))
        archive.comment = b"a comment"
    data = stream.getvalue() if isinstance(stream, io.BytesIO) else bytes(stream.data)
    top = unpacked(data, "pkg-1.0.zip", tmp_path / "new")
    assert content(top.parent) == content(tree)


def test_several_streams_and_padding_are_one_archive(tree: Path, tmp_path: Path) -> None:
    data = packed(tree)
    half = len(data) // 2
    for ending in (".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst"):
        pack = PACKERS[ending]
        two = pack(data[:half]) + pack(data[half:])
        assert content(unpacked(two, f"a{ending}", tmp_path / f"two{ending}").parent) == content(tree)
    padded = gzip.compress(data) + bytes(1000)
    assert content(unpacked(padded, "a.tar.gz", tmp_path / "padded").parent) == content(tree)


def test_modes_and_times_are_the_same_on_every_machine(tree: Path, tmp_path: Path) -> None:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for mode in (0o600, 0o4755, 0o2644, 0o777, 0o666, 0o1711):
            member = tarfile.TarInfo(f"p/{mode:o}")
            member.mode, member.size, member.mtime, member.uid = mode, 1, 12345, 1000
            tar.addfile(member, io.BytesIO(b"x"))
    before = os.umask(0o077)
    try:
        top = unpacked(data.getvalue(), "p.tar", tmp_path / "new")
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in top.iterdir()}
    assert modes == {"600": 0o644, "4755": 0o755, "2644": 0o644, "777": 0o755, "666": 0o644, "1711": 0o755}
    assert stat.S_IMODE(top.stat().st_mode) == 0o755
    assert {path.lstat().st_mtime for path in (top, *top.iterdir())} == {UNPACKED_TIME}


def test_names_that_begin_with_a_dot_and_a_slash_are_the_same_names(tmp_path: Path) -> None:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for name in ("./", "./p/", "./p/a"):
            member = tarfile.TarInfo(name)
            member.type = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
            tar.addfile(member)
    assert content(unpacked(data.getvalue(), "p.tar", tmp_path / "new")) == {"a": ("file", b"", False)}


def test_a_hard_link_to_an_earlier_file_is_that_file(tmp_path: Path) -> None:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        member = tarfile.TarInfo("p/a")
        member.size = 3
        tar.addfile(member, io.BytesIO(b"abc"))
        link = tarfile.TarInfo("p/b")
        link.type, link.linkname = tarfile.LNKTYPE, "p/a"
        tar.addfile(link)
    assert (unpacked(data.getvalue(), "p.tar", tmp_path / "new") / "b").read_bytes() == b"abc"


def test_case_twins_are_two_files_here(tmp_path: Path) -> None:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for name in ("p/readme", "p/README"):
            tar.addfile(tarfile.TarInfo(name))
    probe = tmp_path / "Probe"
    probe.touch()
    if (tmp_path / "pROBE").exists():
        pytest.skip("THIS FILE SYSTEM has one name for both")
    assert set(content(unpacked(data.getvalue(), "p.tar", tmp_path / "new"))) == {"readme", "README"}


def test_an_archive_of_any_size_is_streamed(tmp_path: Path) -> None:
    """One hundred megabytes of content, and hardly a few of memory."""
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz", compresslevel=1) as tar:
        member = tarfile.TarInfo("p/large")
        member.size = 100 << 20
        pattern = os.urandom(1 << 16)

        class Repeated(io.RawIOBase):
            def read(self, size: int = -1) -> bytes:  # type: ignore[override]
                return (pattern * (size // len(pattern) + 1))[:size]

        tar.addfile(member, Repeated())
    (tmp_path / "out").mkdir()
    with at_most(megabytes=24):
        unpack_source(tmp_path / "a.tar.gz", "a.tar.gz", tmp_path / "out")


# Property: whatever honest tree, whatever writer

NAMES = st.text("abcdefgäöü .-_", min_size=1, max_size=8).filter(lambda name: name.strip(" .") != "")
FILES = st.dictionaries(
    st.lists(NAMES, min_size=1, max_size=3).map("/".join),
    st.tuples(st.binary(max_size=5000), st.booleans()),
    min_size=1,
)


@given(FILES, st.sampled_from([*PACKERS, ".zip"]), st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_same_files_as_pythons_own_readers(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, tuple[bytes, bool]], ending: str, form: int
) -> None:
    folder = tmp_path_factory.mktemp("honest")
    write: dict[str, bytes] = {}
    for name, (data, _) in files.items():
        if not any(name.startswith(f"{other}/") or other.startswith(f"{name}/") for other in write):
            write[name] = data
    write_tree(folder / "in" / "pkg-1.0", write)
    archive = folder / f"pkg-1.0{ending}"
    if ending == ".zip":
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as made:
            for name, data in write.items():
                made.writestr(f"pkg-1.0/{name}", data)
        with zipfile.ZipFile(archive) as read:
            theirs = {name: read.read(name) for name in read.namelist() if not name.endswith("/")}
    else:
        archive.write_bytes(PACKERS[ending](packed(folder / "in", form)))
        plain = packed(folder / "in", form)
        with tarfile.open(fileobj=io.BytesIO(plain)) as tar:
            theirs = {item.name: tar.extractfile(item).read() for item in tar if item.isfile()}  # type: ignore[union-attr]
    (folder / "out").mkdir()
    top = unpack_source(archive, archive.name, folder / "out")
    ours = {str(path.relative_to(top.parent)): path.read_bytes() for path in top.rglob("*") if path.is_file()}
    assert ours == theirs


def test_limits_can_be_read_and_are_the_designs() -> None:
    assert (unpack.MEMBERS, unpack.TOTAL_BYTES, unpack.RATIO, unpack.RATIO_FROM) == (500_000, 32 << 30, 200, 64 << 20)
    assert archive_streams._WINDOW == 128 << 20


def test_an_unknown_ending_is_refused(tree: Path, tmp_path: Path) -> None:
    with pytest.raises(IntegrityError) as error:
        unpacked(packed(tree), "pkg-1.0.rar", tmp_path / "new")
    assert error.value.reference == "archive-format"
