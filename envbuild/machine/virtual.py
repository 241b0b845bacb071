"""Virtual packages: what a platform is assumed to offer, what this machine offers, and whether that is enough.

Locking never looks at the machine: every machine locks alike, from what the recipe says or the defaults here. Only
realizing compares. Defaults are cautious floors: glibc 2.28 is what the manylinux images of today assume.

Rules of the file: ``rattler`` is imported only to look at this machine.
"""

from __future__ import annotations

import platform as machine
import re
import sys
from collections.abc import Mapping

from envbuild.errors import UnsatisfiableError
from envbuild.package import Platform

DEFAULTS: Mapping[Platform, tuple[tuple[str, str], ...]] = {
    Platform("linux-64"): (("__archspec", "1 x86_64"), ("__glibc", "2.28"), ("__linux", "4.18"), ("__unix", "0")),
    Platform("linux-aarch64"): (("__archspec", "1 aarch64"), ("__glibc", "2.28"), ("__linux", "4.18"), ("__unix", "0")),
    Platform("osx-64"): (("__archspec", "1 x86_64"), ("__osx", "13.0"), ("__unix", "0")),
    Platform("osx-arm64"): (("__archspec", "1 arm64"), ("__osx", "13.0"), ("__unix", "0")),
    Platform("win-64"): (("__archspec", "1 x86_64"), ("__win", "0")),
}
"""Sorted by name. A version of two words is (version, build), as conda shows ``__archspec``."""


def default_system(platform: Platform, given: Mapping[str, str] | None = None) -> tuple[tuple[str, str], ...]:
    """The complete virtual packages of a platform, sorted by name.

    Args:
        platform: The target.
        given: What the recipe says; it overrides and adds.
    """
    return tuple(sorted({**dict(DEFAULTS[platform]), **(given or {})}.items()))


def current_platform() -> Platform:
    """This machine's platform.

    Raises:
        UnsatisfiableError: ``platform`` when envbuild has none for it.
    """
    arm = machine.machine().lower() in {"arm64", "aarch64"}
    if sys.platform.startswith("linux"):
        return Platform("linux-aarch64" if arm else "linux-64")
    if sys.platform == "darwin":
        return Platform("osx-arm64" if arm else "osx-64")
    if sys.platform == "win32":
        return Platform("win-64")
    raise UnsatisfiableError(f"there are no packages for {sys.platform}", reference="platform")


def detect_system() -> dict[str, str]:
    """The virtual packages of this machine, by name.

    ``CONDA_OVERRIDE_…`` variables are not looked at: they would make a check say what is not so.
    """
    from rattler import VirtualPackage, VirtualPackageOverrides

    found = {}
    for item in VirtualPackage.detect(VirtualPackageOverrides()):
        generic = item.into_generic()
        name, version = generic.name.normalized, str(generic.version)
        found[name] = f"{version} {generic.build_string}" if name == "__archspec" else version
    return found


def check_system(
    platform: Platform, system: tuple[tuple[str, str], ...], found: Mapping[str, str] | None = None
) -> None:
    """Refuse a lock that assumes more than this machine has.

    Args:
        platform: The lock's platform.
        system: What its solve assumed.
        found: What this machine has; detected when not given.

    Raises:
        UnsatisfiableError: ``platform`` for another platform, ``virtual-package`` with every package that is missing or
            too old.
    """
    here = current_platform()
    if found is None and platform != here:
        raise UnsatisfiableError(
            f"this environment is for {platform}; this machine is {here}",
            reference="platform",
            hint=f"envbuild lock --platform {here}",
        )
    if found is None and _cheaply_enough(system):
        return
    have = detect_system() if found is None else found
    problems = [problem for name, version in system if (problem := _problem(name, version, have))]
    if problems:
        raise UnsatisfiableError(
            f"this machine lacks what the lock assumes: {'; '.join(problems)}",
            reference="virtual-package",
            hint="lower it under `system:` in the recipe and lock again, or use another machine",
        )


def _cheaply_enough(system: tuple[tuple[str, str], ...]) -> bool:
    """Whether the standard library alone can say yes: glibc and kernel new enough, nothing special asked.

    It saves the engine's import (70 ms) on each realize; a no is left to the engine, which knows better.
    """
    if not sys.platform.startswith("linux"):
        return False
    have = {"__unix": "0", "__linux": machine.release(), "__archspec": f"1 {machine.machine()}"}
    library, version = machine.libc_ver()
    if library == "glibc":
        have["__glibc"] = version
    return not any(_problem(name, version, have) for name, version in system)


def _problem(name: str, version: str, have: Mapping[str, str]) -> str | None:
    if name not in have:
        return f"{name} {version} is not there"
    if name in {"__unix", "__win"}:
        return None
    if name == "__archspec":
        return _architecture_problem(version, have[name])
    if _numbers(have[name]) < _numbers(version):
        return f"{name} is {have[name]}, and {version} is needed"
    return None


def _architecture_problem(version: str, have: str) -> str | None:
    """Only the generic families and their levels are judged here; a finer name must be met exactly."""
    wanted, found = version.split()[-1], have.split()[-1]
    generic = {"x86_64", "aarch64", "arm64", "0", "1"}
    if wanted in generic or wanted == found:
        return None
    level = re.fullmatch(r"x86_64_v([234])", wanted)
    has = re.fullmatch(r"x86_64_v([234])", found)
    if level and has and int(has[1]) >= int(level[1]):
        return None
    if level and not has and found != "x86_64":
        return None  # a named microarchitecture, which rattler reports for machines of level 3 and above
    return f"__archspec is {found}, and {wanted} is needed"


def _numbers(version: str) -> tuple[int, ...]:
    numbers = [int(part) for part in re.findall(r"\d+", version.split()[0].split("-")[0])]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)
