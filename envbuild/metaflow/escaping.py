"""Metaflow's environment escape on a node: a module that only the Python of the image has, used from inside of a step.

A code package has a file for each such module, which comes here when a step imports it. Only then is the image's Python
looked at: what it is, and what it imports. From there on it is Metaflow's own trampoline.

Rules of the file: runs inside of steps, in words that every Python that Metaflow runs on can read.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from envbuild.metaflow.names import IMAGE, OF_PYTHON

_KNOWS = """
import importlib.util, json, os, pickle, sys
path = [os.getcwd() if place == "" else place for place in sys.path]
print(json.dumps([sys.executable, path, pickle.HIGHEST_PROTOCOL, importlib.util.find_spec("requests") is not None]))
"""


def load(name: str, file: str) -> None:
    """Put into ``sys.modules`` what a module is in the image's Python, or what the step itself has of that name.

    Args:
        name: The module.
        file: Of the trampoline that stands for it.

    Raises:
        ImportError: With what the image's Python said.
    """
    text = _written(name)
    if text is None:  # METAFLOW_ENV_ESCAPE_DISABLED
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    exec(compile(text, file, "exec"), {"__name__": name, "__file__": file})  # noqa: S102  what Metaflow has written


def _written(name: str) -> str | None:
    """Metaflow's trampoline of a module."""
    before = {key: os.environ[key] for key in os.environ if key.startswith("METAFLOW_ENV_ESCAPE_")}
    python, path, protocol = _of_image(name)
    os.environ.update(
        METAFLOW_ENV_ESCAPE_PY=python,
        METAFLOW_ENV_ESCAPE_PATHS=os.pathsep.join(path),
        METAFLOW_ENV_ESCAPE_PICKLE_VERSION=str(protocol),
    )
    try:
        from metaflow.plugins.env_escape import generate_trampolines

        with tempfile.TemporaryDirectory() as folder:
            generate_trampolines(folder)
            written = Path(folder, f"{name}.py")
            return written.read_text(encoding="utf-8") if written.exists() else None
    finally:  # what this process starts finds out for itself
        for key in ("PY", "PATHS", "PICKLE_VERSION"):
            del os.environ[f"METAFLOW_ENV_ESCAPE_{key}"]
        os.environ.update(before)


def _of_image(name: str) -> tuple[str, list[str], int]:
    """The Python of the image, what it imports from, and how it pickles."""
    image: Any = json.loads(os.environ[IMAGE])
    what = f"{name} is used from outside of this environment"
    if image["python"] is None:
        raise ImportError(f"{what}, and the image has no python", name=name)
    environ = {key: value for key, value in os.environ.items() if key not in OF_PYTHON}
    done = subprocess.run(
        [image["python"], "-c", _KNOWS],
        cwd=image["folder"],
        env={**environ, **image["variables"]},
        capture_output=True,
        check=False,
    )
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()
        raise ImportError(f"{what}, where {image['python']} does not start: {said}", name=name)
    python, path, protocol, requests = json.loads(done.stdout)
    if not requests:
        lacks = f"{python} of the image has no requests, without which Metaflow does not start there"
        raise ImportError(f"{what}, and {lacks}", name=name)
    return python, path, protocol
