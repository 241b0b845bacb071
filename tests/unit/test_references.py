"""What files of a prefix refer to: real ELF files held against another reader, damaged ones, how names are found."""

from __future__ import annotations

import io
import os
import random
import struct
import sys
import sysconfig
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from envbuild.builders.elf_dynamic import MAGIC, ElfLinks, elf_links
from envbuild.builders.macho_check import macho_needs
from envbuild.environments.owned import owned
from envbuild.environments.references import Reference, Unread, references


def real_files() -> list[Path]:
    """Compiled files of this machine: its Python's extensions and libraries, and some programs."""
    places = [Path(sys.prefix, "lib"), Path(sysconfig.get_path("stdlib")) / "lib-dynload", Path("/usr/bin")]
    found = [path for place in places for path in sorted(place.rglob("*"))[:4000] if path.is_file()]
    return [path for path in found if os.access(path, os.R_OK) and path.open("rb").read(4) == MAGIC][:300]


def as_elftools_says(path: Path) -> ElfLinks:
    libraries, paths = [], []
    with path.open("rb") as stream:
        section = ELFFile(stream).get_section_by_name(".dynamic")
        for tag in section.iter_tags() if section is not None else ():
            if tag.entry.d_tag == "DT_NEEDED":
                libraries.append(tag.needed)
            elif tag.entry.d_tag in {"DT_RPATH", "DT_RUNPATH"}:
                paths += (tag.rpath if tag.entry.d_tag == "DT_RPATH" else tag.runpath).split(":")
    return ElfLinks(libraries=tuple(libraries), run_paths=tuple(paths))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="NO ELF FILES: this is no Linux")
def test_what_files_load_is_what_another_reader_says() -> None:
    files = real_files()
    assert len(files) > 20
    for path in files:
        with path.open("rb") as stream:
            assert elf_links(stream) == as_elftools_says(path), path
    assert any(as_elftools_says(path).libraries for path in files)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="NO ELF FILES: this is no Linux")
def test_a_damaged_file_is_none_or_something_and_never_an_accident() -> None:
    numbers = random.Random(5)
    smallest = sorted(real_files(), key=lambda path: path.stat().st_size)[:5]
    refused = 0
    for path in smallest:
        whole = path.read_bytes()
        for cut in [*range(0, 200, 7), *(numbers.randrange(len(whole)) for _ in range(100))]:
            refused += elf_links(io.BytesIO(whole[:cut])) is None
        for _ in range(300):
            data = bytearray(whole)
            for place in (numbers.randrange(64), numbers.randrange(64, 1200)):
                data[place] = numbers.randrange(256)
            elf_links(io.BytesIO(data))
        for size in (0, 1, 31, 55):  # program headers of no known size
            data = bytearray(whole)
            struct.pack_into("<H", data, 54, size)
            assert elf_links(io.BytesIO(data)) is None
    assert refused > 50
    assert elf_links(io.BytesIO(b"")) is None
    assert elf_links(io.BytesIO(b"#!/bin/sh\n")) is None


def elf(libraries: tuple[str, ...], run_path: str = "", *, wide: bool = True, order: str = "<") -> bytes:
    """A file of headers, tags and texts alone, by the ABI: what a linker would write around no code."""
    texts, places = b"\0", []
    for text in (*libraries, run_path):
        places.append(len(texts))
        texts += text.encode() + b"\0"
    base, head, line = 0x4000, (64 if wide else 52), (56 if wide else 32)
    start = head + 2 * line
    tags = [(1, place) for place in places[:-1]] + ([(29, places[-1])] if run_path else [])
    form = f"{order}qQ" if wide else f"{order}iI"
    length = struct.calcsize(form) * (len(tags) + 2)
    tags = [*tags, (5, base + start + length), (0, 0)]
    body = b"".join(struct.pack(form, *tag) for tag in tags) + texts
    size = start + len(body)
    ident = MAGIC + bytes([2 if wide else 1, 1 if order == "<" else 2, 1]) + bytes(9)
    if wide:
        header = ident + struct.pack(f"{order}HHIQQQIHHHHHH", 3, 62, 1, 0, head, 0, 0, head, line, 2, 64, 0, 0)
        load = struct.pack(f"{order}IIQQQQQQ", 1, 4, 0, base, base, size, size, 4096)
        dynamic = struct.pack(f"{order}IIQQQQQQ", 2, 4, start, base + start, 0, length, length, 8)
    else:
        header = ident + struct.pack(f"{order}HHIIIIIHHHHHH", 3, 3, 1, 0, head, 0, 0, head, line, 2, 40, 0, 0)
        load = struct.pack(f"{order}IIIIIIII", 1, 0, base, base, size, size, 4, 4096)
        dynamic = struct.pack(f"{order}IIIIIIII", 2, start, base + start, 0, length, length, 4, 8)
    return header + load + dynamic + body


