"""Wheels that are not what the lock says, or not safe: refused before an installer sees them."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from envbuild.digest import digest_file
from envbuild.errors import EnvbuildError, IntegrityError, UnsatisfiableError
from envbuild.linkers.system_floor import check_conda_platform, check_wheel_platform
from envbuild.linkers.wheel_check import check_wheel
from envbuild.package import CondaPackage, Platform, Wheel
from tests.support.wheels import make_wheel


def locked(path: Path, name: str = "tool-box", version: str = "1.0") -> Wheel:
    return Wheel(name=name, version=version, file=path.name, sha256=digest_file(path), index="default")


def refused(path: Path, wheel: Wheel, memory: Path) -> IntegrityError:
    with pytest.raises(IntegrityError) as caught:
        check_wheel(path, wheel, memory)
    assert not memory.exists()
    return caught.value


def test_a_good_wheel_is_read_once(tmp_path: Path) -> None:
    path = make_wheel(tmp_path, "tool-box", "1.0", scripts={"tool-box": "tool_box:main"})
    wheel = locked(path)
    check_wheel(path, wheel, tmp_path / "memory")
    path.unlink()
    check_wheel(path, wheel, tmp_path / "memory")
    with pytest.raises(IntegrityError):
        check_wheel(
            path,
            locked(make_wheel(tmp_path, "tool-box", "1.0", scripts={"tool-box": "tool_box:main"}), "other"),
            tmp_path / "memory",
        )


def test_another_spelling_of_the_version_is_the_same_version(tmp_path: Path) -> None:
    path = make_wheel(tmp_path, "Tool.Box", "1.0")
    check_wheel(path, locked(path, version="1.0.0"), tmp_path / "memory")


@pytest.mark.parametrize(("name", "version"), [("other", "1.0"), ("tool-box", "1.1"), ("tool-box", "not a version")])
def test_another_package_than_the_lock_says(name: str, version: str, tmp_path: Path) -> None:
    path = make_wheel(tmp_path, "tool-box", "1.0")
    error = refused(path, locked(path, name, version), tmp_path / "memory")
    assert error.reference == "wrong-package"
    assert "says that it is tool-box 1.0" in error.message


def rewritten(path: Path, change: dict[str, bytes | None]) -> Path:
    """The same wheel with members replaced, added, or (None) left out."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in {**members, **change}.items():
            if data is not None:
                archive.writestr(name, data)
    return path


@pytest.mark.parametrize(
    "change",
    [
        {"other-1.0.dist-info/METADATA": b"Name: tool-box\nVersion: 1.0\n"},
        {f"tool_box-1.0.dist-info/{name}": None for name in ("METADATA", "WHEEL", "RECORD")},
        {"tool_box-1.0.dist-info/METADATA": None},
        {"tool_box-1.0.dist-info/METADATA": b"Name: x"},
    ],
)
def test_metadata_that_is_not_one_and_clear(change: dict[str, bytes | None], tmp_path: Path) -> None:
    path = rewritten(make_wheel(tmp_path, "tool-box", "1.0"), change)
    assert refused(path, locked(path), tmp_path / "memory").reference == "wrong-package"


