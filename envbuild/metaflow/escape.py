"""Metaflow's environment escape: modules that a step imports although only the launching Python has them.

An extension may say of a module that steps use it from outside (``plugins/env_escape/configurations/emulate_…``). For
each, Metaflow writes a file of that name, a *trampoline*, that starts the launching Python beside the step and passes
calls to it. The files are the same as long as the launching Python and its path are, so they are made once and lie in a
cache; they stand behind everything else on a step's ``PYTHONPATH``, and give way to a module that the step has itself.

On another machine they lead to the Python of the image: a code package has a file for each, which finds out about
that Python when a step imports it (``envbuild.metaflow.escaping``).

Rules of the file: which modules there are is Metaflow's to say; ``METAFLOW_ENV_ESCAPE_DISABLED`` is its switch.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from envbuild.metaflow.names import IMAGE, OF_PYTHON

FOLDER = "_escape_trampolines"
"""What Metaflow calls it: its code packages leave folders of this name out."""

_KEPT = ("LD_LIBRARY_PATH", "PYTHONHOME")
_AWAY = "away"
_LOADS = """\
from envbuild.metaflow.escaping import load

load(__name__, __file__)
"""


def trampolines(cache: Path) -> Path:
    """The folder of the trampolines, made when it is not there.

    Args:
        cache: A folder that may be deleted at any time.
    """
    from metaflow.metaflow_version import get_version
    from metaflow.plugins import env_escape  # says to all processes below how they get out

    from envbuild.metaflow.importable import made_at_once

    known = {
        "metaflow": get_version(),
        "python": env_escape.ENV_ESCAPE_PY,
        "path": env_escape.ENV_ESCAPE_PATHS,
        "pickle": env_escape.ENV_ESCAPE_PICKLE_VERSION,
        "off": os.environ.get("METAFLOW_ENV_ESCAPE_DISABLED", ""),
        "modules": _configured(env_escape),
        "away": _LOADS,
    }
    name = hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:32]
    folder = cache / "metaflow-escape" / name
    if not folder.is_dir():
        made_at_once(folder, _make)
    return folder / FOLDER


def _configured(env_escape: object) -> list[str]:
    """The folders that describe modules, those of extensions included."""
    from metaflow.extension_support import get_modules

    modules = [env_escape, *(item.module for item in get_modules("plugins.env_escape"))]
    places = [Path(str(getattr(module, "__file__", ""))).parent / "configurations" for module in modules]
    return sorted(str(child) for place in places if place.is_dir() for child in place.iterdir())


def _make(folder: Path) -> None:
    from metaflow.plugins.env_escape import generate_trampolines

    for name in (FOLDER, _AWAY):
        (folder / name).mkdir()
    generate_trampolines(str(folder / FOLDER))
    for path in (folder / FOLDER).iterdir():
        (folder / _AWAY / path.name).write_text(_LOADS, encoding="utf-8")


def outside(now: Mapping[str, str]) -> dict[str, str]:
    """Variables that tell Metaflow what the launching Python's own were, for what runs outside.

    Args:
        now: The launching process's environment.
    """
    return {f"MF_ORIG_{name}": now[name] for name in _KEPT if name in now and f"MF_ORIG_{name}" not in now}


def of_packages(cache: Path) -> list[tuple[str, str]]:
    """The files of a code package that stand for modules which escape, and what they are called there.

    Args:
        cache: As of ``trampolines``.
    """
    folder = trampolines(cache).with_name(_AWAY)
    return [(str(path), f"{FOLDER}/{path.name}") for path in sorted(folder.iterdir())]


def to_image(now: Mapping[str, str], folder: Path) -> dict[str, str]:
    """On a node: the variable that tells a step how to start the Python of its image.

    Args:
        now: The variables of the image, with Metaflow's code on ``PYTHONPATH``.
        folder: Where the flow is.
    """
    python = now.get("METAFLOW_ENV_ESCAPE_PY") or shutil.which("python", path=now["PATH"])
    variables = {name: now[name] for name in OF_PYTHON if name in now}
    known = {"python": python, "folder": str(folder), "variables": variables}
    return {IMAGE: json.dumps(known)}
