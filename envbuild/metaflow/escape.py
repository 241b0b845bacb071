"""Metaflow's environment escape: modules that a step imports although only the launching Python has them.

An extension may say of a module that steps use it from outside (``plugins/env_escape/configurations/emulate_…``). For
each, Metaflow writes a file of that name, a *trampoline*, that starts the launching Python beside the step and passes
calls to it. The files are the same as long as the launching Python and its path are, so they are made once and lie in a
cache; they stand behind everything else on a step's ``PYTHONPATH``, and give way to a module that the step has itself.

Rules of the file: which modules there are is Metaflow's to say; ``METAFLOW_ENV_ESCAPE_DISABLED`` is its switch.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

FOLDER = "_escape_trampolines"
"""What Metaflow calls it: its code packages leave folders of this name out."""

_KEPT = ("LD_LIBRARY_PATH", "PYTHONHOME")


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

    (folder / FOLDER).mkdir()
    generate_trampolines(str(folder / FOLDER))


def outside(now: Mapping[str, str]) -> dict[str, str]:
    """Variables that tell Metaflow what the launching Python's own were, for what runs outside.

    Args:
        now: The launching process's environment.
    """
    return {f"MF_ORIG_{name}": now[name] for name in _KEPT if name in now and f"MF_ORIG_{name}" not in now}
