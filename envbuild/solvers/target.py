"""What a lock's floors mean to uv and to wheels: uv's platform name, wheel tags from best to worst, markers.

All of it is computed from the platform, the Python and the virtual packages of the request: never from the machine that
locks. A wheel that needs a newer glibc or macOS than the floor has no tag here.
Rules of the file: pure; ``packaging`` is imported late.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from envbuild.markers import ARCHITECTURE, marker_variables
from envbuild.package import Platform
from envbuild.value import dataclass

if TYPE_CHECKING:
    from packaging.tags import Tag

UV_MANYLINUX = (17, 28, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40)
"""Minor versions of glibc that uv has platform names for."""

_LEGACY = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A platform, its floors and a Python.

    Attributes:
        python: Full version when it is known (``3.11.7``), else the series.
        system: Virtual packages and their versions.
    """

    platform: Platform
    python: str
    system: tuple[tuple[str, str], ...]

    @property
    def series(self) -> str:
        """``X.Y``."""
        return ".".join(self.python.split(".")[:2])

    @property
    def full(self) -> str:
        """``X.Y.Z``; the first release of the series when only that is known, as uv assumes too."""
        return self.python if self.python.count(".") >= 2 else f"{self.python}.0"

    def floor(self, name: str, default: tuple[int, int]) -> tuple[int, int]:
        """Version of a virtual package as two numbers."""
        text = dict(self.system).get(name, "")
        numbers = [int(part) for part in re.findall(r"\d+", text)[:2]]
        return (numbers[0], numbers[1] if len(numbers) > 1 else 0) if numbers else default


def uv_platform(target: Target) -> str:
    """Uv's name of the platform: the highest of its manylinux names that does not exceed the floor."""
    if target.platform.startswith("linux"):
        _, minor = target.floor("__glibc", (2, 17))
        fits = [item for item in UV_MANYLINUX if item <= minor]
        return f"{ARCHITECTURE[target.platform]}-manylinux_2_{fits[-1] if fits else 17}"
    if target.platform.startswith("osx"):
        return "aarch64-apple-darwin" if target.platform == "osx-arm64" else "x86_64-apple-darwin"
    return "x86_64-pc-windows-msvc"


def uv_environment(target: Target) -> dict[str, str]:
    """Variables that tell uv what its flags cannot: the macOS floor."""
    if not target.platform.startswith("osx"):
        return {}
    major, minor = target.floor("__osx", (13, 0))
    return {"MACOSX_DEPLOYMENT_TARGET": f"{major}.{minor}"}


def platform_tags(target: Target) -> list[str]:
    """Platform tags of wheels from best to worst."""
    machine = ARCHITECTURE[target.platform]
    if target.platform.startswith("linux"):
        _, floor = target.floor("__glibc", (2, 17))
        lowest = 5 if machine == "x86_64" else 17
        tags = []
        for minor in range(floor, lowest - 1, -1):
            tags.append(f"manylinux_2_{minor}_{machine}")
            if minor in _LEGACY:
                tags.append(f"{_LEGACY[minor]}_{machine}")
        return [*tags, f"linux_{machine}"]
    if target.platform.startswith("osx"):
        from packaging.tags import mac_platforms

        return list(mac_platforms(target.floor("__osx", (13, 0)), machine))
    return ["win_amd64"]


def wheel_ranks(target: Target) -> Mapping[Tag, int]:
    """Every tag that the target takes, with its rank; the lowest is the best."""
    from packaging.tags import compatible_tags, cpython_tags

    major, minor = (int(part) for part in target.series.split("."))
    platforms = platform_tags(target)
    ranks: dict[Tag, int] = {}
    interpreter = f"cp{major}{minor}"
    for tag in (
        *cpython_tags((major, minor), platforms=platforms, abis=[interpreter]),
        *compatible_tags((major, minor), interpreter, platforms),
    ):
        ranks.setdefault(tag, len(ranks))
    return ranks


def marker_environment(target: Target) -> dict[str, str]:
    """PEP 508 variables of the target, as uv assumes them."""
    return marker_variables(target.platform, target.full)
