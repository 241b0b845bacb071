"""H20-H29 and H44: hostile source archives. Refused with exit 4 and the member's name; nothing outside is written.

The archives are made byte by byte where no library would make them.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import zstandard

from envbuild.builders import unpack
from envbuild.builders.twins import Folding, probe
from envbuild.builders.unpack import unpack_source
from envbuild.errors import IntegrityError
from tests.support.memory import at_most

SECONDS = 10.0
MEGABYTES = 512


@dataclass(frozen=True, kw_only=True)
class Raw:
    """A tar header field by field, right unless told otherwise."""

    name: bytes
    data: bytes = b""
    kind: bytes = b"0"
    mode: bytes = b"0000644\0"
    link: bytes = b""
    size: bytes | None = None
    magic: bytes = b"ustar\x0000"
    prefix: bytes = b""
    checksum: bytes | None = None

    def packed(self) -> bytes:
        """The header and the content."""
        size = b"%011o\0" % len(self.data) if self.size is None else self.size
        head = self.name.ljust(100, b"\0") + self.mode + b"0000000\0" * 2 + size + b"00000000000\0"
        tail = self.kind + self.link.ljust(100, b"\0") + self.magic
        tail += b"\0" * 80 + self.prefix.ljust(155, b"\0") + bytes(12)
        total = b"%06o\0 " % (sum(head) + sum(tail) + 256) if self.checksum is None else self.checksum
        assert len(head + total + tail) == 512
        return head + total + tail + self.data + bytes(-len(self.data) % 512)


def tar(*members: Raw, end: bytes = bytes(1024)) -> bytes:
    """An archive whose first member is its top folder."""
    return b"".join(member.packed() for member in (Raw(name=b"p/", kind=b"5"), *members)) + end


def pax(*records: tuple[str, bytes], kind: bytes = b"x") -> Raw:
    """A pax header with these records."""
    data = b""
    for keyword, value in records:
        rest = b" " + keyword.encode() + b"=" + value + b"\n"
        length = next(size for size in range(len(rest) + 1, len(rest) + 9) if size == len(rest) + len(str(size)))
        data += str(length).encode() + rest
    return Raw(name=b"pax", kind=kind, data=data)


def refused(data: bytes, folder: Path, name: str = "p-1.0.tar") -> IntegrityError:
    """Unpack what must be refused, and hold it to the rules for hostile input."""
    archive = folder / "archive"
    archive.write_bytes(data)
    canary = {path: path.stat().st_mtime_ns for path in folder.parent.rglob("*")}
    out = folder / "out"
    out.mkdir()
    began = time.monotonic()
    with at_most(MEGABYTES), pytest.raises(IntegrityError) as caught:
        unpack_source(archive, name, out)
    assert time.monotonic() - began < SECONDS
    error = caught.value
    assert error.exit_code == 4
    assert error.reference.startswith("archive-")
    assert name in error.message
    assert len(error.message) < 500
    assert all(letter.isprintable() for letter in error.message)
    outside = {path for path in folder.parent.rglob("*") if out not in path.parents} - set(canary) - {out}
    assert not outside
    return error


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "deep" / "work"
    place.mkdir(parents=True)
    before = set(tmp_path.iterdir())
    yield place
    assert set(tmp_path.iterdir()) == before


# H20


@pytest.mark.parametrize(
    "name",
    [
        b"../x",
        b"/x",
        b"p/../../x",
        b"p/../x",
        b"..\\x",
        b"p\\x",
        b"C:\\x",
        b"C:x",
        b"//server/x",
        b"p/a\nb",
        b"p/\x1b[2J",
        b"p/..",
        b"",
    ],
)
def test_H20_paths_that_leave_or_mean_two_things(name: bytes, folder: Path) -> None:
    assert refused(tar(Raw(name=name, data=b"x")), folder).reference == "archive-path"


def test_H20_paths_hidden_in_other_headers(folder: Path) -> None:
    for number, members in enumerate(
        (
            [pax(("path", b"../x")), Raw(name=b"p/innocent", data=b"x")],
            [pax(("path", b"/x"), kind=b"g"), Raw(name=b"p/innocent", data=b"x")],
            [Raw(name=b"long", kind=b"L", data=b"p/../../x\0"), Raw(name=b"p/innocent", data=b"x")],
            [Raw(name=b"x", prefix=b"..", data=b"x")],
            [Raw(name=b"x", prefix=b"p/../..", data=b"x")],
        )
    ):
        place = folder / str(number)
        place.mkdir()
        assert refused(tar(*members), place).reference == "archive-path"


def test_H20_names_that_are_too_long(folder: Path) -> None:
    (folder / "1").mkdir()
    (folder / "2").mkdir()
    deep = b"/".join([b"d" * 100] * 11)
    assert refused(tar(pax(("path", b"p/" + b"x" * 256)), Raw(name=b"p/a")), folder / "1").reference == "archive-limit"
    assert refused(tar(pax(("path", b"p/" + deep)), Raw(name=b"p/a")), folder / "2").reference == "archive-limit"


# H21, H22


@pytest.mark.parametrize(
    "links",
    [
        [(b"p/a", b"/etc/passwd")],
        [(b"p/a", b"../x")],
        [(b"p/a", b"../../x")],
        [(b"p/a", b"..")],
        [(b"p/a", b"b/../../x")],
        [(b"p/up", b"d/e/.."), (b"p/a", b"up/../../x")],
        [(b"p/d/top", b".."), (b"p/a", b"d/top/../x")],
        [(b"p/a", b"b"), (b"p/b", b"c"), (b"p/c", b"../../x")],
        [(b"p/a", b"a")],
        [(b"p/a", b"b"), (b"p/b", b"a")],
        [(b"p/a", b"")],
        [(b"p/a", b"..\\x")],
    ],
)
def test_H21_links_that_leave(links: Sequence[tuple[bytes, bytes]], folder: Path) -> None:
    members = [Raw(name=name, kind=b"2", link=target) for name, target in links]
    error = refused(tar(Raw(name=b"p/d/", kind=b"5"), Raw(name=b"p/d/e/", kind=b"5"), *members), folder)
    assert error.reference == "archive-link"


def test_H21_nothing_is_written_through_a_link(folder: Path) -> None:
    (folder.parent / "target").mkdir()
    inside = [Raw(name=b"p/d/", kind=b"5"), Raw(name=b"p/a", kind=b"2", link=b"d"), Raw(name=b"p/a/x", data=b"x")]
    (folder / "1").mkdir()
    assert refused(tar(*inside), folder / "1").reference == "archive-duplicate"
    over = [Raw(name=b"p/a", kind=b"2", link=b"d"), Raw(name=b"p/a", data=b"x")]
    (folder / "2").mkdir()
    assert refused(tar(*over), folder / "2").reference == "archive-duplicate"
    assert not list((folder.parent / "target").iterdir())


def test_H22_chains_longer_than_a_kernel_follows(folder: Path) -> None:
    """The shape of CVE-2025-4517: a path so long that a real path is no longer resolved, and its end leaves."""
    members = []
    step = b"d" * 247
    path = b"p"
    for letter in b"abcdefghijklmnop":
        members.append(pax(("path", path + b"/" + step)))
        members.append(Raw(name=b"x", kind=b"5"))
        members.append(pax(("path", path + b"/" + bytes([letter])), ("linkpath", step)))
        members.append(Raw(name=b"x", kind=b"2", link=b"x"))
        path += b"/" + step
        if len(path) > 700:
            break
    members.append(Raw(name=b"p/escape", kind=b"2", link=b"a/b/c/../../../../x"))
    assert refused(tar(*members), folder).reference == "archive-link"
    many = [Raw(name=b"p/l%d" % number, kind=b"2", link=b"l%d" % (number + 1)) for number in range(50)]
    (folder / "again").mkdir()
    error = refused(tar(*many, Raw(name=b"p/l50", data=b"x")), folder / "again")
    assert error.reference == "archive-link"


# H23


@pytest.mark.parametrize(
    ("members", "reference"),
    [
        ([Raw(name=b"p/a", kind=b"1", link=b"/etc/passwd")], "archive-path"),
        ([Raw(name=b"p/a", kind=b"1", link=b"../x")], "archive-path"),
        ([Raw(name=b"p/a", kind=b"1", link=b"p/absent")], "archive-link"),
        ([Raw(name=b"p/a", kind=b"1", link=b"p/later"), Raw(name=b"p/later")], "archive-link"),
        (
            [Raw(name=b"p/f"), Raw(name=b"p/a", kind=b"1", link=b"p/f"), Raw(name=b"p/a", data=b"x")],
            "archive-duplicate",
        ),
        ([Raw(name=b"p/l", kind=b"2", link=b"f"), Raw(name=b"p/a", kind=b"1", link=b"p/l")], "archive-link"),
        ([Raw(name=b"p/a", kind=b"1", link=b"p/a")], "archive-link"),
        ([Raw(name=b"p/a", kind=b"1", link=b"p")], "archive-link"),
    ],
)
def test_H23_hard_links(members: Sequence[Raw], reference: str, folder: Path) -> None:
    assert refused(tar(*members), folder).reference == reference


# H24, H25


@pytest.mark.parametrize("kind", [b"3", b"4", b"6", b"S", b"D", b"M", b"V", b"N", b"Z", b"\xff"])
def test_H24_what_is_neither_file_folder_nor_link(kind: bytes, folder: Path) -> None:
    assert refused(tar(Raw(name=b"p/a", kind=kind)), folder).reference in {"archive-type", "archive-format"}


def test_H24_sparse_files_in_pax(folder: Path) -> None:
    members = [pax(("GNU.sparse.major", b"1"), ("GNU.sparse.minor", b"0")), Raw(name=b"p/a", data=b"x")]
    assert refused(tar(*members), folder).reference == "archive-type"


def told(data: bytes, folder: Path, name: str = "p.tar", folding: Folding | None = None) -> tuple[Path, list[str]]:
    """An archive's top folder, and what was said of it."""
    notes: list[str] = []
    (folder / "a").write_bytes(data)
    (folder / "out").mkdir()
    ask = probe if folding is None else lambda _: folding
    return unpack_source(folder / "a", name, folder / "out", notes.append, ask), notes


