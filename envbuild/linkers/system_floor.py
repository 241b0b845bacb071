"""Whether a package fits the system that a lock assumed: its platform, and the oldest glibc or macOS.

The floor is the lock's, not this machine's: a lock that promises glibc 2.28 must hold nothing that needs 2.34, even
when the machine that links it could run it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from envbuild.errors import IntegrityError, UnsatisfiableError
from envbuild.package import CondaPackage, Platform, Wheel
from envbuild.pattern import pattern

_ARCHITECTURES: Mapping[Platform, tuple[str, ...]] = {
    Platform("linux-64"): ("x86_64",),
    Platform("linux-aarch64"): ("aarch64",),
    Platform("osx-64"): ("x86_64", "universal2", "intel"),
    Platform("osx-arm64"): ("arm64", "universal2"),
}
_LEGACY = {"manylinux1": (2, 5), "manylinux2010": (2, 12), "manylinux2014": (2, 17)}
_MANYLINUX = pattern(r"manylinux_(\d+)_(\d+)_(.+)")
_MACOS = pattern(r"macosx_(\d+)_(\d+)_(.+)")
_NEEDS = pattern(r"(__glibc|__osx)\s+.*?>=\s*(\d+)\.(\d+)")


def check_wheel_platform(wheel: Wheel, platform: Platform, system: Mapping[str, str]) -> None:
    """A wheel's file name must allow this platform and nothing newer than the floor.

    Raises:
        IntegrityError: ``wrong-platform`` for a wheel of another system, or a name without tags.
        UnsatisfiableError: ``newer-system`` for a newer glibc or macOS than the lock assumes.
    """
    parts = wheel.file.removesuffix(".whl").split("-")
    if not wheel.file.endswith(".whl") or len(parts) not in {5, 6}:
        raise IntegrityError(f"{wheel.file} is not the name of a wheel", reference="wrong-platform")
    tags = parts[-1].split(".")
    if "any" in tags:
        return
    needs = [need for tag in tags if (need := _need(tag, platform)) is not None]
    if not needs:
        raise IntegrityError(f"{wheel.file} is not for {platform}", reference="wrong-platform", hint="envbuild lock")
    name, floor = _floor(platform, system)
    if floor is not None and min(needs) > floor:
        raise _newer(wheel.file, name, min(needs), floor)


def check_conda_platform(package: CondaPackage, platform: Platform, system: Mapping[str, str]) -> None:
    """A conda package must be for this platform and ask for nothing newer than the floor.

    Raises:
        IntegrityError: ``wrong-platform``. UnsatisfiableError: ``newer-system``.
    """
    if package.subdir not in {platform, "noarch"}:
        raise IntegrityError(f"{package.file} is for {package.subdir}, not for {platform}", reference="wrong-platform")
    name, floor = _floor(platform, system)
    for text in package.depends:
        found = _NEEDS.match(text)
        if found and found[1] == name and floor is not None and (int(found[2]), int(found[3])) > floor:
            raise _newer(package.file, name, (int(found[2]), int(found[3])), floor)


def _need(tag: str, platform: Platform) -> tuple[int, int] | None:
    """The system version that a platform tag needs here; None when it is not for this platform."""
    machines = _ARCHITECTURES.get(platform, ())
    if platform.startswith("linux"):
        for legacy, version in _LEGACY.items():
            if tag in {f"{legacy}_{machine}" for machine in machines}:
                return version
        if tag in {f"linux_{machine}" for machine in machines}:
            return (0, 0)
    found = (_MANYLINUX if platform.startswith("linux") else _MACOS).fullmatch(tag)
    if found and found[3] in machines:
        return int(found[1]), int(found[2])
    return None


def _floor(platform: Platform, system: Mapping[str, str]) -> tuple[str, tuple[int, int] | None]:
    name = "__glibc" if platform.startswith("linux") else "__osx"
    found = re.match(r"(\d+)(?:\.(\d+))?", system.get(name, ""))
    return name, (int(found[1]), int(found[2] or 0)) if found else None


def _newer(file: str, name: str, need: tuple[int, int], floor: tuple[int, int]) -> UnsatisfiableError:
    needed, assumed = (".".join(map(str, version)) for version in (need, floor))
    return UnsatisfiableError(
        f"{file} needs {name} {needed}, the lock assumes {assumed}",
        reference="newer-system",
        hint=f'write system: {{{name}: "{needed}"}} into the recipe, then: envbuild lock',
    )
