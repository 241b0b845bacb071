"""Mach-O files assembled by the published format: which machine, and the oldest macOS. Nothing here ran on a Mac."""

from __future__ import annotations

import io
import random
import struct
from pathlib import Path

import pytest

from envbuild.builders.built_wheel import Target, check_built
from envbuild.builders.macho_check import MachoNeeds, macho_needs
from envbuild.digest import Digest
from envbuild.errors import BuildError
from envbuild.package import Platform, SourcePackage
from envbuild.solvers.target import Target as Machine
from envbuild.solvers.target import marker_environment
from tests.support.wheels import make_wheel

X86, ARM, PPC = 0x01000007, 0x0100000C, 18
MACOS, IOS = 1, 2


def packed(major: int, minor: int, patch: int = 0) -> int:
    return major << 16 | minor << 8 | patch


def build_version(major: int, minor: int, platform: int = MACOS) -> tuple[int, tuple[int, ...]]:
    """LC_BUILD_VERSION: platform, minos, sdk, ntools."""
    return 0x32, (platform, packed(major, minor), packed(15, 0), 0)


def version_min(major: int, minor: int, patch: int = 0) -> tuple[int, tuple[int, ...]]:
    """LC_VERSION_MIN_MACOSX: version, sdk."""
    return 0x24, (packed(major, minor, patch), packed(14, 0))


def thin(cpu: int, *commands: tuple[int, tuple[int, ...]], order: str = "<", wide: bool = True) -> bytes:
    """A file for one machine: header, a command of another kind, then these, then some code."""
    body = struct.pack(f"{order}IIQ", 0x1B, 16, 7)
    for kind, values in commands:
        body += struct.pack(f"{order}II{len(values)}I", kind, 8 + 4 * len(values), *values)
    magic = 0xFEEDFACF if wide else 0xFEEDFACE
    header = struct.pack(f"{order}IiiIIII", magic, cpu, 3, 6, 1 + len(commands), len(body), 0)
    return header + (struct.pack(f"{order}I", 0) if wide else b"") + body + bytes(200)


def fat(*parts: tuple[int, bytes], wide: bool = False) -> bytes:
    """A universal file of some."""
    line = ">iiQQII" if wide else ">iiIII"
    table, data, offset = b"", b"", 4096
    for cpu, part in parts:
        values = (cpu, 3, offset, len(part), 12)
        table += struct.pack(line, *values, *([0] if wide else []))
        data += part + bytes(4096 - len(part) % 4096)
        offset += len(part) + 4096 - len(part) % 4096
    head = struct.pack(">II", 0xCAFEBABF if wide else 0xCAFEBABE, len(parts)) + table
    return head + bytes(4096 - len(head)) + data


def needs(data: bytes) -> tuple[MachoNeeds, ...]:
    return macho_needs(io.BytesIO(data))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("wide", [True, False])
def test_both_commands_in_both_orders_and_widths(order: str, wide: bool) -> None:
    assert needs(thin(ARM, build_version(11, 0), order=order, wide=wide)) == (
        MachoNeeds(machine="arm64", macos=(11, 0)),
    )
    assert needs(thin(X86, version_min(10, 9, 5), order=order, wide=wide)) == (
        MachoNeeds(machine="x86_64", macos=(10, 9)),
    )


def test_universal_files_say_it_for_each_machine() -> None:
    both = [(X86, thin(X86, version_min(10, 13))), (ARM, thin(ARM, build_version(11, 0)))]
    for wide in (False, True):
        assert needs(fat(*both, wide=wide)) == (
            MachoNeeds(machine="x86_64", macos=(10, 13)),
            MachoNeeds(machine="arm64", macos=(11, 0)),
        )


def test_what_says_nothing_of_macos() -> None:
    assert needs(thin(X86)) == (MachoNeeds(machine="x86_64"),)
    assert needs(thin(ARM, build_version(17, 0, IOS))) == (MachoNeeds(machine="arm64"),)
    assert needs(thin(PPC, version_min(10, 4))) == (MachoNeeds(machine="18", macos=(10, 4)),)


def test_what_is_no_such_file() -> None:
    java = bytes.fromhex("cafebabe 0000 0034") + bytes(500)
    for data in (
        b"",
        b"\x7fELF" + bytes(100),
        java,
        b"\xca\xfe\xba\xbe",
        b"\xcf\xfa\xed\xfe",
        fat((X86, b"no header")),
    ):
        assert needs(data) == ()
    endless = struct.pack("<IIQ", 0x1B, 0, 7)
    header = struct.pack("<IiiIIIII", 0xFEEDFACF, X86, 3, 6, 0xFFFFFFFF, len(endless), 0, 0)
    assert needs(header + endless) == (), "a command without a length"
    large = struct.pack("<IiiIIIII", 0xFEEDFACF, X86, 3, 6, 1, 0xFFFFFFFF, 0, 0)
    assert needs(large + bytes(100)) == ()


def test_damage_is_answered_whatever_it_is() -> None:
    whole = fat((X86, thin(X86, version_min(10, 13))), (ARM, thin(ARM, build_version(11, 0))))
    for cut in (*range(0, 400, 7), *range(4090, 4400, 11), *range(8180, 8500, 13)):
        needs(whole[:cut])
    chance = random.Random(7)
    for _ in range(2000):
        damaged = bytearray(whole)
        for _ in range(chance.randrange(1, 6)):
            damaged[chance.choice((chance.randrange(60), 4096 + chance.randrange(120)))] = chance.randrange(256)
        needs(bytes(damaged))


def built(
    folder: Path, platform: str, floor: str | None, data: bytes, tag: str = "macosx_10_9_universal2"
) -> str | None:
    wheel = make_wheel(folder, "thing", "1.0", tag=f"cp311-cp311-{tag}", files={"thing/x.so": data})
    package = SourcePackage(name="thing", version="1.0", file="x.tar.gz", sha256=Digest("0" * 64), index="default")
    markers = marker_environment(Machine(platform=Platform(platform), python="3.11", system=()))
    target = Target(platform=Platform(platform), python="3.11", abi="cp311", floor=floor, markers=markers)
    return check_built(wheel, package, target).macos


def test_the_floor_of_the_lock_is_held_against_the_part_for_its_machine(tmp_path: Path) -> None:
    both = fat((X86, thin(X86, version_min(10, 13))), (ARM, thin(ARM, build_version(14, 2))))
    assert built(tmp_path, "osx-64", "11.0", both) == "10.13"
    assert built(tmp_path, "osx-64", None, both) == "10.13"
    assert built(tmp_path, "osx-arm64", "14.2", both) == "14.2"
    with pytest.raises(BuildError) as caught:
        built(tmp_path, "osx-arm64", "13.0", both)
    assert (caught.value.reference, caught.value.exit_code) == ("newer-system", 9)
    assert "thing/x.so of thing needs macOS 14.2, the lock assumes 13.0" in caught.value.message
    assert '__osx: "14.2"' in str(caught.value.hint)


def test_code_for_another_machine_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BuildError) as caught:
        built(tmp_path, "osx-64", "11.0", thin(ARM, build_version(11, 0)))
    assert caught.value.reference == "build-platform"
    assert "is for arm64, not for osx-64" in caught.value.message


def test_such_files_are_data_on_linux(tmp_path: Path) -> None:
    assert built(tmp_path, "linux-64", "2.28", thin(ARM, build_version(14, 0)), tag="linux_x86_64") is None