@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize("order", ["<", ">"])
def test_both_sizes_and_both_byte_orders(wide: bool, order: str) -> None:
    data = elf(("liba.so.1", "libb.so"), "$ORIGIN/../lib:/opt/x", wide=wide, order=order)
    assert elf_links(io.BytesIO(data)) == ElfLinks(
        libraries=("liba.so.1", "libb.so"), run_paths=("$ORIGIN/../lib", "/opt/x")
    )
    assert elf_links(io.BytesIO(data.rstrip(b"\0"))) is None  # a text without an end


def dylib(*commands: tuple[int, str]) -> bytes:
    """A Mach-O file for one machine with commands that hold a text."""
    body = b""
    for kind, text in commands:
        padded = text.encode() + bytes(8 - len(text) % 8)
        offset = 12 if kind == 0x8000001C else 24
        body += struct.pack("<III", kind, offset + len(padded), offset) + bytes(offset - 12) + padded
    return struct.pack("<IiiIIIII", 0xFEEDFACF, 0x0100000C, 3, 6, len(commands), len(body), 0, 0) + body


def test_a_mac_s_files_say_what_they_load() -> None:
    data = dylib((0x0C, "@rpath/libfast.1.dylib"), (0x80000018, "/usr/lib/libz.dylib"), (0x8000001C, "@loader_path/.."))
    (part,) = macho_needs(io.BytesIO(data))
    assert part.libraries == ("@rpath/libfast.1.dylib", "/usr/lib/libz.dylib")
    assert part.run_paths == ("@loader_path/..",)


def placed(prefix: Path, file: str, data: bytes, mode: int = 0o644) -> None:
    path = prefix / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    path.chmod(mode)


def found(prefix: Path, file: str, moved: bool = False, **owner: str) -> list[Reference | Unread]:
    """What one file refers to, where these files are somebody's: ``place='lib/x'``."""
    named = frozenset({file}) if moved else frozenset()
    return list(references(prefix, [file], named, {target: name for name, target in owner.items()}))


def loads(file: str, target: str, said: str) -> list[Reference]:
    return [Reference(how="loads", file=file, target=target, said=said)]


@pytest.mark.parametrize(
    ("run_path", "target"),
    [
        ("$ORIGIN/../../fast", "lib/fast/liba.so"),
        ("${ORIGIN}/../../fast", "lib/fast/liba.so"),
        ("PREFIX/lib/fast", "lib/fast/liba.so"),
        ("/elsewhere:$ORIGIN", "lib/python3.11/site/liba.so"),
        ("", "lib/liba.so"),
        ("/elsewhere", "lib/liba.so"),
        ("$ORIGIN/../../../../../../..", "lib/liba.so"),  # out of the prefix, then where programs look
    ],
)
def test_libraries_are_looked_for_where_a_loader_would(tmp_path: Path, run_path: str, target: str) -> None:
    file = "lib/python3.11/site/mod.so"
    placed(tmp_path, file, elf(("liba.so", "libc.so.6"), run_path.replace("PREFIX", str(tmp_path))))
    every = {"one": "lib/fast/liba.so", "two": "lib/python3.11/site/liba.so", "three": "lib/liba.so"}
    own = {name: place for name, place in every.items() if place in {target, "lib/liba.so"}}
    assert found(tmp_path, file, **own) == loads(file, target, "liba.so")
    assert found(tmp_path, file) == []