def test_H25_bits_that_would_be_dangerous_are_cleared(tmp_path: Path) -> None:
    modes = {b"p/a": b"0007777\0", b"p/b": b"0006666\0", b"p/c": b"0000644\0"}
    top, notes = told(tar(*(Raw(name=name, mode=mode) for name, mode in modes.items())), tmp_path)
    assert [(top / name).stat().st_mode & 0o7777 for name in ("a", "b", "c")] == [0o755, 0o644, 0o644]
    assert notes == ["p.tar: 2 members lose setuid, setgid, sticky or world-write bits: p/a …"]


@pytest.mark.parametrize("mode", [0o4755, 0o2755, 0o1755, 0o646])
def test_H25_one_of_these_bits_is_told_in_zips_too(mode: int, tmp_path: Path) -> None:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, bits in (("p/a", mode), ("p/b", 0o644)):
            member = zipfile.ZipInfo(name)
            member.external_attr = (0o100000 | bits) << 16
            archive.writestr(member, b"")
    top, notes = told(data.getvalue(), tmp_path, "p.zip")
    assert notes == ["p.zip: 1 member loses setuid, setgid, sticky or world-write bits: p/a"]
    assert (top / "a").stat().st_mode & 0o7777 in {0o644, 0o755}


def test_H25_modes_that_archives_have_are_nothing_to_tell(tmp_path: Path) -> None:
    modes = (b"0000644\0", b"0000664\0", b"0000755\0", b"0000775\0", b"0000600\0", b"0000000\0")
    link = Raw(name=b"p/l", kind=b"2", link=b"0", mode=b"0000777\0")
    members = [Raw(name=b"p/%d" % number, mode=mode) for number, mode in enumerate(modes)]
    assert told(tar(*members, link), tmp_path)[1] == []