@pytest.mark.parametrize("data", [b"", b"PK\x05\x06", b"#!/bin/sh\n", b"\x1f\x8b\x08" + b"\0" * 40])
def test_what_is_no_zip(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "tool_box-1.0-py3-none-any.whl"
    path.write_bytes(data + b" ")
    assert refused(path, locked(path), tmp_path / "memory").reference == "bad-wheel"


@pytest.mark.parametrize(
    "name",
    ["../../evil", "/abs", ".", "..", "a/b", "python", "python3.11", "activate", "a b", "a\tb", "-x", "a\\b", "é"],
)
def test_entry_points_are_plain_names(name: str, tmp_path: Path) -> None:
    path = make_wheel(tmp_path, "tool-box", "1.0")
    entry = f"[console_scripts]\n{name} = tool_box:main\n".encode()
    rewritten(path, {"tool_box-1.0.dist-info/entry_points.txt": entry})
    assert refused(path, locked(path), tmp_path / "memory").reference == "bad-entry-point"


LINUX = Platform("linux-64")
MAC = Platform("osx-arm64")


@pytest.mark.parametrize(
    ("tags", "platform", "floor", "reference"),
    [
        ("py3-none-any", LINUX, "2.17", None),
        ("cp311-cp311-manylinux_2_28_x86_64", LINUX, "2.28", None),
        ("cp311-cp311-manylinux_2_39_x86_64", LINUX, "2.28", "newer-system"),
        ("cp311-cp311-manylinux_2_17_x86_64.manylinux_2_39_x86_64", LINUX, "2.28", None),
        ("cp311-cp311-manylinux2014_x86_64", LINUX, "2.17", None),
        ("cp311-cp311-manylinux2014_x86_64", LINUX, "2.12", "newer-system"),
        ("cp311-cp311-linux_x86_64", LINUX, "2.17", None),
        ("cp311-cp311-manylinux_2_17_aarch64", LINUX, "2.28", "wrong-platform"),
        ("cp311-cp311-musllinux_1_2_x86_64", LINUX, "2.28", "wrong-platform"),
        ("cp311-cp311-win_amd64", LINUX, "2.28", "wrong-platform"),
        ("cp311-cp311-macosx_11_0_arm64", MAC, "13.0", None),
        ("cp311-cp311-macosx_14_0_arm64", MAC, "13.0", "newer-system"),
        ("cp311-cp311-macosx_11_0_universal2", MAC, "13.0", None),
        ("cp311-cp311-macosx_11_0_x86_64", MAC, "13.0", "wrong-platform"),
    ],
)
def test_the_floor_of_the_lock_decides(tags: str, platform: Platform, floor: str, reference: str | None) -> None:
    from envbuild.digest import digest_bytes

    wheel = Wheel(name="x", version="1", file=f"x-1-{tags}.whl", sha256=digest_bytes(b"x"), index="default")
    system = {"__glibc": floor, "__osx": floor}
    if reference is None:
        check_wheel_platform(wheel, platform, system)
        return
    with pytest.raises(EnvbuildError) as caught:
        check_wheel_platform(wheel, platform, system)
    assert caught.value.reference == reference
    assert caught.value.exit_code == (11 if reference == "newer-system" else 4)


@pytest.mark.parametrize("file", ["x.whl", "x-1.whl", "x-1-py3-none-any.zip", "x-1-a-b-c-d-e.whl"])
def test_a_name_without_tags_is_no_wheel(file: str) -> None:
    from envbuild.digest import digest_bytes

    with pytest.raises(IntegrityError, match="not the name of a wheel"):
        check_wheel_platform(
            Wheel(name="x", version="1", file=file, sha256=digest_bytes(b"x"), index="default"), LINUX, {}
        )


def test_conda_packages_have_a_floor_too() -> None:
    from envbuild.digest import digest_bytes

    def package(subdir: str, *depends: str) -> CondaPackage:
        return CondaPackage(
            name="x", version="1", build="0", build_number=0, subdir=subdir, file="x-1-0.conda",
            sha256=digest_bytes(b"x"), channel="c", depends=depends,
        )  # fmt: skip

    check_conda_platform(package("noarch", "__glibc >=2.17,<3.0.a0"), LINUX, {"__glibc": "2.17"})
    with pytest.raises(UnsatisfiableError, match=r"needs __glibc 2\.34, the lock assumes 2\.28"):
        check_conda_platform(package("linux-64", "python", "__glibc >=2.34,<3.0.a0"), LINUX, {"__glibc": "2.28"})
    with pytest.raises(IntegrityError, match="linux-aarch64"):
        check_conda_platform(package("linux-aarch64"), LINUX, {})
