"""Build systems that others use, for comparison: Nix from Debian, ninja from PyPI; made ready where they are not there.

Rules of the file: Nix works in a folder of its own, as one user, without its daemon, its sandbox and its substituters.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.support.cache import made_once
from tests.support.wheels import uv

_SETTINGS = "sandbox = false\nbuild-users-group =\nsubstituters =\n"


def nix(folder: Path, environ: dict[str, str]) -> dict[str, str]:
    """The environment of a Nix whose store is in a folder; jobs as many as processors.

    Raises:
        LookupError: When there is no Nix, and no way to install Debian's.
    """
    if shutil.which("nix-build") is None:
        _install("nix-bin")
    (folder / "etc").mkdir(parents=True)
    (folder / "etc" / "nix.conf").write_text(f"{_SETTINGS}max-jobs = {os.cpu_count() or 1}\n")
    return environ | {
        "NIX_REMOTE": "",
        "NIX_CONF_DIR": str(folder / "etc"),
        "NIX_STORE_DIR": str(folder / "store"),
        "NIX_STATE_DIR": str(folder / "var"),
        "NIX_LOG_DIR": str(folder / "log"),
        "PATH": f"{environ.get('PATH', os.defpath)}{os.pathsep}/usr/bin",
    }


def _install(package: str) -> None:
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise LookupError(f"there is no {package}, and only root can install it: apt-get install {package}")
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for words in (["update"], ["install", "-y", "--no-install-recommends", package]):
        done = subprocess.run(["apt-get", "-q", *words], env=environ, capture_output=True, text=True, check=False)
        if done.returncode:
            raise LookupError(f"apt-get {words[0]} failed: {done.stderr.strip()[-300:]}")


def ninja() -> str:
    """The program, of PyPI's package of the same name."""
    version = "1.13.0"

    def install(folder: Path) -> None:
        where = ["--python", sys.executable, "--target", str(folder)]
        subprocess.run([uv(), "pip", "install", "--quiet", *where, f"ninja=={version}"], check=True)

    return str(made_once(f"ninja-{version}", install) / "bin" / "ninja")


_DERIVE = """\
{ count, salt }:
let
  derive = number: inputs: derivation {
    name = "d${toString number}";
    system = builtins.currentSystem;
    builder = "/bin/sh";
    args = [ "-c" "echo d${toString number} ${salt} > $out" ];
    inherit inputs;
    passAsFile = [ "inputs" ];
  };
in
"""

NIX_SHAPES = {
    "chain": _DERIVE
    + "builtins.foldl' (before: number: derive number [ before ]) null (builtins.genList (n: n) count)\n",
    "wide": _DERIVE + "derive (count - 1) (builtins.genList (number: derive number [ ]) (count - 1))\n",
    "apart": _DERIVE + "builtins.genList (number: derive number [ ]) count\n",
}
"""The shapes of ``benchmarks.trivial`` in Nix's language."""


def ninja_file(shape: str, count: int) -> str:
    """The shapes of ``benchmarks.trivial`` as a ``build.ninja``."""
    inputs: Callable[[int], str] = {
        "chain": lambda number: f"d{number - 1}" if number else "",
        "wide": lambda number: " ".join(f"d{leaf}" for leaf in range(number)) if number == count - 1 else "",
        "apart": lambda number: "",
    }[shape]
    rule = "rule make\n  command = echo $out > $out\n"
    return rule + "".join(f"build d{number}: make {inputs(number)}\n" for number in range(count))
