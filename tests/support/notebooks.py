"""Jupyter as a user has it: real wheels of ipykernel, which bring jupyter_client, and a program that runs a kernel.

The client runs in another process than the tests and knows the kernel by its name alone, as a notebook does.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

from tests.support.cache import made_once, source_key
from tests.support.conda_package import PackageRecipe, write_package
from tests.support.wheels import real_wheels

PROGRAM = """
import sys
from jupyter_client.manager import start_new_kernel

manager, client = start_new_kernel(kernel_name=sys.argv[1], startup_timeout=120)
try:
    def told(message):
        if message["msg_type"] == "stream":
            sys.stdout.write(message["content"]["text"])
        elif message["msg_type"] == "error":
            sys.stderr.write("\\n".join(message["content"]["traceback"]))

    reply = client.execute_interactive(sys.argv[2], timeout=120, output_hook=told, store_history=False)
    sys.exit(0 if reply["content"]["status"] == "ok" else 1)
finally:
    client.stop_channels()
    manager.shutdown_kernel(now=True)
"""


def kernel_wheels() -> Path:
    """ipykernel and all that it needs. Skips, loudly, where the index cannot be reached."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("UV_", "PIP_")) and name != "UV_HTTP_TIMEOUT"]:
            patch.delenv(name)
        for name in ("HOME", "XDG_CONFIG_HOME"):
            patch.delenv(name, raising=False)
        patch.setenv("HOME", _HOME)
        for name, value in _SETTINGS.items():
            patch.setenv(name, value)
        try:
            return real_wheels(["ipykernel==6.29.5", "debugpy==1.8.14"])
        except LookupError as missing:
            pytest.skip(f"NO REAL WHEELS: {missing}")


_HOME = os.environ.get("HOME", "/")
_SETTINGS = {
    name: value for name, value in os.environ.items() if name.startswith(("UV_", "PIP_")) or name == "XDG_CONFIG_HOME"
}


def run_in_kernel(python: Path, kernel: str, code: str, environ: Mapping[str, str]) -> str:
    """What a kernel prints when code runs in it.

    Args:
        python: A Python with jupyter_client.
        kernel: The kernel's name.
        code: What runs there.
        environ: Of the client, and so of the kernel before it is activated.
    """
    mine = {name: value for name, value in environ.items() if name not in {"PYTHONPATH", "ENVBUILD_ACTIVE_PREFIX"}}
    done = subprocess.run(
        [str(python), "-c", PROGRAM, kernel, code],
        env=mine,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def spec(folder: Path) -> dict[str, object]:
    """What Jupyter reads of a kernel."""
    tree: dict[str, object] = json.loads((folder / "kernel.json").read_text(encoding="utf-8"))
    return tree


def kernel_channel() -> Path:
    """The same as a conda channel, for conda's Python of the series that runs the tests."""
    wheels = kernel_wheels()

    def make(folder: Path) -> None:
        from rattler.index import index_fs

        for wheel in sorted(wheels.glob("*.whl")):
            write_package(_as_conda(wheel), folder)
        asyncio.run(index_fs(folder, write_zst=False, write_shards=False))

    return made_once(f"kernel-channel-{source_key(('notebooks.py', 'conda_package.py'), wheels.name)}", make)


def _as_conda(wheel: Path) -> PackageRecipe:
    """A package with the files of a wheel: they are where they would be, whatever the Python is called."""
    name, version, _, _ = parse_wheel_filename(wheel.name)
    with zipfile.ZipFile(wheel) as archive:
        contents = {item: archive.read(item) for item in archive.namelist() if not item.endswith("/")}
    told = next(data for item, data in contents.items() if item.endswith(".dist-info/METADATA")).decode()
    needs = [Requirement(text) for text in re.findall(r"^Requires-Dist: (.*)$", told, re.MULTILINE)]
    needed = [item.name for item in needs if item.marker is None or item.marker.evaluate({"extra": ""})]
    files = {f"site-packages/{item}": data for item, data in contents.items() if ".data/" not in item}
    return PackageRecipe(
        name=str(name),
        version=str(version),
        build="py_0",
        subdir="noarch",
        noarch="python",
        depends=("python", *sorted({str(canonicalize_name(item)) for item in needed})),
        files=files,
        index={"purls": [f"pkg:pypi/{name}"]},
    )
