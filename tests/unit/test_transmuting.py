"""Packages written anew: the same members in both directions, the same bytes everywhere, read by everybody else."""

from __future__ import annotations

import bz2
import ctypes
import ctypes.util
import hashlib
import io
import json
import os
import random
import stat
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from envbuild.errors import IntegrityError
from envbuild.tar_reader import ArchiveFormatError
from envbuild.transmuting.bz2_file import PlainReader, open_bz2
from envbuild.transmuting.rewrite import Package, Rewritten, rewrite
from tests.case import CHECKOUT
from tests.support.link_context import tree
from tests.support.tars import STEM, Entry, file, folder, hard, index, link, members, tar_bytes, write_bz2

EVERYTHING = [
    folder("share"),
    folder("share/empty"),
    file("bin/tool", b"#!/bin/sh\n", 0o755),
    file("share/nothing", b""),
    file("share/read-only", b"r\n", 0o444),
    file("share/group", b"g\n", 0o664),
    file("lib/libthing.so.1.0", bytes(range(256)) * 400, 0o755),
    link("lib/libthing.so.1", "libthing.so.1.0"),
    link("lib/libthing.so", "libthing.so.1"),
    link("share/up", "../lib"),
    hard("bin/tool-too", "bin/tool", 0o755),
    hard("bin/tool-three", "bin/tool-too", 0o755),
    file("share/" + "long/" * 40 + "name", b"deep\n"),
    file("share/" + "n" * 120, b"long\n"),
    link("share/long-target", "long/" * 40 + "name"),
    file("share/größe/名前 ☃.txt", "ü\n".encode()),
    link("share/zu größe", "größe/名前 ☃.txt"),
    file("lib/systemd/system-\\x2d.slice", b"escaped\n"),
    file("man/man3/B::Deparse.3", b"colons\n"),
    Entry(name="share/old", content=b"old\n", mtime=0),
    Entry(name="share/fraction", content=b"f\n", mtime=1_700_000_000.25),
    Entry(name="share/future", content=b"f\n", mtime=8**11 + 5),
    folder("info/test"),
    file("info/test/run.sh", b"true\n", 0o755),
    file("info/paths.json", b'{"paths": [], "paths_version": 1}'),
    index(),
]


def write(source: Path, target: Path, level: int | None = None) -> Rewritten:
    target.parent.mkdir(parents=True, exist_ok=True)
    chosen = level or (3 if target.name.endswith(".conda") else 9)
    return rewrite(Package(path=source, file=source.name), target, chosen)


def there_and_back(path: Path, scratch: Path) -> tuple[Path, Path]:
    conda, again = scratch / "there" / f"{STEM}.conda", scratch / "back" / f"{STEM}.tar.bz2"
    write(path, conda)
    write(conda, again)
    return conda, again


def parted(found: Sequence[dict[str, object]]) -> list[dict[str, object]]:
    """Members with the info first, as they stand in both formats."""
    info = [item for item in found if str(item["name"]).split("/")[0] == "info"]
    return info + [item for item in found if item not in info]


@pytest.mark.parametrize("layout", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_everything_that_packages_hold_is_the_same_in_both_directions(tmp_path: Path, layout: int) -> None:
    entries = EVERYTHING if layout == tarfile.PAX_FORMAT else [item for item in EVERYTHING if item.mtime % 1 == 0]
    path = write_bz2(tmp_path / f"{STEM}.tar.bz2", entries, layout)
    before = parted(members(path))
    for item in before:
        if item["name"] == "bin/tool-three":
            item["target"] = "bin/tool"  # the first name of the same file
    conda, again = there_and_back(path, tmp_path)
    assert members(conda) == before
    assert members(again) == before


names = st.lists(
    st.text(
        st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="/\\"), min_size=1, max_size=30
    ).filter(
        lambda text: text not in {".", ".."} and not (len(text) > 1 and text[1] == ":") and len(text.encode()) < 256
    ),
    min_size=1,
    max_size=5,
).map("/".join)