def test_a_mac_s_libraries_are_looked_for_likewise(tmp_path: Path) -> None:
    file = "lib/python3.11/site/mod.so"
    for said, run_path in (
        ("@rpath/liba.dylib", "@loader_path/../.."),
        ("@rpath/liba.dylib", ""),
        ("@loader_path/../../liba.dylib", ""),
        ("@rpath/liba.dylib", "@executable_path/../lib"),
        (f"{tmp_path}/lib/liba.dylib", ""),
    ):
        placed(tmp_path, file, dylib((0x0C, said), *([(0x8000001C, run_path)] if run_path else [])))
        assert found(tmp_path, file, liba="lib/liba.dylib") == loads(file, "lib/liba.dylib", said)
    placed(tmp_path, file, dylib((0x0C, "/usr/lib/liba.dylib")))
    assert found(tmp_path, file, liba="lib/liba.dylib") == []


@pytest.mark.parametrize(
    "first",
    [
        "#!PREFIX/bin/perl -w\n",
        "#!/usr/bin/env perl\n",
        "#!/usr/bin/env -S perl -w\n",
        "#!/bin/sh\n'''exec' PREFIX/bin/perl \"$0\" \"$@\"\n' '''\n",
        "#!/bin/sh\n'''exec' 'PREFIX/bin/perl' \"$0\" \"$@\"\n' '''\n",
    ],
)
def test_first_lines_name_what_runs_a_script(tmp_path: Path, first: str) -> None:
    placed(tmp_path, "bin/tool", first.replace("PREFIX", str(tmp_path)).encode(), 0o755)
    (reference,) = found(tmp_path, "bin/tool", perl="bin/perl")
    assert isinstance(reference, Reference)
    assert (reference.how, reference.target) == ("is run by", "bin/perl")


@pytest.mark.parametrize(
    "data",
    [b"#!", b"#!\n", b"#!   \n", b"#!/usr/bin/env\n", b"#!/bin/sh\n'''exec' a'b \"$0\" \"$@\"\n' '''\n", b"\x7fEL"],
)
def test_odd_first_lines_are_nothing(tmp_path: Path, data: bytes) -> None:
    placed(tmp_path, "bin/tool", data, 0o755)
    assert [item for item in found(tmp_path, "bin/tool", perl="bin/perl") if isinstance(item, Reference)] == []


def test_links_and_paths(tmp_path: Path) -> None:
    (tmp_path / "share").mkdir()
    for target in ("../bin/tool", f"{tmp_path}/bin/tool", "./../share/../bin/tool"):
        (tmp_path / "share/link").unlink(missing_ok=True)
        (tmp_path / "share/link").symlink_to(target)
        assert found(tmp_path, "share/link", tool="bin/tool") == [
            Reference(how="leads to", file="share/link", target="bin/tool")
        ]
    text = f"a='{tmp_path}/bin/tool' b={tmp_path}/bin/tool. c={tmp_path}/bin/tools {tmp_path}x/bin/tool\0{tmp_path}/own"
    placed(tmp_path, "own", text.encode())
    assert found(tmp_path, "own", True, tool="bin/tool", own="own") == [
        Reference(how="names", file="own", target="bin/tool")
    ]
    assert found(tmp_path, "own", False, tool="bin/tool") == []


def test_lists_that_cannot_be_read_are_none(tmp_path: Path) -> None:
    placed(tmp_path, "conda-meta/a-1-0.json", b'{"name": "a", "files": ["lib/a", "/etc/passwd", "../x", "b/../../y"]}')
    for number, text in enumerate((b"[", b"[]", b"{}", b'{"name": "b", "files": 3}', b"\xff", b'{"files": []}')):
        placed(tmp_path, f"conda-meta/b-{number}-0.json", text)
    site = "lib/python3.11/site-packages"
    placed(tmp_path, f"{site}/My_Wheel-1.0.dist-info/RECORD", b"mine.py,,\n../../../bin/x,,\n../../../../up,,\n")
    placed(tmp_path, f"{site}/broken-1.0.dist-info/RECORD", b'"' + b"x" * 200_000)
    (tmp_path / site / "bare-1.0.dist-info").mkdir()
    belongs = owned(tmp_path)
    assert belongs.files == {"a": ("lib/a",), "my-wheel": (f"{site}/mine.py", "bin/x")}
    assert belongs.owner == {"lib/a": "a", f"{site}/mine.py": "my-wheel", "bin/x": "my-wheel"}
