"""H32-H36: wheels that are two zip files in one, or use what only some readers know; what passes is the same to all."""

from __future__ import annotations

import struct
import subprocess
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from envbuild.digest import digest_file
from envbuild.errors import IntegrityError
from envbuild.linkers.wheel_check import inspect_wheel
from envbuild.linkers.zip_structure import ZipFileView
from envbuild.package import Wheel
from tests.support.wheels import make_sdist, make_wheel, uv
from tests.support.zips import DEFLATED, STORED, Member, deflated, members_of, raw_zip

Forge = Callable[[list[Member]], bytes]

EVIL = b"print('evil')\n"


def changed(members: list[Member], index: int = 0, **fields: object) -> list[Member]:
    return [replace(item, **fields) if at == index else item for at, item in enumerate(members)]  # type: ignore[arg-type]


def local(index: int = 0, **fields: object) -> Forge:
    return lambda members: raw_zip(changed(members, index, local=fields))


def central(index: int = 0, **fields: object) -> Forge:
    return lambda members: raw_zip(changed(members, index, central=fields))


def extra(kind: int, value: bytes) -> bytes:
    return struct.pack("<2H", kind, len(value)) + value


def end64(count: int, length: int, offset: int, at: int) -> bytes:
    big = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, length, offset)
    return big + struct.pack("<4sLQL", b"PK\6\7", 0, at, 1)


def large_ends_that_differ(members: list[Member]) -> bytes:
    """The end for large files tells of one member less; the small one of all."""
    plain = raw_zip(members)
    _, _, _, _, count, length, offset, _ = struct.unpack("<4s4H2LH", plain[-22:])
    return raw_zip(members, behind_directory=end64(count - 1, length, offset, offset + length))


def two_in_one(members: list[Member]) -> bytes:
    """A whole zip behind another one: from the end it is the second, from the beginning the first."""
    first = raw_zip([Member(name="evil.py", data=EVIL)])
    return raw_zip(members, prefix=first)


def overlapping(members: list[Member]) -> bytes:
    """Two names for one content (the quoted-overlap bomb, small)."""
    shown = replace(members[0], name="again.py", there=False, central={"offset": 0, "name": b"again.py"})
    return raw_zip([*members, shown])


