"""H30, H31: conda packages whose structure or words lie, refused while they are prepared and while they are linked."""

from __future__ import annotations

import bz2
import hashlib
import io
import json
import shutil
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from envbuild.derivations.link import Link, prepare, realise
from envbuild.digest import Digest, digest_file
from envbuild.errors import IntegrityError
from envbuild.linkers.conda_archive import package_index
from envbuild.locks.lock_writing import lock_text
from envbuild.locks.lockfile import parse_lock
from tests.case import Case
from tests.support.channel import this_platform
from tests.support.conda_package import PackageRecipe, write_package
from tests.support.link_context import FolderContext, conda_package, make_link, prefix_of, store_blobs
from tests.support.zips import Member, raw_zip

X = b"x"


@dataclass(frozen=True, kw_only=True)
class Piece:
    """One member of a tar."""

    name: str
    data: bytes = X
    type: bytes = tarfile.REGTYPE
    link: str = ""
    mode: int = 0o644


def tarred(pieces: Sequence[Piece]) -> bytes:
    import zstandard

    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for piece in pieces:
            member = tarfile.TarInfo(piece.name)
            member.type, member.linkname, member.mode = piece.type, piece.link, piece.mode
            member.size = len(piece.data) if piece.type == tarfile.REGTYPE else 0
            archive.addfile(member, io.BytesIO(piece.data) if member.size else None)
    return zstandard.ZstdCompressor(level=1).compress(stream.getvalue())


def line(path: str, data: bytes = X, **more: object) -> dict[str, Any]:
    digest = hashlib.sha256(data).hexdigest()
    return {"_path": path, "path_type": "hardlink", "sha256": digest, "size_in_bytes": len(data), **more}


@dataclass(frozen=True, kw_only=True)
class Forged:
    """A package ``nice 1.0 0`` and how it lies.

    Attributes:
        payload: Its files. ``paths``: what it says of them.
        index: Changes of ``info/index.json``.
        info: More members of its info.
        parts: Changes of the outer zip: member to bytes, or None to leave it out.
    """

    payload: Sequence[Piece] = (Piece(name="share/nice"),)
    paths: Any = (line("share/nice"),)
    index: Mapping[str, Any] = field(default_factory=dict)
    info: Sequence[Piece] = ()
    parts: Mapping[str, bytes | None] = field(default_factory=dict)

    def write(self, folder: Path, name: str = "nice") -> Path:
        said = {"name": name, "version": "1.0", "build": "0", "build_number": 0, "subdir": "noarch", "depends": []}
        listing = (
            self.paths
            if isinstance(self.paths, bytes)
            else json.dumps({"paths": self.paths, "paths_version": 1}).encode()
        )
        info = [
            Piece(name="info/index.json", data=json.dumps({**said, "noarch": "generic", **self.index}).encode()),
            Piece(name="info/paths.json", data=listing),
            *self.info,
        ]
        stem = f"{name}-1.0-0"
        parts: dict[str, bytes | None] = {
            "metadata.json": b'{"conda_pkg_format_version": 2}',
            f"pkg-{stem}.tar.zst": tarred(self.payload),
            f"info-{stem}.tar.zst": tarred(info),
            **self.parts,
        }
        path = folder / f"{stem}.conda"
        folder.mkdir(exist_ok=True)
        path.write_bytes(raw_zip([Member(name=key, data=data) for key, data in parts.items() if data is not None]))
        return path


def linked(paths: Mapping[str, Path], home: Path) -> tuple[Link, FolderContext]:
    record = {"version": "1.0", "build": "0", "build_number": 0, "subdir": "noarch", "noarch": "generic"}
    packages = [(conda_package(path.name, {**record, "name": name}, path), path) for name, path in paths.items()]
    link, files = make_link(packages, python=None)
    return link, FolderContext(home, store_blobs(files, home / "store"))


