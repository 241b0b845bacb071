"""Archives: source archives unpacked, wheels and conda packages judged, packages written in the other format.

Rules of the file: see ``subjects``. Everything is written below the subject's folder, and nothing may appear beside.
"""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random

import zstandard

from envbuild.builders.unpack import unpack_source
from envbuild.digest import digest_bytes
from envbuild.errors import EnvbuildError, IntegrityError
from envbuild.linkers.archive import unpack
from envbuild.linkers.conda_archive import check_structure, explain, package_index
from envbuild.linkers.conda_contents import read_listing
from envbuild.linkers.wheel_check import inspect_wheel
from envbuild.linkers.zip_structure import BadZipError, ZipFileView
from envbuild.package import CondaPackage, Wheel
from envbuild.transmuting.rewrite import Package, rewrite
from tests.faults.mutations import changed_archive, changed_text, damaged, with_right_sums
from tests.support.conda_package import PackageRecipe, write_package
from tests.support.git_server import Link, Script, write_tree
from tests.support.wheels import make_wheel

Each = Callable[[Random], bool]

TREE = {
    "p-1/pyproject.toml": "[project]\nname = 'p'\n",
    "p-1/src/ü.py": "x = 1\n" * 40,
    "p-1/run": Script("#!/bin/sh\n"),
    "p-1/src/link": Link("../run"),
    "p-1/" + "long" * 40: "name\n",
}


def tars(folder: Path, form: int = tarfile.PAX_FORMAT) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=form) as tar:
        tar.add(folder / "p-1", "p-1")
        link = tarfile.TarInfo("p-1/hard")
        link.type, link.linkname = tarfile.LNKTYPE, "p-1/run"
        tar.addfile(link)
    return data.getvalue()


def zips(folder: Path) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            if not path.is_symlink():
                archive.write(path, path.relative_to(folder))
    return data.getvalue()


Make = Callable[[Path], bytes]
Mend = Callable[[bytes], bytes]


def sources(ending: str, make: Make, before: Mend, after: Mend, folder: Path) -> Each:
    """A source archive: unpacked inside its folder, or refused.

    Args:
        ending: Of its name.
        make: Writes a good one from a folder.
        before: Done to its bytes after they were changed: sums made right again, or compressed.
        after: Done to these, now and then: changed once more.
        folder: The subject's own.
    """
    write_tree(folder / "in", TREE)
    honest = make(folder / "in")
    work = folder / "work"
    beside = {"in", "work", *(path.name for path in folder.iterdir())}

    def each(chance: Random) -> bool:
        shutil.rmtree(work, ignore_errors=True)
        (work / "out").mkdir(parents=True)
        data = before(changed_archive(honest, chance))
        (work / "archive").write_bytes(changed_archive(data, chance) if chance.random() < 0.2 else after(data))
        try:
            top = unpack_source(work / "archive", f"p-1{ending}", work / "out")
        except IntegrityError:
            top = None
        else:
            assert top.parent == work / "out"
            for path in top.rglob("*"):
                assert path.resolve().is_relative_to(top.resolve()), path
        assert {path.name for path in work.iterdir()} == {"archive", "out"}
        assert {path.name for path in folder.iterdir()} <= beside
        return top is not None

    return each


def interpreters(folder: Path) -> Each:
    """A managed Python's archive: unpacked inside its folder, or refused."""
    write_tree(folder / "in", {name.replace("p-1/", "python/"): content for name, content in TREE.items()})
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        tar.add(folder / "in" / "python", "python")
    honest = data.getvalue()
    archive, out = folder / "archive", folder / "out"
    beside = {"archive", "in", "out", *(path.name for path in folder.iterdir())}

    def each(chance: Random) -> bool:
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        packed = chance.choice((_gz, _zst))(with_right_sums(changed_archive(honest, chance)))
        archive.write_bytes(changed_archive(packed, chance) if chance.random() < 0.2 else packed)
        try:
            unpack(archive, "x.tar.gz", out)
            read = True
        except IntegrityError:
            read = False
        for path in out.rglob("*"):
            assert path.resolve().is_relative_to(out.resolve()), path
        assert {path.name for path in folder.iterdir()} <= beside
        return read

    return each


def wheels(folder: Path) -> Each:
    """A wheel: refused, or the same files to every reader."""
    path = make_wheel(
        folder, "tool-box", "1.0", scripts={"tool-box": "tool_box:main"}, files={"data/x.txt": b"x" * 200}
    )
    good = path.read_bytes()

    def each(chance: Random) -> bool:
        data = damaged(good, chance) if chance.random() < 0.95 else good
        path.write_bytes(data)
        locked = Wheel(name="tool-box", version="1.0", file=path.name, sha256=digest_bytes(data), index="default")
        try:
            inspect_wheel(path, locked)
        except EnvbuildError:
            return False
        with ZipFileView(path) as view, zipfile.ZipFile(io.BytesIO(data)) as archive:
            ours = {entry.name: b"".join(view.pieces(entry)) for entry in view.entries}
            assert ours == {name: archive.read(name) for name in archive.namelist()}
        return True

    return each


def directories(folder: Path) -> Each:
    """The end of a zip, where its directory is."""
    good = make_wheel(folder, "tool-box", "1.0", files={"data/x.txt": b"x" * 200}).read_bytes()
    path, begin = folder / "x.zip", good.index(b"PK\1\2")

    def each(chance: Random) -> bool:
        path.write_bytes(good[:begin] + damaged(good[begin:], chance))
        try:
            with ZipFileView(path) as view:
                for entry in view.entries:
                    list(view.pieces(entry))
        except BadZipError:
            return False
        return True

    return each


