"""The last runs of this machine, as the home keeps them: one small file for each that did something.

::

    runs/20261121T170940123456-4711.json      see ``envbuild.timeline``

Pictures show them, and plans learn from them how long things take here. They are bookkeeping: what cannot be written or
read is left out, nothing is decided by it, and a run with nothing to do writes none.

Rules of the file: the newest ``KEPT`` stay.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

from envbuild.errors import EnvbuildError
from envbuild.pattern import pattern
from envbuild.timeline import Timeline, timeline_from_tree, timeline_to_tree

KEPT = 20
LARGEST = 32 << 20
"""Bytes of a file that is read: a run of some hundred thousand jobs."""

_FILE = pattern(r"[0-9]{8}T[0-9]{12}-[0-9]+\.json")


def note_timeline(folder: Path, timeline: Timeline) -> None:
    """Keep a run, and let go of the oldest.

    Args:
        folder: ``runs/`` of the home.
        timeline: With at least one job; one of solves alone is not kept.
    """
    if all(span.kind == "solve" for span in timeline.spans):
        return
    now = time.time()
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(now)) + f"{int(now % 1 * 1_000_000):06d}"
    path = folder / f"{stamp}-{os.getpid()}.json"
    temporary = path.with_suffix(".tmp")
    with contextlib.suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
        try:
            temporary.write_text(json.dumps(timeline_to_tree(timeline), separators=(",", ":")), encoding="utf-8")
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        for old in _files(folder)[KEPT:]:
            old.unlink(missing_ok=True)


def timelines(folder: Path) -> Iterator[Timeline]:
    """The runs that are kept, the newest first; what is none is passed over."""
    for path in _files(folder):
        with contextlib.suppress(OSError, ValueError, RecursionError, EnvbuildError):
            if path.stat().st_size <= LARGEST:
                yield timeline_from_tree(json.loads(path.read_bytes()))


def _files(folder: Path) -> list[Path]:
    with contextlib.suppress(OSError):
        return sorted((path for path in folder.iterdir() if _FILE.fullmatch(path.name)), reverse=True)
    return []