AMBIGUOUS: Mapping[str, Forge] = {
    "another name before the member": local(name=b"tool_box/__evil__.py"),
    "another size before the member": local(size=7),
    "another packed size before the member": local(packed=7),
    "another sum before the member": local(crc=1),
    "another method before the member": local(method=STORED),
    "another encoding before the member": local(flags=0x800),
    "one name twice": lambda members: raw_zip([*members, members[0]]),
    "one member twice in the directory": lambda members: raw_zip(
        [*members, replace(members[0], there=False, central={"offset": 0})]
    ),
    "a member that the directory does not name": lambda members: raw_zip(
        [Member(name="evil.py", data=EVIL, shown=False), *members]
    ),
    "a member that is not there": lambda members: raw_zip([*members, Member(name="evil.py", data=EVIL, there=False)]),
    "two files in one": two_in_one,
    "something before": lambda members: raw_zip(members, prefix=b"#!/bin/sh\n"),
    "something behind": lambda members: raw_zip(members, suffix=b"\0" * 8),
    "a second end behind": lambda members: raw_zip(members) + raw_zip([Member(name="evil.py", data=EVIL)])[-22:],
    "a comment": lambda members: raw_zip(members, comment=b"hello"),
    "a comment that is a zip": lambda members: raw_zip(members, comment=raw_zip([Member(name="evil.py", data=EVIL)])),
    "ends that differ": large_ends_that_differ,
    "an end that points elsewhere": lambda members: raw_zip(members, end={"count": 0xFFFF, "here": 0xFFFF}),
    "more members than there are": lambda members: raw_zip(members, end={"count": 99, "here": 99}),
    "fewer members than there are": lambda members: raw_zip(members, end={"count": 1, "here": 1}),
    "one part of several": lambda members: raw_zip(members, end={"disk": 1, "first_disk": 1}),
    "a directory one byte off": lambda members: raw_zip(members, gap=b"\0"),
    "a gap between members": lambda members: raw_zip(changed(members, 1, before=b"\0" * 4)),
    "a member hidden in a gap": lambda members: raw_zip(
        changed(members, 1, before=raw_zip([Member(name="evil.py", data=EVIL)])[:-80])
    ),
    "a unicode name that differs": central(extra=extra(0x7075, b"\1\0\0\0\0evil.py")),
    "a unicode name twice": central(extra=extra(0x7075, b"\1\0\0\0\0tool_box/__init__.py") * 2),
    "an extra field that is cut": central(extra=b"\x75\x70\xff\0"),
    "an extra field before the member that differs": local(extra=extra(0x7075, b"\1\0\0\0\0evil.py")),
    "large sizes twice": central(extra=extra(1, b"\0" * 8) * 2),
    "large sizes that are cut": central(extra=extra(1, b"\0" * 4), size=0xFFFFFFFF),
    "sums behind the member that differ": lambda members: raw_zip(
        changed(
            members,
            local={"flags": 8, "crc": 0, "size": 0, "packed": 0},
            central={"flags": 8},
            after=struct.pack("<4s3L", b"PK\7\x08", 1, 2, 3),
        )
    ),
    "sums behind the member that are missing": lambda members: raw_zip(
        changed(members, local={"flags": 8, "crc": 0, "size": 0, "packed": 0}, central={"flags": 8})
    ),
    "something behind a deflated member": lambda members: raw_zip(
        changed(members, packed=deflated(members[0].data) + b"more")
    ),
    "a second stream behind a deflated member": lambda members: raw_zip(
        changed(members, packed=deflated(members[0].data) + deflated(EVIL))
    ),
    "a stored member of two sizes": lambda members: raw_zip(
        changed(members, method=STORED, local={"size": 1}, central={"size": 1})
    ),
    "a wrong sum": lambda members: raw_zip(changed(members, local={"crc": 1}, central={"crc": 1})),
    "a deflated member that says it is smaller": lambda members: raw_zip(
        changed(members, local={"size": 3}, central={"size": 3})
    ),
    "a path that is file and folder": lambda members: raw_zip([*members, Member(name="tool_box", data=b"x")]),
    "a name that is not UTF-8": central(name=b"tool_box/__init__\xff.py"),
    "an empty file": lambda _: b"",
    "an end alone": lambda _: raw_zip([]),
}

RARE: Mapping[str, Forge] = {
    "for newer readers": central(needs=64),
    "encrypted": lambda members: raw_zip(changed(members, local={"flags": 1}, central={"flags": 1})),
    "strongly encrypted": lambda members: raw_zip(changed(members, local={"flags": 0x40}, central={"flags": 0x40})),
    "bzip2": lambda members: raw_zip(changed(members, method=STORED, local={"method": 12}, central={"method": 12})),
    "lzma": lambda members: raw_zip(changed(members, method=STORED, local={"method": 14}, central={"method": 14})),
    "zstd": lambda members: raw_zip(changed(members, method=STORED, local={"method": 93}, central={"method": 93})),
    "a symbolic link": lambda members: raw_zip(
        [*members, Member(name="link", data=b"/etc/passwd", central={"outer": 0o120777 << 16})]
    ),
    "a device": lambda members: raw_zip([*members, Member(name="dev", central={"outer": 0o060666 << 16})]),
    "a folder with content": lambda members: raw_zip([*members, Member(name="folder/", data=b"x")]),
    "NUL in a name": lambda members: raw_zip([*members, Member(name="evil.py\0.txt")]),
    "a line break in a name": lambda members: raw_zip([*members, Member(name="a\nb")]),
    "an escape in a name": lambda members: raw_zip([*members, Member(name="\x1b[2J")]),
}

PATHS = ["../x", "/x", "a/../../x", "a/./x", "a//x", "..\\x", "C:/x", "c:x", "//server/x", ".", "..", "x" * 2000]

BOMBS: Mapping[str, Forge] = {
    "overlapping members": overlapping,
    "ten gigabytes of one": lambda members: raw_zip(
        [
            *members,
            Member(
                name="zeros",
                data=b"\0" * 1000,
                method=DEFLATED,
                central={"size": 0xFFFFFFFE},
                local={"size": 0xFFFFFFFE},
            ),
        ]
    ),
    "a size beyond all": central(size=0xFFFFFFFF, extra=extra(1, struct.pack("<Q", 1 << 60))),
}


