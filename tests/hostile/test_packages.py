"""H20-H31 for packages that are transmuted: refused with a reference and the member's name; nothing is unpacked.

What is refused here would otherwise be published under a name that promises a package. Each attack is held to leave
its folder without a finished package; the last tests run the whole command.
"""

from __future__ import annotations

import bz2
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from envbuild.errors import IntegrityError
from envbuild.transmuting import members as limits
from envbuild.transmuting.rewrite import Package, rewrite
from tests.case import Case
from tests.hostile.attack import attack
from tests.support.tars import (
    STEM,
    Entry,
    file,
    folder,
    hard,
    index,
    link,
    tar_bytes,
    write_bz2,
    write_channel,
    write_conda,
)


def refused(path: Path, reference: str, *, named: str = "") -> None:
    """Transmuting it ends in an error of this reference, and nothing that could be taken for a package is left."""
    suffix = ".conda" if path.name.endswith(".tar.bz2") else ".tar.bz2"
    out = path.parent / "out"
    out.mkdir()
    with pytest.raises(IntegrityError) as caught:
        rewrite(Package(path=path, file=path.name), out / (STEM + suffix), 3)
    assert caught.value.reference == reference, caught.value
    assert caught.value.exit_code == 4
    assert path.name in str(caught.value)
    assert named in str(caught.value)
    assert sum(each.stat().st_size for each in out.rglob("*")) < 4 << 20
    if (out / f"{STEM}.conda").exists():
        assert not zipfile.is_zipfile(out / f"{STEM}.conda")
    assert {each.name for each in path.parent.iterdir()} <= {"out", path.name, "config", "user"}


def both(tmp_path: Path, entries: Sequence[Entry], reference: str, named: str = "") -> None:
    """The same members, refused in either format."""
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    refused(write_bz2(tmp_path / "one" / f"{STEM}.tar.bz2", [*entries, index()]), reference, named=named)
    refused(write_conda(tmp_path / "two" / f"{STEM}.conda", [index()], entries), reference, named=named)


@pytest.mark.parametrize(
    "name",
    ["../x", "a/../../x", "a/../b", "/x", "//server/x", "..\\x", "a\\..\\..\\x", "C:\\x", "c:/x", "\\\\server\\x",
     "a\nb", "a\x1bb", "a\x7fb"],
)  # fmt: skip
def test_H20_paths_that_leave_or_mean_two_things(tmp_path: Path, name: str) -> None:
    both(tmp_path, [file(name)], "archive-path")


@pytest.mark.parametrize("name", ["a/" * 600 + "b", "a" * 256, "b/" + "ü" * 128])
def test_H20_names_that_are_too_long(tmp_path: Path, name: str) -> None:
    both(tmp_path, [file(name)], "archive-limit")


@pytest.mark.parametrize(
    "entries",
    [
        [link("a", "/etc/passwd")],
        [link("a", "../x")],
        [link("a/b", "../../x")],
        [link("a", "."), link("b", "a/../x/../../y")],
        [link("a/b", ".."), link("c", "a/b/../x")],
        [link("a", "b"), link("b", "a")],
        [link("a", "a")],
        [link("a", "x\ny")],
        [link("a", "share"), file("a/b")],
        [link("a", "share"), folder("a/b")],
        [link("a", "share"), link("a/b", "c")],
        [folder("share"), link("a", "share"), hard("a/b", "share/c")],
        [link("a", "/tmp"), file("a/evil")],
    ],
)
def test_H21_links_that_leave_and_members_below_links(tmp_path: Path, entries: Sequence[Entry]) -> None:
    both(tmp_path, entries, "archive-link")


def test_H22_chains_longer_than_a_kernel_follows(tmp_path: Path) -> None:
    """The shape of CVE-2025-4517: long names, links that multiply their length, and a way out at the end."""
    long = "d" * 247
    entries: list[Entry] = []
    path = ""
    for letter in "abcdefghijklmnop":
        entries += [folder(f"{path}{long}"), link(f"{path}{letter}", long)]
        path += f"{letter}/"
        if len(path) > 20:
            break
    chain = [link(f"l{number}", f"l{number + 1}") for number in range(60)]
    both(tmp_path, [folder(long), link("a", long), *chain, link("out", "a/" * 20 + "../" * 25 + "etc")], "archive-link")


