"""What a step must be able to import besides its own packages: Metaflow, its extensions, and envbuild.

A step's interpreter has none of them installed. They are put into one folder, as links to where this process has them,
which goes first on the step's ``PYTHONPATH``; nothing else of this process's packages is seen there. The folder is
named after what is in it, so that it is made once and shared by all runs; it lies in a cache.

``INFO`` is what Metaflow keeps beside itself where it is not installed: which extensions there are, without looking.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import envbuild
from envbuild.metaflow.escape import of_packages


def importable(cache: Path) -> Path:
    """The folder, made when it is not there.

    Args:
        cache: A folder that may be deleted at any time.
    """
    from metaflow.extension_support import dump_module_info
    from metaflow.metaflow_version import get_version
    from metaflow.util import get_metaflow_root

    key, extensions = dump_module_info()
    links = {
        "metaflow": str(Path(get_metaflow_root(), "metaflow")),
        "envbuild": str(Path(envbuild.__file__).parent),
        **_extensions(),
    }
    info = {key: extensions, "metaflow_version": get_version()}
    text = json.dumps({"links": links, "info": info}, sort_keys=True)
    folder = cache / "metaflow" / hashlib.sha256(text.encode()).hexdigest()[:32]
    if not folder.is_dir():
        made_at_once(folder, lambda place: _make(place, links, info))
    return folder


def _extensions() -> dict[str, str]:
    """The folders of all extensions, by the path that they have below."""
    import metaflow_extensions

    found: dict[str, str] = {}
    for place in map(Path, metaflow_extensions.__path__):
        for child in sorted(place.iterdir()) if place.is_dir() else ():
            if child.is_dir() and child.name != "__pycache__":
                found.setdefault(f"metaflow_extensions/{child.name}", str(child))
    return found


def _make(folder: Path, links: dict[str, str], info: dict[str, Any]) -> None:
    for name, target in links.items():
        link = folder / name
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(target)
    (folder / "INFO").write_text(json.dumps(info), encoding="utf-8")


def made_at_once(folder: Path, make: Callable[[Path], None]) -> None:
    """Make a folder beside and give it its name in one step; whoever comes second throws his away.

    Args:
        folder: What it is to be called.
        make: Fills it.
    """
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    make(temporary)
    try:
        temporary.rename(folder)
    except OSError:
        shutil.rmtree(temporary)
        if not folder.is_dir():
            raise


def of_tasks() -> list[tuple[str, str]]:
    """The files that a task on another machine imports besides Metaflow's, and what a code package calls them."""
    from envbuild.machine.home import find_home

    package = Path(envbuild.__file__).parent
    files = [package / "__init__.py", package / "version.py", *sorted((package / "metaflow").glob("*.py"))]
    own = [(str(path), str(path.relative_to(package.parent))) for path in files]
    return [*own, *of_packages(find_home(os.environ) / "cache")]


def python_path(folder: Path, before: str | None, behind: Path) -> str:
    """``PYTHONPATH`` of a step.

    Args:
        folder: Comes first.
        before: What the user has there.
        behind: Comes last.
    """
    own = {str(folder), str(behind)}
    rest: Iterable[str] = (part for part in (before or "").split(os.pathsep) if part and part not in own)
    return os.pathsep.join([str(folder), *rest, str(behind)])
