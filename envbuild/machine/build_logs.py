"""Logs of builds that failed: the last try of each, until newer ones push it out.

::

    logs/<key>.log       what the build printed; the first line says what was built and when

The log of a build that succeeded is an output of it (``log``) and lies in the store.

Rules of the file: a log that cannot be kept never hides why the build failed.
"""

from __future__ import annotations

import os
import shutil
import time
from contextlib import suppress
from pathlib import Path

from envbuild.digest import Digest
from envbuild.machine.home import Home

MOST = 100
"""Logs kept, the newest."""


def keep_log(home: Home, key: Digest, label: str, log: Path) -> None:
    """Keep the log of a build that failed, in place of an older one of the same build.

    Args:
        home: Where it is kept.
        key: Of the build.
        label: What people call it: ``numpy 1.26.4``.
        log: The file; nothing is kept when there is none.
    """
    folder = home.path / "logs"
    final, part = folder / f"{key}.log", folder / f".{key}.{os.getpid()}"
    with suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
        try:
            with part.open("wb") as out, log.open("rb") as stream:
                when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
                out.write(f"# {label}: failed, {when}\n".encode())
                shutil.copyfileobj(stream, out, 1 << 20)
            part.replace(final)
        finally:
            part.unlink(missing_ok=True)
        kept = sorted(folder.glob("*.log"), key=lambda path: path.stat().st_mtime_ns)
        for old in kept[:-MOST]:
            old.unlink(missing_ok=True)