@pytest.mark.parametrize(
    ("entries", "reference"),
    [
        ([hard("a", "/etc/passwd")], "archive-path"),
        ([hard("a", "../x")], "archive-path"),
        ([hard("a", "b")], "archive-link"),
        ([hard("a", "b"), file("b")], "archive-link"),
        ([hard("a", "a")], "archive-link"),
        ([folder("b"), hard("a", "b")], "archive-link"),
        ([link("b", "c"), hard("a", "b")], "archive-link"),
        ([file("b"), hard("a", "b"), file("a")], "archive-duplicate"),
        ([file("a"), hard("a", "a")], "archive-duplicate"),
    ],
)
def test_H23_hard_links(tmp_path: Path, entries: Sequence[Entry], reference: str) -> None:
    both(tmp_path, entries, reference)


@pytest.mark.parametrize(
    "kind", [tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.GNUTYPE_SPARSE, b"s", b"Z"]
)
def test_H24_what_is_neither_file_folder_nor_link(tmp_path: Path, kind: bytes) -> None:
    both(tmp_path, [Entry(name="a", kind=kind)], "archive-type", "a")


def test_H24_sparse_files_in_pax(tmp_path: Path) -> None:
    both(tmp_path, [Entry(name="a", content=b"x", pax=(("GNU.sparse.major", "1"),))], "archive-type")


def test_H25_special_bits_are_left_behind(tmp_path: Path) -> None:
    path = write_bz2(tmp_path / f"{STEM}.tar.bz2", [file("bin/su", mode=0o6755), file("bin/t", mode=0o1777), index()])
    out = tmp_path / f"{STEM}.conda"
    assert rewrite(Package(path=path, file=path.name), out, 3).special == ("bin/su", "bin/t")


@pytest.mark.parametrize(
    "entries",
    [
        [file("a"), file("a")],
        [file("a"), file("./a")],
        [file("a"), file("a/b")],
        [file("a/b"), file("a")],
        [file("a"), folder("a")],
        [folder("a"), link("a", "b")],
        [file("a/b"), link("a", "b")],
        [link("a", "b"), file("a")],
        [file("info/index.json")],
    ],
)
def test_H26_one_path_twice(tmp_path: Path, entries: Sequence[Entry]) -> None:
    both(tmp_path, entries, "archive-duplicate")


def bomb_header() -> bytes:
    """The header of a file of 7 GiB, and of nothing else."""
    member = tarfile.TarInfo("share/zeros")
    member.size = 7 << 30
    return member.tobuf()


def test_H27_a_bomb_of_bz2_stops_at_the_limit(tmp_path: Path) -> None:
    """10 GiB of zeros in a few kilobytes, as streams one after the other: as large as wanted, at no cost."""
    zeros = bz2.compress(bytes(128 << 20))
    path = tmp_path / f"{STEM}.tar.bz2"
    path.write_bytes(bz2.compress(bomb_header()) + zeros * 80)
    assert path.stat().st_size < 100_000
    refused(path, "archive-limit")


def test_H27_a_bomb_of_zstd_stops_at_the_limit(tmp_path: Path) -> None:
    import zstandard

    pack = zstandard.ZstdCompressor().compress
    path = tmp_path / f"{STEM}.conda"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", '{"conda_pkg_format_version": 2}')
        archive.writestr(f"pkg-{STEM}.tar.zst", pack(bomb_header()) + pack(bytes(128 << 20)) * 80)
        archive.writestr(f"info-{STEM}.tar.zst", pack(tar_bytes([index()])))
    refused(path, "archive-limit")


@pytest.mark.parametrize("what", ["headers", "padding"])
def test_H27_what_is_no_content_counts_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    monkeypatch.setattr(limits, "RATIO_FROM", 4 << 20)
    whole = tar_bytes([index()])
    pax = tar_bytes([Entry(name="x", pax=(("comment", "c" * 2000),))])[: 512 * 6].ljust(512 * 6, b"\0")[: 512 * 5]
    data = pax * 2000 + whole if what == "headers" else whole + bytes(6 << 20)
    path = tmp_path / f"{STEM}.tar.bz2"
    path.write_bytes(bz2.compress(data))
    refused(path, "archive-limit", named="more than")


def test_H27_a_file_larger_than_files_may_be(tmp_path: Path) -> None:
    member = tarfile.TarInfo("a")
    member.size = 8 << 30
    path = tmp_path / f"{STEM}.tar.bz2"
    path.write_bytes(bz2.compress(member.tobuf(tarfile.GNU_FORMAT)))
    refused(path, "archive-limit")