def done(link: Link, context: FolderContext, step: str) -> None:
    if step == "prepare":
        prepare(link, link.inputs[0], context.typed())  # what rattler alone would notice is left for the link
    realise(link, context.typed())


def refused(forged: Forged, folder: Path) -> list[IntegrityError]:
    """The error of preparing the package, and that of linking it unprepared; nothing is left and nothing got out."""
    path = forged.write(folder / "package")
    errors = []
    for step in ("prepare", "realise"):
        link, context = linked({"nice": path}, folder / step)
        with pytest.raises(IntegrityError) as caught:
            done(link, context, step)
        assert not prefix_of(link, context).exists()
        assert caught.value.exit_code == 4
        assert caught.value.message.isprintable()
        errors.append(caught.value)
    assert not [item for item in folder.rglob("evil*") if "cache" not in item.parts]
    return errors


def test_a_good_one_passes(tmp_path: Path) -> None:
    link, context = linked({"nice": Forged().write(tmp_path)}, tmp_path / "home")
    prepare(link, link.inputs[0], context.typed())
    realise(link, context.typed())
    assert (prefix_of(link, context) / "share/nice").read_bytes() == X


STRUCTURE: Mapping[str, Forged] = {
    "no payload": Forged(parts={"pkg-nice-1.0-0.tar.zst": None}),
    "no info": Forged(parts={"info-nice-1.0-0.tar.zst": None}),
    "no metadata": Forged(parts={"metadata.json": None}),
    "two payloads": Forged(parts={"pkg-other-1.0-0.tar.zst": tarred([Piece(name="share/evil")])}),
    "two infos": Forged(parts={"info-other-1.0-0.tar.zst": tarred([])}),
    "something else": Forged(parts={"evil.txt": X}),
    "an unknown version": Forged(parts={"metadata.json": b'{"conda_pkg_format_version": 3}'}),
    "metadata that is none": Forged(parts={"metadata.json": b"[" * 10_000}),
    "a payload that is no zstd": Forged(parts={"pkg-nice-1.0-0.tar.zst": X * 100}),
    "a payload that is cut": Forged(parts={"pkg-nice-1.0-0.tar.zst": tarred([Piece(name="a", data=X * 9999)])[:-9]}),
}


@pytest.mark.parametrize("case", STRUCTURE)
def test_h30_a_package_that_is_no_package(case: str, tmp_path: Path) -> None:
    for error in refused(STRUCTURE[case], tmp_path):
        assert error.reference in {"bad-package", "bad-archive"}


def test_h30_names_inside_that_are_another_package_s(tmp_path: Path) -> None:
    path = Forged().write(tmp_path / "package")
    odd = path.with_name("nice-1.0-1.conda")
    path.rename(odd)
    record = {"version": "1.0", "build": "0", "build_number": 0, "subdir": "noarch", "noarch": "generic"}
    link, files = make_link([(conda_package(odd.name, {**record, "name": "nice"}, odd), odd)], python=None)
    context = FolderContext(tmp_path / "home", store_blobs(files, tmp_path / "store"))
    with pytest.raises(IntegrityError) as caught:
        realise(link, context.typed())
    assert caught.value.reference == "bad-package"


def test_h30_a_zip_that_can_be_read_in_two_ways(tmp_path: Path) -> None:
    path = Forged().write(tmp_path)
    data = path.read_bytes()
    for content in (b"#!/bin/sh\n" + data, data + b"more", data + data, data[:-1]):
        path.write_bytes(content)
        link, context = linked({"nice": path}, tmp_path / f"home-{hashlib.sha256(content).hexdigest()[:8]}")
        with pytest.raises(IntegrityError) as caught:
            realise(link, context.typed())
        assert caught.value.reference == "bad-archive"


@pytest.mark.parametrize("name", ["name", "version", "build", "subdir"])
def test_h31_an_index_that_lies(name: str, tmp_path: Path) -> None:
    for error in refused(Forged(index={name: "linux-64" if name == "subdir" else "9"}), tmp_path):
        assert error.reference == "wrong-package"


