"""Virtual packages: defaults that do not depend on the machine, and what a machine lacks."""

from __future__ import annotations

import pytest

from envbuild.errors import UnsatisfiableError
from envbuild.machine.virtual import check_system, current_platform, default_system, detect_system
from envbuild.package import PLATFORMS, Platform

LINUX = Platform("linux-64")
HAVE = {"__unix": "0", "__linux": "5.10.2", "__glibc": "2.35", "__archspec": "1 x86_64_v3"}


@pytest.mark.parametrize("platform", PLATFORMS)
def test_every_platform_has_defaults_sorted_and_overridable(platform: Platform) -> None:
    system = default_system(platform, {"__cuda": "12.4", "__unix": "1"})
    assert list(system) == sorted(system)
    assert dict(system)["__cuda"] == "12.4"
    assert dict(system)["__unix"] == "1"
    assert "__cuda" not in dict(default_system(platform))


def test_this_machine_has_what_its_platform_assumes() -> None:
    platform = current_platform()
    check_system(platform, default_system(platform))
    check_system(platform, default_system(platform), detect_system())


def test_everything_missing_is_named_at_once() -> None:
    system = default_system(LINUX, {"__glibc": "2.99", "__cuda": "12.4"})
    with pytest.raises(UnsatisfiableError) as caught:
        check_system(LINUX, system, HAVE)
    assert caught.value.exit_code == 11
    assert caught.value.reference == "virtual-package"
    assert "__glibc is 2.35, and 2.99 is needed" in caught.value.message
    assert "__cuda 12.4 is not there" in caught.value.message
    assert "system:" in (caught.value.hint or "")


def test_a_real_check_finds_a_missing_package_too() -> None:
    with pytest.raises(UnsatisfiableError, match="__nonesuch 1 is not there"):
        check_system(current_platform(), default_system(current_platform(), {"__nonesuch": "1"}))


@pytest.mark.parametrize(
    ("name", "needed", "enough"),
    [
        ("__glibc", "2.35", True),
        ("__glibc", "2.4", True),
        ("__glibc", "2.36", False),
        ("__glibc", "3", False),
        ("__linux", "5.10", True),
        ("__linux", "5.10.3", False),
        ("__archspec", "1 x86_64", True),
        ("__archspec", "1 x86_64_v3", True),
        ("__archspec", "1 x86_64_v2", True),
        ("__archspec", "1 x86_64_v4", False),
    ],
)
def test_versions_compare_by_number(name: str, needed: str, enough: bool) -> None:
    if enough:
        check_system(LINUX, ((name, needed),), HAVE)
    else:
        with pytest.raises(UnsatisfiableError):
            check_system(LINUX, ((name, needed),), HAVE)


def test_another_platform_is_refused_with_what_this_one_is() -> None:
    other = next(item for item in PLATFORMS if item != current_platform())
    with pytest.raises(UnsatisfiableError) as caught:
        check_system(other, default_system(other))
    assert caught.value.reference == "platform"
    assert current_platform() in caught.value.message