@pytest.fixture
def good(tmp_path: Path) -> Path:
    return make_wheel(tmp_path / "good", "tool-box", "1.0", scripts={"tool-box": "tool_box:main"})


def forged(good: Path, forge: Forge) -> Path:
    path = good.parent.parent / good.name
    path.write_bytes(forge(members_of(good)))
    return path


def looked_at(path: Path) -> None:
    inspect_wheel(
        path, Wheel(name="tool-box", version="1.0", file=path.name, sha256=digest_file(path), index="default")
    )


def refused(path: Path, reference: str = "bad-wheel") -> IntegrityError:
    with pytest.raises(IntegrityError) as caught:
        looked_at(path)
    assert caught.value.reference == reference
    assert caught.value.message.isprintable()
    return caught.value


def test_the_forge_can_write_good_files(good: Path) -> None:
    looked_at(good)
    looked_at(forged(good, raw_zip))


@pytest.mark.parametrize("case", AMBIGUOUS)
def test_h32_a_zip_that_can_be_read_in_two_ways(case: str, good: Path) -> None:
    refused(forged(good, AMBIGUOUS[case]), "wrong-package" if case == "an end alone" else "bad-wheel")


def test_h32_there_are_at_least_25_of_them() -> None:
    assert len(AMBIGUOUS) >= 25


@pytest.mark.parametrize("case", RARE)
def test_h33_what_only_some_readers_know(case: str, good: Path) -> None:
    refused(forged(good, RARE[case]))


@pytest.mark.parametrize("case", BOMBS)
def test_h34_members_that_are_larger_than_they_can_be(case: str, good: Path) -> None:
    refused(forged(good, BOMBS[case]))


@pytest.mark.parametrize("name", PATHS)
def test_h40_paths_that_leave(name: str, good: Path) -> None:
    refused(forged(good, lambda members: raw_zip([*members, Member(name=name, data=b"x")])))


def test_h35_a_wheel_that_is_something_else_too(good: Path, tmp_path: Path) -> None:
    sdist = make_sdist(tmp_path / "sdist", "tool-box", "1.0")
    data = good.read_bytes()
    path = tmp_path / good.name
    for content in (sdist.read_bytes(), sdist.read_bytes() + data, data + sdist.read_bytes(), b"\x7fELF" + data):
        path.write_bytes(content)
        refused(path)


def test_h36_what_passes_is_the_same_to_zipfile_and_uv(real_wheel_folder: Path, tmp_path: Path) -> None:
    """No real wheel is refused, and everybody finds the same files in it."""
    wheels = sorted(real_wheel_folder.glob("*.whl"))
    assert wheels
    for path in wheels:
        name, version = path.name.split("-")[:2]
        wheel = Wheel(
            name=name.replace("_", "-").lower(), version=version, file=path.name, sha256=digest_file(path), index="x"
        )
        inspect_wheel(path, wheel)
        with ZipFileView(path) as view, zipfile.ZipFile(path) as archive:
            ours = {entry.name: b"".join(view.pieces(entry)) for entry in view.entries if not entry.is_folder}
            theirs = {item.filename: archive.read(item) for item in archive.infolist() if not item.is_dir()}
        assert ours == theirs
        if path.stat().st_size < 1 << 20:
            assert unzipped_by_uv(path, tmp_path / path.stem) == {
                name: data for name, data in ours.items() if ".data/" not in name and not name.endswith("/RECORD")
            }


def unzipped_by_uv(path: Path, folder: Path) -> dict[str, bytes]:
    """The files of a wheel as uv installs them, without its own notes and programs."""
    command = [uv(), "pip", "install", "--no-deps", "--offline", "--no-config", "--target", str(folder), str(path)]
    subprocess.run(command, check=True, capture_output=True)
    own = ("/RECORD", "/INSTALLER", "/REQUESTED", "/direct_url.json", "/uv_cache.json", ".lock")
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file() and not str(file).endswith(own) and file.relative_to(folder).parts[0] != "bin"
    }