LISTS: Mapping[str, Forged] = {
    "a path out": Forged(paths=[line("../evil")]),
    "a path out that is there": Forged(paths=[line("../nice-1.0-0/share/nice")]),
    "an absolute path": Forged(paths=[line("/tmp/evil")]),
    "a path of Windows": Forged(paths=[line("..\\evil")]),
    "a path twice": Forged(paths=[line("share/nice"), line("share/nice")]),
    "a control character": Forged(paths=[line("share/\x1b[2J")]),
    "what is not there": Forged(paths=[line("share/evil")]),
    "another sha256": Forged(paths=[line("share/nice", b"y")]),
    "another sha256 of a large file": Forged(
        payload=[Piece(name="share/nice", data=b"large " * 400_000)],
        paths=[line("share/nice", b"other " * 400_000)],
    ),
    "another size": Forged(paths=[line("share/nice", size_in_bytes=7)]),
    "a size that is none": Forged(paths=[line("share/nice", size_in_bytes=-1)]),
    "an unknown kind": Forged(paths=[line("share/nice", path_type="device")]),
    "an unknown mode": Forged(paths=[line("share/nice", file_mode="evil")]),
    "an empty placeholder": Forged(paths=[line("share/nice", prefix_placeholder="", file_mode="text")]),
    "a placeholder of 10 MB": Forged(paths=[line("share/nice", prefix_placeholder="q" * 10_000_000, file_mode="text")]),
    "a record of packages": Forged(payload=[Piece(name="conda-meta/evil.json")], paths=[line("conda-meta/evil.json")]),
    "the history": Forged(payload=[Piece(name="conda-meta/history")], paths=[line("conda-meta/history")]),
    "a stamp": Forged(payload=[Piece(name=".envbuild-stamp")], paths=[line(".envbuild-stamp")]),
    "no list": Forged(paths=b'{"paths": 1, "paths_version": 1}'),
    "a version from the future": Forged(paths=b'{"paths": [], "paths_version": 2}'),
    "no JSON": Forged(paths=b"[" * 100_000),
    "a link out": Forged(
        payload=[Piece(name="evil", type=tarfile.SYMTYPE, link="../../evil")],
        paths=[line("evil", path_type="softlink")],
    ),
    "an absolute link": Forged(
        payload=[Piece(name="evil", type=tarfile.SYMTYPE, link="/etc/passwd")],
        paths=[line("evil", path_type="softlink")],
    ),
    "a file through a link": Forged(
        payload=[Piece(name="d", type=tarfile.SYMTYPE, link="/tmp"), Piece(name="d/evil")], paths=[line("d/evil")]
    ),
    "a hard link out": Forged(
        payload=[Piece(name="evil", type=tarfile.LNKTYPE, link="/etc/passwd")], paths=[line("evil")]
    ),
    "a pipe": Forged(payload=[Piece(name="evil", type=tarfile.FIFOTYPE)], paths=[line("evil")]),
    "a device": Forged(payload=[Piece(name="evil", type=tarfile.CHRTYPE)], paths=[line("evil")]),
}


@pytest.mark.parametrize("case", LISTS)
def test_h31_a_list_of_files_that_lies(case: str, tmp_path: Path) -> None:
    for error in refused(LISTS[case], tmp_path):
        assert error.reference == "bad-package"