# H26

TWINS = {
    "case": (["p/README", "p/readme"], Folding(case=True, form=False)),
    "case of a folder": (["p/Doc/a", "p/doc/b"], Folding(case=True, form=False)),
    "case beyond ASCII": (["p/\u00c9", "p/\u00e9"], Folding(case=True, form=False)),
    "composition": (["p/\u00e9", "p/e\u0301"], Folding(case=False, form=True)),
    "both": (["p/\u00c9", "p/e\u0301"], Folding(case=True, form=True)),
}


@pytest.mark.parametrize("case", TWINS)
def test_H26_twins_are_refused_where_they_are_one_file(case: str, tmp_path: Path) -> None:
    names, folds = TWINS[case]
    data = tar(*(Raw(name=name.encode(), data=b"x") for name in names))
    with pytest.raises(IntegrityError, match="one file here") as caught:
        told(data, tmp_path, folding=folds)
    assert caught.value.reference == "archive-duplicate"


@pytest.mark.parametrize("case", TWINS)
def test_H26_twins_are_told_where_they_are_two_files(case: str, tmp_path: Path) -> None:
    names, folds = TWINS[case]
    real = probe(tmp_path)
    if (real.case and folds.case) or (real.form and folds.form):
        pytest.skip("THIS FILE SYSTEM takes these names for one")
    top, notes = told(tar(*(Raw(name=name.encode(), data=name.encode()) for name in names)), tmp_path)
    assert [(top.parent / name).read_text() for name in names] == names
    assert len(notes) == 1, "one, also where what is below has twins too"
    assert "are one file on many other machines" in notes[0]


