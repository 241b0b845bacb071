"""Conda libraries that a build may see: how compilers and build tools are told, and how the wheel finds them later.

Compilers get ``CPATH`` and ``LIBRARY_PATH``, tools ``PKG_CONFIG_PATH`` and ``CMAKE_PREFIX_PATH``, makefiles ``PREFIX``.

**Run paths.** A module in ``<prefix>/lib/pythonX.Y/site-packages/a/b.so`` finds ``<prefix>/lib`` from where it lies:
``$ORIGIN/../../..``. How deep it will lie nobody knows while it is linked, so every depth that occurs is named; the
wrong ones lead into ``site-packages`` or outside of ``lib``, where no library lies. No absolute path is ever named, so
the wheel works in any prefix. The options stand in a file that the linker reads itself (``-Wl,@file``), for a ``$``
does not survive make, ninja and a shell alike; ``LD_RUN_PATH`` serves those who ignore ``LDFLAGS``.

Rules of the file: values, and one file in the build's environment.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

DEPTHS = 5
"""How many folders below ``site-packages`` a module may lie."""

_FILE = "run-paths.txt"


def run_paths(origin: str = "$ORIGIN") -> tuple[str, ...]:
    """The places of ``<prefix>/lib`` from modules in ``site-packages``, the least deep first."""
    return tuple(f"{origin}/../.." + "/.." * depth for depth in range(DEPTHS + 1))


def write_run_paths(prefix: Path) -> None:
    """Put the linker's options into a build's environment."""
    lines = [f"-rpath '{path}'" for path in run_paths()]
    (prefix / _FILE).write_text("\n".join(lines) + "\n", encoding="utf-8")


def host_variables(prefix: Path, system: str = sys.platform) -> Mapping[str, str]:
    """What tells a build where its libraries are.

    Args:
        prefix: The environment, as the build sees it.
        system: ``sys.platform`` of the machine.
    """
    if system == "darwin":
        options = " ".join(f"-Wl,-rpath,{path}" for path in run_paths("@loader_path"))
    else:
        options = " ".join(map(shlex.quote, (f"-Wl,-rpath-link,{prefix}/lib", f"-Wl,@{prefix}/{_FILE}")))
    return {
        "PREFIX": str(prefix),
        "CPATH": f"{prefix}/include",
        "LIBRARY_PATH": f"{prefix}/lib",
        "PKG_CONFIG_PATH": f"{prefix}/lib/pkgconfig:{prefix}/share/pkgconfig",
        "CMAKE_PREFIX_PATH": str(prefix),
        "LDFLAGS": f"{shlex.quote(f'-L{prefix}/lib')} {options}",
        "LD_RUN_PATH": ":".join(run_paths()),
    }