@st.composite
def packages(draw: st.DrawFn) -> list[Entry]:
    """Members of every kind at any path, none below or twice; links to what is there and to what is not."""
    paths: list[str] = []
    entries = []
    for path in draw(st.lists(names, max_size=12, unique=True)):
        if any(f"{other}/".startswith(f"{path}/") or f"{path}/".startswith(f"{other}/") for other in paths):
            continue
        files = [entry.name for entry in entries if entry.kind == tarfile.REGTYPE]
        kind = draw(st.sampled_from(["file", "file", "folder", "link", *(["hard"] if files else [])]))
        if kind == "file":
            size = draw(st.sampled_from([0, 1, 511, 512, 513, 3000]))
            content = (draw(st.binary(min_size=1, max_size=8)) * size)[:size]
            entry = file(path, content, draw(st.sampled_from([0o644, 0o755, 0o444, 0o600, 0o777, 0o664])))
        elif kind == "folder":
            entry = folder(path)
        elif kind == "link":
            depth = path.count("/")
            entry = link(path, "../" * draw(st.integers(0, depth)) + draw(names))
        else:
            entry = hard(path, draw(st.sampled_from(files)))
        paths.append(path)
        entries.append(entry)
    return [*entries, *([] if any(path.split("/")[0] == "info" for path in paths) else [index()])]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(entries=packages(), layout=st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]))
def test_any_package_is_the_same_in_both_directions(
    tmp_path_factory: pytest.TempPathFactory, entries: list[Entry], layout: int
) -> None:
    scratch = tmp_path_factory.mktemp("any")
    path = write_bz2(scratch / f"{STEM}.tar.bz2", entries, layout)
    before = parted(members(path))
    try:
        conda, again = there_and_back(path, scratch)
    except IntegrityError as error:
        # Two links may lead out together; without an index it is no package.
        assert error.reference in {"archive-link", "archive-structure"}, error  # noqa: PT017
        assert any(entry.kind == tarfile.SYMTYPE for entry in entries) or entries[-1].name != "info/index.json"
        return
    assert members(conda) == before
    assert members(again) == before


def test_what_others_unpack_is_the_same(tmp_path: Path) -> None:
    """rattler, conda-package-streaming and conda-package-handling, each on the three files."""
    import rattler.package_streaming
    from conda_package_streaming.extract import extract

    path = write_bz2(tmp_path / f"{STEM}.tar.bz2", EVERYTHING)
    files = [path, *there_and_back(path, tmp_path)]
    trees = {}
    for number, each in enumerate(files):
        for reader, unpack in (
            ("rattler", lambda source, out: rattler.package_streaming.extract(source, out)),
            ("streaming", lambda source, out: extract(str(source), str(out))),
            ("handling", lambda source, out: cph("extract", "--dest", out, source)),
        ):
            out = tmp_path / f"{reader}-{number}"
            out.mkdir()
            unpack(each, out)
            trees[reader, number] = tree(out)
            assert (out / "bin" / "tool-too").stat().st_mode & stat.S_IXUSR
    for reader in ("rattler", "streaming", "handling"):
        assert len(trees[reader, 0]) > 30
        assert trees[reader, 0] == trees[reader, 1] == trees[reader, 2], reader