def conda_package(suffix: str, folder: Path) -> tuple[Path, CondaPackage]:
    """A small package, and what a lock says of it."""
    recipe = PackageRecipe(
        name="nice", version="1.0", subdir="noarch", noarch="generic", suffix=suffix,
        files={"share/n": "n" * 99, "bin/run": "#!/bin/sh\n"}, links={"share/link": "n"},
    )  # fmt: skip
    path = write_package(recipe, folder)
    locked = CondaPackage(
        name="nice", version="1.0", build="0", build_number=0, subdir="noarch", file=path.name,
        sha256=digest_bytes(path.read_bytes()), channel="c",
    )  # fmt: skip
    return path, locked


def repacked(good: bytes, chance: Random) -> bytes:
    """A package whose tar was changed inside: a ``.tar.bz2``, or one part of a ``.conda``."""
    if good.startswith(b"BZh"):
        return bz2.compress(with_right_sums(changed_archive(bz2.decompress(good), chance)), 1)
    data = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(good)) as old, zipfile.ZipFile(data, "w", zipfile.ZIP_STORED) as new:
        members = {info.filename: old.read(info) for info in old.infolist()}
        chosen = chance.choice(sorted(members))
        for name, content in members.items():
            if name == chosen and name.endswith(".zst"):
                tar = zstandard.ZstdDecompressor().decompressobj().decompress(content)
                tar = with_right_sums(changed_archive(tar, chance))
                content = zstandard.ZstdCompressor(level=1).compress(tar)
            elif name == chosen:
                content = changed_text(content, chance, [content])
            new.writestr(name, content)
    return data.getvalue()


def conda_packages(suffix: str, folder: Path) -> Each:
    """A conda package before it is linked: its structure, its index, its contents."""
    path, package = conda_package(suffix, folder)
    good = path.read_bytes()

    def each(chance: Random) -> bool:
        path.write_bytes(damaged(good, chance) if chance.random() < 0.5 else repacked(good, chance))
        read = True
        for check in (check_structure, lambda path, package: package_index(path, package.file), explain):
            try:
                check(path, package)
            except IntegrityError:
                read = False
        return read

    return each


def transmuted(suffix: str, folder: Path) -> Each:
    """A conda package written in the other format: whole, or not at all, with nothing beside."""
    path, package = conda_package(suffix, folder / "in")
    good = path.read_bytes()
    target = folder / "out" / f"nice-1.0-0{'.conda' if suffix == '.tar.bz2' else '.tar.bz2'}"

    def each(chance: Random) -> bool:
        path.write_bytes(damaged(good, chance) if chance.random() < 0.3 else repacked(good, chance))
        shutil.rmtree(target.parent, ignore_errors=True)
        target.parent.mkdir()
        try:
            rewrite(Package(path=path, file=path.name), target, 1)
        except IntegrityError:
            return False
        assert [item.name for item in target.parent.iterdir()] == [target.name]
        check = CondaPackage(
            name=package.name, version=package.version, build=package.build, build_number=0, subdir=package.subdir,
            file=target.name, sha256=package.sha256, channel="c",
        )  # fmt: skip
        check_structure(target, check)
        return True

    return each


def listings(folder: Path) -> Each:
    """A package's ``paths.json``: what it lists stays inside."""
    entries = [
        {"_path": f"share/{n}", "path_type": "hardlink", "sha256": "0" * 64, "size_in_bytes": n} for n in range(5)
    ]
    entries.append({"_path": "bin/x", "path_type": "softlink", "sha256": "0" * 64, "file_mode": "text"})  # type: ignore[dict-item]
    good = json.dumps({"paths": entries, "paths_version": 1}, indent=1).encode()
    package = conda_package(".conda", folder)[1]

    def each(chance: Random) -> bool:
        try:
            listed = read_listing(changed_text(good, chance, [good]), package)
        except EnvbuildError:
            return False
        assert not any(item.path.startswith("/") or ".." in item.path.split("/") for item in listed)
        return True

    return each


def _zst(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=1).compress(data)


def _xz(data: bytes) -> bytes:
    return lzma.compress(data, preset=0)


def _gz(data: bytes) -> bytes:
    return gzip.compress(data, 1)


def _bz2(data: bytes) -> bytes:
    return bz2.compress(data, 1)


def _packed(pack: Mend) -> Mend:
    return lambda data: pack(with_right_sums(data))


SUBJECTS: dict[str, Callable[[Path], Each]] = {
    "tars, pax": partial(sources, ".tar", tars, bytes, bytes),
    "tars, pax, sums right": partial(sources, ".tar", tars, with_right_sums, bytes),
    "tars, GNU, sums right": partial(sources, ".tar", partial(tars, form=tarfile.GNU_FORMAT), with_right_sums, bytes),
    "tars, gzip": partial(sources, ".tar.gz", tars, _packed(_gz), bytes),
    "tars, bz2": partial(sources, ".tar.bz2", tars, _packed(_bz2), bytes),
    "tars, xz": partial(sources, ".tar.xz", tars, _packed(_xz), bytes),
    "tars, zstd": partial(sources, ".tar.zst", tars, _packed(_zst), bytes),
    "zips": partial(sources, ".zip", zips, bytes, bytes),
    "archives of Pythons": interpreters,
    "wheels": wheels,
    "zip directories": directories,
    "conda packages, .conda": partial(conda_packages, ".conda"),
    "conda packages, .tar.bz2": partial(conda_packages, ".tar.bz2"),
    "transmuted .conda": partial(transmuted, ".conda"),
    "transmuted .tar.bz2": partial(transmuted, ".tar.bz2"),
    "paths.json": listings,
}