@pytest.mark.parametrize("step", ["prepare", "realise"])
def test_h25_special_bits_are_cleared_and_told_once(step: str, tmp_path: Path) -> None:
    """Also of a file that is copied, since a path is written into it, before anybody could look at it."""
    placeholder, text = "/opt/" + "p" * 200, b"#!/opt/" + b"p" * 200 + b"/bin/sh\n"
    patched = line("bin/t", text, prefix_placeholder=placeholder, file_mode="text")
    forged = Forged(
        payload=[Piece(name="bin/s", mode=0o6777), Piece(name="bin/t", mode=0o4757, data=text)],
        paths=[line("bin/s"), patched],
    )
    link, context = linked({"nice": forged.write(tmp_path)}, tmp_path / "home")
    for _ in range(2):
        done(link, context, step)
        for name in ("s", "t"):
            assert (prefix_of(link, context) / "bin" / name).stat().st_mode & 0o7002 == 0
        shutil.rmtree(prefix_of(link, context))
    said = "nice-1.0-0.conda: 2 members lose setuid, setgid, sticky or world-write bits: bin/s …"
    assert context.notes == [said]


@pytest.mark.parametrize("name", ["bin/.nice-pre-link.sh", "bin/.other-pre-link.sh", "Scripts/.nice-pre-link.bat"])
def test_h31_a_script_that_must_run_first_is_refused(name: str, tmp_path: Path) -> None:
    forged = Forged(payload=[Piece(name=name)], paths=[line(name)])
    for error in refused(forged, tmp_path):
        assert error.reference == "pre-link-script"
        assert "nice-1.0-0.conda" in error.message


def test_h31_other_scripts_are_told_and_never_run(tmp_path: Path) -> None:
    names = [f"bin/.nice-{moment}.sh" for moment in ("post-link", "pre-unlink")]
    ran = f"#!/bin/sh\ntouch {tmp_path}/ran\n".encode()
    forged = Forged(
        payload=[Piece(name=name, data=ran, mode=0o755) for name in names], paths=[line(name, ran) for name in names]
    )
    link, context = linked({"nice": forged.write(tmp_path)}, tmp_path / "home")
    done(link, context, "prepare")
    assert context.notes == [f"nice 1.0 has scripts that envbuild does not run: {', '.join(names)}"]
    assert not (tmp_path / "ran").exists()


def test_the_command_refuses_and_leaves_nothing(case: Case, tmp_path: Path) -> None:
    import asyncio

    from rattler.index import index_fs

    channel = tmp_path / "channel"
    write_package(PackageRecipe(name="nice", version="1.0", subdir="noarch", noarch="generic"), channel)
    asyncio.run(index_fs(channel, write_zst=False, write_shards=False))
    case.recipe(
        f"platforms: [{this_platform()}]\nconda: {{channels: ['{channel.as_uri()}'], packages: {{nice: }}}}\n"
    ).run("lock", "x.yaml")
    place = case.project / "x.lock.yaml"
    lock = parse_lock(place.read_bytes(), "x")
    (environment,) = lock.platforms
    (package,) = environment.conda
    for forged in (LISTS["a path out that is there"], STRUCTURE["two payloads"], LISTS["a hard link out"]):
        path = forged.write(channel / "noarch")
        changed = replace(package, sha256=Digest(digest_file(path)), size=path.stat().st_size, md5=None)
        new = replace(lock, platforms=(replace(environment, conda=(changed,)),))
        place.write_text(lock_text(new), encoding="utf-8")
        case.run("realize", "x.yaml", "--frozen", code=4).mentions("bad-package", "nice-1.0-0.conda", "hint: ")
        assert not any((case.home / "prefixes").glob("[0-9a-f]*"))
        assert not list((case.home / "tmp").glob("*"))
    assert zipfile.is_zipfile(channel / "noarch" / "nice-1.0-0.conda")


@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE])
def test_h29_a_size_that_nobody_ends_reading(kind: bytes, tmp_path: Path) -> None:
    """A header may say 2^80 bytes; whoever passes over them, block by block, never comes back."""
    member = tarfile.TarInfo("info/other")
    member.type, member.size = kind, 1 << 80
    path = tmp_path / "nice-1.0-0.tar.bz2"
    path.write_bytes(bz2.compress(member.tobuf(tarfile.GNU_FORMAT) + bytes(4096)))
    with pytest.raises(IntegrityError) as caught:
        package_index(path, path.name)
    assert caught.value.reference == "bad-archive"