def cph(*arguments: str | Path) -> str:
    command = [sys.executable, "-m", "conda_package_handling", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class LibArchive:
    """Enough of libarchive, which micromamba and older condas read packages with, to list files with their content."""

    def __init__(self) -> None:
        found = ctypes.util.find_library("archive")
        if found is None:
            pytest.skip("NO LIBARCHIVE: libarchive.so is needed (Debian: libarchive13)")
        self._library = ctypes.CDLL(found)
        for name in ("archive_read_new", "archive_entry_pathname_utf8", "archive_error_string"):
            getattr(self._library, name).restype = ctypes.c_void_p

    def read(self, data: bytes) -> dict[str, bytes]:
        """Every entry, read as a stream from memory."""
        library, handle, entry = self._library, ctypes.c_void_p(self._library.archive_read_new()), ctypes.c_void_p()
        library.archive_read_support_filter_all(handle)
        library.archive_read_support_format_all(handle)
        assert library.archive_read_open_memory(handle, data, ctypes.c_size_t(len(data))) == 0
        found = {}
        while (code := library.archive_read_next_header(handle, ctypes.byref(entry))) == 0:
            name = ctypes.string_at(library.archive_entry_pathname_utf8(entry)).decode()
            pieces = []
            buffer = ctypes.create_string_buffer(1 << 16)
            while (size := library.archive_read_data(handle, buffer, ctypes.c_size_t(len(buffer)))) > 0:
                pieces.append(buffer.raw[:size])
            assert size == 0, ctypes.string_at(library.archive_error_string(handle))
            found[name] = b"".join(pieces)
        assert code == 1, ctypes.string_at(library.archive_error_string(handle))
        library.archive_read_free(handle)
        return found


def test_libarchive_reads_it(tmp_path: Path) -> None:
    reader = LibArchive()
    path = write_bz2(tmp_path / f"{STEM}.tar.bz2", EVERYTHING)
    conda, again = there_and_back(path, tmp_path)
    wanted = {
        str(item["name"]): item["content"]
        for item in members(path)
        if item["type"] in (tarfile.REGTYPE, tarfile.AREGTYPE)
    }
    assert wanted.items() <= reader.read(again.read_bytes()).items()
    outer = reader.read(conda.read_bytes())
    assert set(outer) == {"metadata.json", f"pkg-{STEM}.tar.zst", f"info-{STEM}.tar.zst"}
    inner = {**reader.read(outer[f"pkg-{STEM}.tar.zst"]), **reader.read(outer[f"info-{STEM}.tar.zst"])}
    assert wanted.items() <= inner.items()


def test_the_parts_are_where_readers_look_for_them(tmp_path: Path) -> None:
    path = write_bz2(tmp_path / f"{STEM}.tar.bz2", EVERYTHING)
    write(path, tmp_path / "out" / f"{STEM}.conda")
    with zipfile.ZipFile(tmp_path / "out" / f"{STEM}.conda") as archive:
        entries = archive.infolist()
        assert [entry.filename for entry in entries] == ["metadata.json", f"pkg-{STEM}.tar.zst", f"info-{STEM}.tar.zst"]
        assert {entry.compress_type for entry in entries} == {zipfile.ZIP_STORED}
        assert {entry.date_time for entry in entries} == {(1980, 1, 1, 0, 0, 0)}
        assert json.loads(archive.read("metadata.json")) == {"conda_pkg_format_version": 2}
    with zipfile.ZipFile(tmp_path / "out" / f"{STEM}.conda") as archive, archive.open(entries[1]) as stream:
        assert stream.read(4) == b"\x28\xb5\x2f\xfd"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [f"{STEM}.conda"]


def test_links_between_the_parts_become_files(tmp_path: Path) -> None:
    """A ``.conda``'s tars are unpacked one by one: none may need the other."""
    entries = [
        file("share/text", b"text\n", 0o755),
        hard("info/text", "share/text"),
        hard("info/again", "info/text"),
        file("info/licence", b"free\n"),
        hard("share/licence", "./info//licence"),
        hard("share/third", "share/licence"),
        index(),
    ]
    path = write_bz2(tmp_path / f"{STEM}.tar.bz2", entries)
    conda, again = there_and_back(path, tmp_path)
    found = {item["name"]: item for item in members(conda)}
    assert found["info/text"]["content"] == b"text\n"
    assert found["info/text"]["mode"] == 0o755
    assert (found["info/again"]["type"], found["info/again"]["target"]) == (tarfile.LNKTYPE, "info/text")
    assert found["share/licence"]["content"] == b"free\n"
    assert found["share/third"]["target"] == "share/licence"
    assert len(members(again)) == len(entries)


def test_names_get_one_spelling_and_the_root_is_no_member(tmp_path: Path) -> None:
    entries = [
        folder("./"),
        file("./share//a", b"a"),
        hard("./share/b", "./share/./a"),
        replaced(index(), "./info/index.json"),
    ]
    conda, _ = there_and_back(write_bz2(tmp_path / f"{STEM}.tar.bz2", entries), tmp_path)
    assert [(item["name"], item["target"]) for item in members(conda)] == [
        ("info/index.json", ""),
        ("share/a", ""),
        ("share/b", "share/a"),
    ]


def replaced(entry: Entry, name: str) -> Entry:
    return Entry(name=name, content=entry.content, kind=entry.kind, mode=entry.mode)


def test_a_special_bit_is_left_behind_and_said(tmp_path: Path) -> None:
    path = write_bz2(tmp_path / f"{STEM}.tar.bz2", [file("bin/su", b"s", 0o4755), file("bin/no", b"n", 0o755), index()])
    done = write(path, tmp_path / "out" / f"{STEM}.conda")
    assert done.special == ("bin/su",)
    assert {item["name"]: item["mode"] for item in members(tmp_path / "out" / f"{STEM}.conda")}["bin/su"] == 0o755


# The same bytes


SCRIPT = """
import os, sys
from pathlib import Path
from envbuild.transmuting.rewrite import Package, rewrite
os.umask(0o077)
source, target, level = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
rewrite(Package(path=source, file=source.name), target, level)
"""


@pytest.mark.parametrize("suffix", [".conda", ".tar.bz2"])
def test_the_bytes_are_the_same_in_another_process_and_folder(tmp_path: Path, suffix: str) -> None:
    path = write_bz2(
        tmp_path / f"{STEM}.tar.bz2", [*EVERYTHING, file("share/noise", random.Random(3).randbytes(3 << 20))]
    )
    level = 3
    if suffix == ".tar.bz2":
        write(path, tmp_path / "first" / f"{STEM}.conda")
        path, level = tmp_path / "first" / f"{STEM}.conda", 9
    digests = set()
    for number in range(2):
        write(path, tmp_path / f"here-{number}" / (STEM + suffix), level)
        digests.add(hashlib.sha256((tmp_path / f"here-{number}" / (STEM + suffix)).read_bytes()).hexdigest())
    elsewhere = tmp_path / "else where"
    (elsewhere / "tmp").mkdir(parents=True)
    environ = {**os.environ, "PYTHONPATH": str(CHECKOUT), "TMPDIR": str(elsewhere / "tmp"), "PYTHONHASHSEED": "7",
               "TZ": "Asia/Tokyo", "LC_ALL": "C"}  # fmt: skip
    command = [sys.executable, "-c", SCRIPT, str(path), str(elsewhere / (STEM + suffix)), str(level)]
    subprocess.run(command, env=environ, check=True, cwd=elsewhere)
    digests.add(hashlib.sha256((elsewhere / (STEM + suffix)).read_bytes()).hexdigest())
    assert len(digests) == 1
    assert not list((elsewhere / "tmp").iterdir())


def test_what_was_written_does_not_depend_on_who_packed_the_members_before(tmp_path: Path) -> None:
    plain = [item for item in EVERYTHING if item.mtime % 1 == 0 and item.mtime < 8**11]
    digests = set()
    for number, (layout, level) in enumerate(((tarfile.PAX_FORMAT, 9), (tarfile.GNU_FORMAT, 1))):
        path = tmp_path / str(number) / f"{STEM}.tar.bz2"
        path.parent.mkdir()
        path.write_bytes(bz2.compress(tar_bytes(plain, layout), level))
        write(path, path.with_name(f"{STEM}.conda"))
        digests.add(hashlib.sha256(path.with_name(f"{STEM}.conda").read_bytes()).hexdigest())
    assert len(digests) == 1


def test_the_bytes_are_those_that_were_settled(tmp_path: Path) -> None:
    """What a change of these means: raise ``WRITER_FORMAT``. What zstd makes of them is its own affair."""
    import zstandard

    write(write_bz2(tmp_path / f"{STEM}.tar.bz2", EVERYTHING), tmp_path / "out" / f"{STEM}.conda")
    with zipfile.ZipFile(tmp_path / "out" / f"{STEM}.conda") as archive:
        tars = [
            zstandard.ZstdDecompressor().stream_reader(archive.read(entry)).read() for entry in archive.infolist()[1:]
        ]
    assert [hashlib.sha256(tar).hexdigest()[:16] for tar in tars] == ["218f40e444e7b59b", "f24c2bb6c802e5d5"]


# bz2


def blocks(data: bytes, tmp_path: Path, threads: int) -> bytes:
    path = tmp_path / "x.bz2"
    path.write_bytes(data)
    found = b""
    with open_bz2(path, threads) as read:
        while piece := read(1 << 16):
            found += piece
    return found


def mixed(size: int, seed: int = 1) -> bytes:
    """Half noise and half repetition, so that blocks end at any bit."""
    source = random.Random(seed)
    pieces = []
    while sum(map(len, pieces)) < size:
        pieces += [
            source.randbytes(source.randrange(50_000)),
            bytes([source.randrange(256)]) * source.randrange(90_000),
        ]
    return b"".join(pieces)[:size]


@pytest.mark.parametrize("level", [1, 9])
@pytest.mark.parametrize("size", [1, 99_999, 100_000, 2_700_001, 6_000_000])
def test_blocks_decoded_by_threads_are_what_bz2_gives(tmp_path: Path, size: int, level: int) -> None:
    data = mixed(size, seed=size + level)
    assert blocks(bz2.compress(data, level), tmp_path, 3) == data


def test_many_streams_in_one_file(tmp_path: Path) -> None:
    """As parallel compressors write them; with empty ones between, which are left to the plain reader."""
    pieces = [mixed(400_000 * number, seed=number) for number in range(1, 6)]
    together = b"".join(bz2.compress(piece, number) for number, piece in enumerate(pieces, 1))
    assert blocks(together, tmp_path, 3) == b"".join(pieces)
    between = b"".join(bz2.compress(piece) + bz2.compress(b"") for piece in pieces)
    assert blocks(between, tmp_path, 3) == b"".join(pieces)
    assert blocks(bz2.compress(b""), tmp_path, 3) == b""


def test_a_block_that_expands_a_lot_is_held_in_pieces(tmp_path: Path) -> None:
    data = bytes(120 << 20)
    path = tmp_path / "x.bz2"
    path.write_bytes(bz2.compress(data + mixed(500_000)))
    largest = total = 0
    with open_bz2(path, 3) as read:
        while piece := read(1 << 16):
            largest, total = max(largest, len(piece)), total + len(piece)
    assert total == len(data) + 500_000
    assert largest <= 1 << 20


WHOLE = bz2.compress(mixed(3_000_000))


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize(
    "data",
    [
        WHOLE[:-5],
        WHOLE[: len(WHOLE) // 2],
        WHOLE[:30],
        b"",
        b"BZh9",
        b"no such thing" * 100,
        WHOLE + b"garbage",
        WHOLE + b"\0" * 20,
        WHOLE[:1000] + bytes([WHOLE[1000] ^ 1]) + WHOLE[1001:],
        WHOLE[:11] + bytes([WHOLE[11] ^ 1]) + WHOLE[12:],
        WHOLE[:-3] + bytes([WHOLE[-3] ^ 255]) + WHOLE[-2:],
        WHOLE[:5000] + b"1AY&SY" * 30 + WHOLE[5000:],
    ],
    ids=[
        "cut",
        "half",
        "start",
        "nothing",
        "header",
        "nonsense",
        "garbage",
        "zeros",
        "flip",
        "block-sum",
        "whole-sum",
        "magic",
    ],
)
def test_what_is_no_bz2_is_refused_alike(tmp_path: Path, data: bytes, threads: int) -> None:
    with pytest.raises(ArchiveFormatError):
        blocks(data, tmp_path, threads)


def test_a_beginning_of_a_block_that_is_none_costs_only_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The 48 bits may stand in a block by chance, once in years; here the finder is made to see them everywhere."""
    from envbuild.transmuting import bz2_blocks

    real = bz2_blocks._found
    monkeypatch.setattr(
        bz2_blocks, "_found", lambda held, since: sorted({*real(held, since), 8 * (len(held) - 5000) + 3})
    )
    data = mixed(4_000_000)
    assert blocks(bz2.compress(data), tmp_path, 3) == data


def test_the_plain_reader_gives_at_most_what_is_asked_for() -> None:
    reader = PlainReader(io.BytesIO(WHOLE))
    assert len(reader.read(512)) <= 512


# Memory


@pytest.mark.skipif(sys.platform != "linux", reason="ONLY LINUX tells a process's peak apart from its parent's")
def test_memory_does_not_grow_with_the_package(tmp_path: Path) -> None:
    """24 MB through a process that needs less than half of that above what it needs for nothing."""
    peaks = []
    for size in (1 << 16, 24 << 20):
        entries = [file("share/big", mixed(1 << 16) * (size >> 16)), index()]
        path = write_bz2(tmp_path / f"{STEM}.tar.bz2", entries)
        target = tmp_path / str(size) / f"{STEM}.conda"
        target.parent.mkdir()
        script = SCRIPT + "print(Path('/proc/self/status').read_text())\n"
        command = [sys.executable, "-c", script, str(path), str(target), "3"]
        environ = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
        status = subprocess.run(command, env=environ, check=True, capture_output=True, text=True).stdout
        peaks.append(int(status.partition("VmHWM:")[2].split()[0]) << 10)
    assert peaks[1] < 100 << 20
    assert peaks[1] - peaks[0] < 12 << 20
