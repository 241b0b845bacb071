"""PEP 508's variables of a platform and a Python: what markers of requirements are evaluated with.

They are computed from what the environment is for, never from the machine that asks; solving and linking must see the
same values.
Rules of the file: pure, and no import of ``packaging``.
"""

from __future__ import annotations

from envbuild.package import Platform

ARCHITECTURE = {
    "linux-64": "x86_64",
    "linux-aarch64": "aarch64",
    "osx-64": "x86_64",
    "osx-arm64": "arm64",
    "win-64": "amd64",
}
"""The machine's name as wheel tags have it."""

_SYSTEM = {"l": ("posix", "linux", "Linux"), "o": ("posix", "darwin", "Darwin"), "w": ("nt", "win32", "Windows")}


def marker_variables(platform: Platform, python: str) -> dict[str, str]:
    """The variables, as uv assumes them (PEP 508).

    Args:
        platform: What the environment is for.
        python: Full version, or the series, which stands for its first release.
    """
    full = python if python.count(".") >= 2 else f"{python}.0"
    os_name, sys_platform, platform_system = _SYSTEM[platform[0]]
    machine = ARCHITECTURE[platform]
    return {
        "implementation_name": "cpython",
        "implementation_version": full,
        "os_name": os_name,
        "platform_machine": machine.upper() if platform == "win-64" else machine,
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": platform_system,
        "platform_version": "",
        "python_full_version": full,
        "python_version": ".".join(full.split(".")[:2]),
        "sys_platform": sys_platform,
    }