def test_H27_a_window_larger_than_allowed(tmp_path: Path) -> None:
    import zstandard

    parameters = zstandard.ZstdCompressionParameters(window_log=30)
    packed = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    data = packed.compress(tar_bytes([index()])) + packed.flush()
    path = tmp_path / f"{STEM}.conda"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", '{"conda_pkg_format_version": 2}')
        archive.writestr(f"pkg-{STEM}.tar.zst", data)
        archive.writestr(f"info-{STEM}.tar.zst", data)
    refused(path, "archive-format")


def test_H28_too_many_members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert limits.MEMBERS < 1_000_000
    monkeypatch.setattr(limits, "MEMBERS", 200)
    both(tmp_path, [file(f"a{number}") for number in range(201)], "archive-limit", "200")


GOOD = tar_bytes([file("a", b"x" * 700), index()])
BAD_SUM = GOOD[:150] + b"7" + GOOD[151:]


def sized(digits: bytes) -> bytes:
    """The good tar, with another size in its first header and the checksum that belongs to it."""
    header = GOOD[:124] + digits + GOOD[136:148] + b" " * 8 + GOOD[156:512]
    return header[:148] + b"%06o\0 " % sum(header) + header[156:] + GOOD[512:]


@pytest.mark.parametrize(
    "data",
    [
        GOOD[:600],
        GOOD[:512],
        GOOD[: 512 + 1024],
        b"",
        BAD_SUM,
        GOOD.rstrip(b"\0") + b"\0" * 1024 + b"garbage" + b"\0" * 505,
        sized(b"\xff" * 12),
        sized(b"-0000000700\0"),
        sized(b"99999999999\0"),
        tar_bytes([Entry(name="a", content=b"xyz", pax=(("size", "5"),)), index()]),
        tar_bytes([Entry(name="a", pax=(("mtime", "soon"),)), index()]),
        tar_bytes([file("caf\udce9"), index()], tarfile.GNU_FORMAT),
    ],
    ids=["cut content", "cut after header", "no end", "nothing", "checksum", "goes on", "negative", "minus", "no octal",
         "two sizes", "no time", "not UTF-8"],
)  # fmt: skip
def test_H29_broken_tars(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / f"{STEM}.tar.bz2"
    path.write_bytes(bz2.compress(data))
    refused(path, "archive-format")


@pytest.mark.parametrize("harm", ["cut", "flip", "garbage", "none"])
def test_H29_broken_compression(tmp_path: Path, harm: str) -> None:
    whole = bz2.compress(GOOD)
    path = tmp_path / f"{STEM}.tar.bz2"
    path.write_bytes(
        {"cut": whole[:-8], "flip": whole[:40] + bytes([whole[40] ^ 4]) + whole[41:], "garbage": whole + b"more",
         "none": GOOD}[harm]
    )  # fmt: skip
    refused(path, "archive-format")


def conda(tmp_path: Path, parts: dict[str, bytes], **options: int) -> Path:
    path = tmp_path / f"{STEM}.conda"
    with zipfile.ZipFile(path, "w", options.get("method", zipfile.ZIP_STORED)) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return path


def parts() -> dict[str, bytes]:
    import zstandard

    pack = zstandard.ZstdCompressor().compress
    return {
        "metadata.json": b'{"conda_pkg_format_version": 2}',
        f"pkg-{STEM}.tar.zst": pack(tar_bytes([file("a")])),
        f"info-{STEM}.tar.zst": pack(tar_bytes([index()])),
    }


@pytest.mark.parametrize("name", ["metadata.json", f"pkg-{STEM}.tar.zst", f"info-{STEM}.tar.zst"])
def test_H30_a_part_that_is_missing_or_broken(tmp_path: Path, name: str) -> None:
    (tmp_path / "one").mkdir()
    refused(conda(tmp_path / "one", {key: data for key, data in parts().items() if key != name}), "archive-format")
    for number, data in enumerate((b"", b"{}", parts()[name][:-9], b"[" * 20_000)):
        (tmp_path / str(number)).mkdir()
        refused(conda(tmp_path / str(number), {**parts(), name: data}), "archive-format")


def test_H30_parts_of_another_package_two_of_a_kind_or_unknown(tmp_path: Path) -> None:
    good = parts()
    cases: list[dict[str, bytes]] = [
        {key.replace("thing-1.0", "other-2.0"): data for key, data in good.items()},
        {**good, "pkg-other-1-0.tar.zst": good[f"pkg-{STEM}.tar.zst"]},
        {**good, "more.txt": b"more"},
        {**good, "metadata.json": b'{"conda_pkg_format_version": 3}'},
        {**good, "metadata.json": b'{"conda_pkg_format_version": "2"}'},
    ]
    for number, case in enumerate(cases):
        (tmp_path / str(number)).mkdir()
        refused(conda(tmp_path / str(number), case), "archive-format")


def test_H30_a_zip_that_is_more_or_other_than_a_zip(tmp_path: Path) -> None:
    data = conda(tmp_path, parts()).read_bytes()
    (tmp_path / f"{STEM}.conda").unlink()
    for number, wrong in enumerate((b"before" + data, data + b"after", data[:-10], b"", GOOD)):
        (tmp_path / str(number)).mkdir()
        path = tmp_path / str(number) / f"{STEM}.conda"
        path.write_bytes(wrong)
        refused(path, "archive-format")
    (tmp_path / "deflated").mkdir()
    refused(conda(tmp_path / "deflated", parts(), method=zipfile.ZIP_DEFLATED), "archive-format")


def test_H30_no_index_is_no_package(tmp_path: Path) -> None:
    for number, entries in enumerate(([file("a")], [], [folder("info/index.json")])):
        (tmp_path / str(number)).mkdir()
        refused(write_bz2(tmp_path / str(number) / f"{STEM}.tar.bz2", entries), "archive-structure")


# The whole command


@pytest.mark.parametrize(
    ("entries", "reference"),
    [
        ([file("../evil"), index()], "archive-path"),
        ([link("a", "OUTSIDE"), file("a/evil"), index()], "archive-link"),
        ([hard("a", "OUTSIDE/secret"), index()], "archive-path"),
        ([file("a"), file("a"), index()], "archive-duplicate"),
        ([file("a"), index(name="other")], "wrong-package"),
        ([file("a"), index(version="9")], "wrong-package"),
    ],
)
@pytest.mark.parametrize("wanted", [".conda", ".tar.bz2"])
def test_H31_a_hostile_package_ends_the_command_and_stays_out_of_the_store(
    case: Case, tmp_path: Path, entries: Sequence[Entry], reference: str, wanted: str
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    made = [Entry(**{**vars_of(entry), "target": entry.target.replace("OUTSIDE", str(outside))}) for entry in entries]
    (tmp_path / "package").mkdir()
    if wanted == ".conda":
        path = write_bz2(tmp_path / "package" / f"{STEM}.tar.bz2", made)
    else:
        path = write_conda(tmp_path / "package" / f"{STEM}.conda", made[-1:], made[:-1])
    url = write_channel(tmp_path / "channel", (path, {}))
    case.file("envbuild.yaml", f"conda-format: {wanted}\n")
    case.recipe(f"conda:\n  channels: ['{url}']\n  packages:\n    thing:\n").run("lock", "x.yaml")
    case.run("realize", "x.yaml", code=4)  # the file itself is what the lock says, and may lie in the store
    attack(case, "realize", "x.yaml", code=4, reference=reference)
    assert [each.name for each in outside.iterdir()] == ["secret"]
    assert not list((case.home / "prefixes").glob("[0-9a-f]*"))
    if reference != "wrong-package":
        assert not (case.home / "store" / "results" / "transmute").exists()


def vars_of(entry: Entry) -> dict[str, object]:
    return {name: getattr(entry, name) for name in entry.__dataclass_fields__}


def test_an_index_too_deep_for_a_parser_is_no_stack_trace(case: Case, tmp_path: Path) -> None:
    deep = file("info/index.json", b'{"name": ' + b"[" * 100_000)
    (tmp_path / "package").mkdir()
    path = write_bz2(tmp_path / "package" / f"{STEM}.tar.bz2", [deep])
    url = write_channel(tmp_path / "channel", (path, {}))
    case.recipe(f"conda:\n  channels: ['{url}']\n  packages:\n    thing:\n").run("lock", "x.yaml")
    case.run("realize", "x.yaml", code=4)
    outcome = attack(case, "realize", "x.yaml", code=4, reference=None)
    assert outcome.references <= {"wrong-package", "bad-archive"}
