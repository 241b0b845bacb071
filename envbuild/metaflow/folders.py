"""Where the recipes of a run lie, and that one launch at a time writes them.

The folder is called after the flow's class. Where two files of a project have a class of one name, the first to run has
it, and the other gets one with a digest of its path: neither makes the other's environments stale. Two launches of one
flow may want different things (a ``Config``, ``--with``), so that each is alone from the writing of its recipes until
its environments are there: a launch that comes meanwhile waits.

Rules of the file: a folder that cannot be written is told by whoever writes into it.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from envbuild.errors import NoSpaceError
from envbuild.machine.home import find_home
from envbuild.machine.kernel_lock import KernelLock
from envbuild.projects.recipe_files import LINKS

if TYPE_CHECKING:
    from envbuild.metaflow.collecting import Flow
    from envbuild.projects.project import Project

_OWNER = ".flow"
"""Holds the path of the flow's file, from the project's root."""


def own_folder(project: Project, flow: Flow) -> Path:
    """The folder of the recipes that runs of a flow make for themselves; made when it is not there.

    Args:
        project: The flow's.
        flow: What its steps ask for.
    """
    folder = project.root / LINKS / "flows" / flow.name
    file = os.path.relpath(flow.file, project.root)
    owner = None
    with suppress(OSError, UnicodeDecodeError):
        owner = (folder / _OWNER).read_text(encoding="utf-8")
    if owner is not None and owner != file and (project.root / owner).is_file():
        folder = folder.with_name(f"{flow.name}-{_digest(file)}")
    folder.mkdir(parents=True, exist_ok=True)
    if owner is None or (owner != file and folder.name == flow.name):
        (folder / _OWNER).write_text(file, encoding="utf-8")
    return folder


@contextmanager
def alone(project: Project, flow: Flow, environ: Mapping[str, str], note: Callable[[str], None]) -> Iterator[None]:
    """Keep other launches of flows of this name out; they wait, and say so.

    Args:
        project: The flow's.
        flow: What its steps ask for.
        environ: Says where the home is.
        note: Told when this one has to wait.
    """
    name = f"flow-{flow.name}-{_digest(str(project.root))}"
    lock = KernelLock(find_home(environ) / "locks" / name, timeout=math.inf, notice=note)
    with suppress(NoSpaceError):  # in a home that cannot be written nothing is made either
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _digest(text: str) -> str:
    return hashlib.sha256(os.fsencode(text)).hexdigest()[:8]
