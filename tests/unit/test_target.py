"""Floors become uv's platform names and wheel tags; markers are the target's."""

from __future__ import annotations

import pytest
from packaging.utils import parse_wheel_filename

from envbuild.machine.virtual import default_system
from envbuild.package import PLATFORMS, Platform
from envbuild.solvers.target import Target, marker_environment, uv_environment, uv_platform, wheel_ranks


def _target(platform: str, python: str = "3.11", **system: str) -> Target:
    given = {f"__{name}": version for name, version in system.items()}
    return Target(platform=Platform(platform), python=python, system=default_system(Platform(platform), given))


def _best(target: Target, *files: str) -> str | None:
    ranks = wheel_ranks(target)
    fitting = []
    for file in files:
        known = [ranks[tag] for tag in parse_wheel_filename(file)[3] if tag in ranks]
        fitting += [(min(known), file)] if known else []
    return min(fitting)[1] if fitting else None


@pytest.mark.parametrize(
    ("platform", "glibc", "name"),
    [
        ("linux-64", "2.28", "x86_64-manylinux_2_28"),
        ("linux-64", "2.30", "x86_64-manylinux_2_28"),
        ("linux-64", "2.99", "x86_64-manylinux_2_40"),
        ("linux-64", "2.12", "x86_64-manylinux_2_17"),
        ("linux-aarch64", "2.35", "aarch64-manylinux_2_35"),
    ],
)
def test_uv_gets_the_highest_name_below_the_floor(platform: str, glibc: str, name: str) -> None:
    assert uv_platform(_target(platform, glibc=glibc)) == name


def test_macos_has_its_floor_in_a_variable() -> None:
    assert uv_platform(_target("osx-arm64")) == "aarch64-apple-darwin"
    assert uv_environment(_target("osx-arm64", osx="12.3")) == {"MACOSX_DEPLOYMENT_TARGET": "12.3"}
    assert uv_environment(_target("linux-64")) == {}


def test_a_wheel_above_the_floor_has_no_rank() -> None:
    new, old = "x-1-cp311-cp311-manylinux_2_34_x86_64.whl", "x-1-cp311-cp311-manylinux2014_x86_64.whl"
    assert _best(_target("linux-64"), new) is None
    assert _best(_target("linux-64"), new, old) == old
    assert _best(_target("linux-64", glibc="2.34"), new, old) == new
    assert _best(_target("osx-arm64", osx="13.0"), "x-1-cp311-cp311-macosx_14_0_arm64.whl") is None
    assert _best(_target("osx-arm64", osx="14.0"), "x-1-cp311-cp311-macosx_14_0_arm64.whl") is not None


def test_the_most_specific_wheel_is_the_best() -> None:
    pure, stable = "x-1-py3-none-any.whl", "x-1-cp38-abi3-manylinux_2_17_x86_64.whl"
    own = "x-1-cp311-cp311-manylinux_2_17_x86_64.whl"
    assert _best(_target("linux-64"), pure, stable, own) == own
    assert _best(_target("linux-64"), pure, stable) == stable
    assert _best(_target("linux-aarch64"), pure, stable) == pure
    assert _best(_target("linux-64", "3.12"), own) is None
    assert _best(_target("win-64"), "x-1-cp311-cp311-win_amd64.whl", pure) == "x-1-cp311-cp311-win_amd64.whl"


@pytest.mark.parametrize("platform", PLATFORMS)
def test_markers_are_the_targets(platform: Platform) -> None:
    environment = marker_environment(_target(platform, "3.9.7"))
    assert environment["python_version"] == "3.9"
    assert environment["python_full_version"] == "3.9.7"
    assert (environment["sys_platform"] == "linux") == platform.startswith("linux")
    assert environment["platform_machine"] in {"x86_64", "aarch64", "arm64", "AMD64"}
