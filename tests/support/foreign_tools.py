"""Other tools' own readers, installed once into the test cache, so that what we write is read by who it is for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from envbuild.machine.uv_program import uv_program
from tests.support.cache import made_once

_ENVIRONMENT = dict(os.environ)  # before any fixture hides this machine's settings: the real index is meant
CONDA_LOCK = "conda-lock==4.0.3"

_READ = """
import json, pathlib, sys
from conda_lock.lockfile import parse_conda_lock_file
lock = parse_conda_lock_file(pathlib.Path(sys.argv[1]))
print(json.dumps({
    "platforms": lock.metadata.platforms,
    "channels": [channel.url for channel in lock.metadata.channels],
    "packages": [
        [item.manager, item.platform, item.name, item.version, item.url, item.hash.sha256, sorted(item.dependencies)]
        for item in lock.package
    ],
}))
"""


def conda_lock_reads(file: Path) -> dict[str, Any]:
    """What conda-lock itself reads from a file.

    Raises:
        LookupError: When it cannot be installed here (callers skip, loudly).
        AssertionError: When it cannot read the file.
    """
    series = f"{sys.version_info.major}.{sys.version_info.minor}"
    folder = made_once(f"{CONDA_LOCK.replace('==', '-')}-{series}", _install)
    environ = {**_ENVIRONMENT, "PYTHONPATH": str(folder)}
    argv = [sys.executable, "-W", "ignore", "-c", _READ, str(file)]
    done = subprocess.run(argv, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _install(folder: Path) -> None:
    argv = [uv_program(), "pip", "install", "--quiet", "--python", sys.executable, "--target", str(folder), CONDA_LOCK]
    done = subprocess.run(argv, env=_ENVIRONMENT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise LookupError(f"conda-lock cannot be installed: {done.stderr.strip()[-300:]}")
