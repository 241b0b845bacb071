"""Files of this process that no build may see, besides those that everybody keeps where tools expect them.

Rules of the file: a set of paths, which whoever reads such a file adds to, before anything is built.
"""

from __future__ import annotations

import os
from pathlib import Path

_files: set[Path] = set()


def keep_from_builds(path: Path) -> None:
    """Have a file out of sight of every build of this process."""
    _files.add(Path(os.path.realpath(path)))


def kept_from_builds() -> tuple[Path, ...]:
    """Those files."""
    return tuple(sorted(_files))
