"""Which prefixes running processes use, as far as this system tells: their program, working folder and mapped files.

Only Linux tells (``/proc``); elsewhere nothing is found, and registered roots, recent use and the locks that
``envbuild run`` holds protect a prefix. A process of another user that may not be looked at is passed over: it could
not read a home of mode 0700 either.

Rules of the file: reads only.
"""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path


def prefixes_in_use(prefixes: Path) -> set[str]:
    """Folder names under ``prefixes`` that a running process uses.

    Args:
        prefixes: The prefixes' folder, absolute.
    """
    found: set[str] = set()
    wanted = re.compile(re.escape(str(prefixes.resolve())) + r"/([^/\n\0]+)")
    for process in Path("/proc").glob("[0-9]*"):
        for name in ("exe", "cwd", "root"):
            with suppress(OSError):
                found.update(wanted.findall(str((process / name).readlink()) + "/"))
        with suppress(OSError):
            found.update(wanted.findall((process / "maps").read_text("utf-8", "replace")))
        with suppress(OSError):
            for entry in (process / "fd").iterdir():
                with suppress(OSError):
                    found.update(wanted.findall(str(entry.readlink()) + "/"))
    return found
