"""What runs at each start of an environment's Python, before the program that was asked for.

Rules of the file: reads one folder of a prefix; imports and runs nothing of it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from envbuild.pattern import pattern

_IMPORTS = pattern(rb"^import[ \t]", re.MULTILINE)
_LARGEST = 1 << 20
_OWN = ("_virtualenv.pth", b"import _virtualenv")
"""What a virtual environment has from its maker."""


def startup_files(prefix: Path) -> tuple[str, ...]:
    """Files of a prefix that run code at each start of Python, relative to it, whichever package brought them."""
    folders = [folder for folder in prefix.glob("lib/python3*/site-packages") if not folder.parent.is_symlink()]
    return tuple(sorted(str(path.relative_to(prefix)) for folder in folders for path in _in_folder(folder)))


def _in_folder(folder: Path) -> Iterator[Path]:
    for name in os.listdir(folder):  # noqa: PTH208  some hundreds
        path = folder / name
        if name.endswith(".pth") and path.is_file():
            with path.open("rb") as stream:
                text = stream.read(_LARGEST)
            if _IMPORTS.search(text) and (name, text.strip()) != _OWN:
                yield path
        elif name in {"sitecustomize.py", "usercustomize.py"}:
            yield path
        elif name in {"sitecustomize", "usercustomize"} and (path / "__init__.py").is_file():
            yield path / "__init__.py"