def test_H26_the_file_system_is_asked_by_a_file_of_ours_that_goes(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    (place / "Caf\u00e9").touch()
    found = probe(place)
    assert found.case == (place / "cAF\u00e9").exists()
    assert found.form == (place / "Cafe\u0301").exists()
    assert [path.name for path in place.iterdir()] == ["Caf\u00e9"]


@pytest.mark.parametrize(
    "members",
    [
        [Raw(name=b"p/a", data=b"1"), Raw(name=b"p/a", data=b"2")],
        [Raw(name=b"p/a", data=b"1"), Raw(name=b"p//a", data=b"2")],
        [Raw(name=b"p/a", data=b"1"), Raw(name=b"./p/./a", data=b"2")],
        [Raw(name=b"p/a", data=b"1"), Raw(name=b"p/a/", kind=b"5")],
        [Raw(name=b"p/a", data=b"1"), Raw(name=b"p/a/b", data=b"2")],
        [Raw(name=b"p/a/b", data=b"1"), Raw(name=b"p/a", data=b"2")],
        [Raw(name=b"p/a/b", data=b"1"), Raw(name=b"p/a", kind=b"2", link=b"b")],
        [Raw(name=b"p/a", kind=b"2", link=b"b"), Raw(name=b"p/a/", kind=b"5")],
    ],
)
def test_H26_one_path_twice(members: Sequence[Raw], folder: Path) -> None:
    assert refused(tar(*members), folder).reference == "archive-duplicate"


# H27, H28


def zeros(size: int) -> bytes:
    """A tar with one file of so many zeros, packed piece by piece."""
    return Raw(name=b"p/a", size=b"%011o\0" % size).packed()


class Packer:
    """Packs a long run of zeros without holding it."""

    def __init__(self, first: Callable[[bytes], bytes], last: Callable[[], bytes]) -> None:
        self.first, self.last = first, last

    def pack(self, size: int) -> bytes:
        pieces = [self.first(Raw(name=b"p/", kind=b"5").packed() + zeros(size))]
        block = bytes(1 << 20)
        pieces += [self.first(block) for _ in range(size >> 20)]
        return b"".join([*pieces, self.first(bytes(1024)), self.last()])


def _bombs() -> dict[str, Packer]:
    gz = zlib.compressobj(9, wbits=31)
    bz = bz2.BZ2Compressor()
    xz = lzma.LZMACompressor(preset=0)
    zstd = zstandard.ZstdCompressor(level=1).compressobj()
    return {
        ".tar.gz": Packer(gz.compress, gz.flush),
        ".tar.bz2": Packer(bz.compress, bz.flush),
        ".tar.xz": Packer(xz.compress, xz.flush),
        ".tar.zst": Packer(zstd.compress, zstd.flush),
    }


@pytest.mark.parametrize("ending", [".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst"])
def test_H27_bombs_stop_at_the_limit(ending: str, folder: Path) -> None:
    data = _bombs()[ending].pack(128 << 20)
    assert refused(data, folder, f"p-1.0{ending}").reference == "archive-limit"
    written = sum(path.stat().st_size for path in (folder / "out").rglob("*") if path.is_file())
    assert written <= max(unpack.RATIO_FROM, unpack.RATIO * len(data)) + (1 << 20)


def test_H27_a_zip_bomb(folder: Path) -> None:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("p/a", "w") as stream:
        for _ in range(128):
            stream.write(bytes(1 << 20))
    assert refused(data.getvalue(), folder, "p-1.0.zip").reference == "archive-limit"


def test_H27_a_window_larger_than_allowed(folder: Path) -> None:
    settings = zstandard.ZstdCompressionParameters(window_log=28)
    data = zstandard.ZstdCompressor(compression_params=settings).compressobj()
    frame = data.compress(tar(Raw(name=b"p/a", data=b"x"))) + data.flush()
    assert refused(frame, folder, "p-1.0.tar.zst").reference == "archive-format"


def test_H27_a_size_beyond_the_limit_is_refused_before_it_comes(folder: Path) -> None:
    huge = Raw(name=b"p/a", size=b"\x80" + (1 << 40).to_bytes(11, "big"))
    assert refused(tar(huge), folder).reference == "archive-limit"


def test_H28_too_many_members(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpack, "MEMBERS", 1000)
    members = [Raw(name=b"p/%d" % number) for number in range(1001)]
    assert refused(tar(*members), folder).reference == "archive-limit"


# H29


@pytest.mark.parametrize(
    "data",
    [
        tar(Raw(name=b"p/a", data=b"x"), end=b""),
        tar(Raw(name=b"p/a", data=b"x"))[:700],
        tar(Raw(name=b"p/a", data=b"x" * 2000))[:2000],
        tar(Raw(name=b"p/a", data=b"x", checksum=b"000001\0 ")),
        tar(Raw(name=b"p/a", size=b"-0000000001\0")),
        tar(Raw(name=b"p/a", size=b"\xff" * 12)),
        tar(Raw(name=b"p/a", size=b"9999999999x\0")),
        tar(pax(("size", b"-1")), Raw(name=b"p/a", data=b"x")),
        tar(pax(("size", b"600")), Raw(name=b"p/a", data=b"x" * 100)),
        tar(pax(("size", b"1" * 30)), Raw(name=b"p/a")),
        tar(Raw(name=b"pax", kind=b"x", data=b"99 path=p/b\n"), Raw(name=b"p/a")),
        tar(Raw(name=b"pax", kind=b"x", data=b"path=p/b\n"), Raw(name=b"p/a")),
        tar(Raw(name=b"pax", kind=b"x", size=b"\x80" + (1 << 40).to_bytes(11, "big")), Raw(name=b"p/a")),
        tar(Raw(name=b"long", kind=b"L", size=b"%011o\0" % (1 << 30))),
        tar(Raw(name=b"p/a", data=b"x"), end=bytes(1024) + b"garbage after the end"),
        tar(Raw(name=b"p/a", data=b"x"), end=bytes(512) + Raw(name=b"p/b").packed() + bytes(1024)),
        tar(Raw(name=b"p/\xff\xfe", data=b"x")),
        tar(Raw(name=b"p/a", kind=b"2", link=b"\xff")),
        tar(Raw(name=b"p/d/", kind=b"5", data=b"content")),
        b"not an archive at all" * 100,
        b"",
    ],
)
def test_H29_broken_tars(data: bytes, folder: Path) -> None:
    assert refused(data, folder).reference == "archive-format"


@pytest.mark.parametrize("ending", [".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst"])
@pytest.mark.parametrize("harm", ["cut", "flipped", "followed", "other"])
def test_H29_broken_compression(ending: str, harm: str, folder: Path) -> None:
    pack = {".tar.gz": gzip.compress, ".tar.bz2": bz2.compress, ".tar.xz": lzma.compress}
    whole = pack.get(ending, zstandard.ZstdCompressor(write_checksum=True).compress)(
        tar(Raw(name=b"p/a", data=bytes(range(256)) * 40))
    )
    changed = {
        "cut": whole[:-5],
        "flipped": whole[:-6] + bytes([whole[-6] ^ 255]) + whole[-5:],
        "followed": whole + b"PK and more",
        "other": b"PK\3\4" + whole[4:],
    }[harm]
    if ending == ".tar.zst" and harm == "cut":
        changed = whole[: len(whole) // 2]
    assert refused(changed, folder, f"p-1.0{ending}").reference == "archive-format"


# H44


def test_H44_more_than_one_top_folder_or_none(folder: Path) -> None:
    for number, members in enumerate(
        (
            [Raw(name=b"q/", kind=b"5"), Raw(name=b"q/a", data=b"x")],
            [Raw(name=b"README", data=b"x")],
            [Raw(name=b"l", kind=b"2", link=b"p")],
        )
    ):
        place = folder / str(number)
        place.mkdir()
        assert refused(tar(*members), place).reference == "archive-structure"
    (folder / "x").mkdir()
    assert refused(Raw(name=b"only", data=b"x").packed() + bytes(1024), folder / "x").reference == "archive-structure"
    (folder / "y").mkdir()
    assert refused(Raw(name=b"./", kind=b"5").packed() + bytes(1024), folder / "y").reference == "archive-structure"


def zipped(**members: bytes) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, content in members.items():
            archive.writestr(f"p/{name}", content)
    return data.getvalue()


def test_H44_an_archive_that_is_two_archives(folder: Path) -> None:
    honest = tar(Raw(name=b"p/a", data=b"x"))
    inner = zipped(evil=b"x")
    extra = struct.pack("<H", len(inner)) + inner  # of a gzip header: any bytes at all
    gz = gzip.compress(honest, mtime=0)
    hidden = gz[:3] + bytes([gz[3] | 4]) + gz[4:10] + extra + gz[10:]
    end = hidden.rfind(b"PK\5\6")
    hidden = hidden[: end + 20] + struct.pack("<H", len(hidden) - end - 22) + hidden[end + 22 :]
    with tarfile.open(fileobj=io.BytesIO(hidden)) as read:
        assert read.getnames() == ["p", "p/a"]
    assert zipfile.is_zipfile(io.BytesIO(hidden))
    for number, (data, name) in enumerate(
        (
            (honest + inner, "p-1.0.tar"),
            (inner + honest, "p-1.0.zip"),
            (gz + inner, "p-1.0.tar.gz"),
            (hidden, "p-1.0.tar.gz"),
            (inner, "p-1.0.tar.gz"),
            (gz, "p-1.0.zip"),
            (honest, "p-1.0.tar.gz"),
            (gz, "p-1.0.tar"),
        )
    ):
        place = folder / str(number)
        place.mkdir()
        assert refused(data, place, name).reference == "archive-format", number


def changed_zip(harm: str) -> bytes:
    """A zip file in which one thing is not as it says."""
    data = bytearray(zipped(a=b"aaaa", b=b"bbbb"))
    directory = data.index(b"PK\1\2")
    end = data.index(b"PK\5\6")
    if harm == "local name":
        data[30 + 2] = ord("x")
    elif harm == "local size":
        data[22:26] = struct.pack("<L", 3)
    elif harm == "sum":
        data[34] ^= 1
    elif harm == "prefix":
        return b"#!/bin/sh\n" + bytes(data)
    elif harm == "suffix":
        return bytes(data) + b"more"
    elif harm == "encrypted":
        data[6] |= 1
        data[directory + 8] |= 1
    elif harm == "method":
        data[8] = data[directory + 10] = 12
    elif harm == "overlap":
        second = data.index(b"PK\1\2", directory + 4)
        data[second + 42 : second + 46] = struct.pack("<L", 0)
    elif harm == "count":
        data[end + 10] = data[end + 8] = 1
    elif harm == "disk":
        data[end + 4] = 1
    elif harm == "offset":
        data[end + 16 : end + 20] = struct.pack("<L", directory + 1)
    elif harm == "two ends":
        inner = b"PK\5\6" + bytes(18)
        return bytes(data[:end]) + bytes(data[end : end + 20]) + struct.pack("<H", len(inner)) + inner
    elif harm == "name":
        for at in (30 + 2, directory + 46 + 2):
            data[at] = 0xFF
    elif harm == "cut":
        return bytes(data[:-30])
    return bytes(data)


@pytest.mark.parametrize(
    "harm",
    [
        *("local name", "local size", "sum", "prefix", "suffix", "encrypted", "method", "overlap", "count", "disk"),
        *("offset", "two ends", "name", "cut"),
    ],
)
def test_H29_H44_zips_that_can_be_read_in_two_ways(harm: str, folder: Path) -> None:
    assert refused(changed_zip(harm), folder, "p-1.0.zip").reference == "archive-format"


@pytest.mark.parametrize(
    ("name", "mode", "content", "reference"),
    [
        ("../x", 0o100644, b"x", "archive-path"),
        ("/x", 0o100644, b"x", "archive-path"),
        ("p/..\\x", 0o100644, b"x", "archive-path"),
        ("p/l", 0o120777, b"../../x", "archive-link"),
        ("p/l", 0o120777, b"/etc/passwd", "archive-link"),
        ("p/l", 0o120777, b"x" * 5000, "archive-format"),
        ("p/f", 0o010644, b"", "archive-type"),
        ("p/c", 0o020644, b"", "archive-type"),
        ("p/a", 0o100644, b"again", "archive-duplicate"),
    ],
)
def test_H20_H26_members_of_zips(name: str, mode: int, content: bytes, reference: str, folder: Path) -> None:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("p/a", b"a")
        entry = zipfile.ZipInfo(name)
        entry.create_system, entry.external_attr = 3, mode << 16
        if name == "p/a":
            with pytest.warns(UserWarning, match="Duplicate"):
                archive.writestr(entry, content)
        else:
            archive.writestr(entry, content)
    assert refused(data.getvalue(), folder, "p-1.0.zip").reference == reference
