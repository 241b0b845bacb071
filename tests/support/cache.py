"""A folder for what is slow to make (Python packages, real wheels), kept between runs, shared by all processes.

Theory: a thing is made once per key, in a temporary folder beside its final name, under a file lock, and renamed when
it is whole. So xdist workers wait for each other, and a killed run leaves nothing that looks finished.

Rules of the file: ``<checkout>/.test-cache`` (ignored by Git), or the system's temporary folder when the checkout is
read-only; a key holds every input, so nothing is ever updated in place.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]


def cache_folder() -> Path:
    """The cache's folder, made when it is not there."""
    for folder in (CHECKOUT / ".test-cache", Path(tempfile.gettempdir()) / f"envbuild-test-cache-{os.getuid()}"):
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK):
            return folder
    raise OSError("no folder for the test cache can be written")


def source_key(modules: Iterable[str], *extra: str) -> str:
    """A key over the text of files beside this one, and whatever else decides the result."""
    state = hashlib.sha256()
    for name in modules:
        state.update((Path(__file__).parent / name).read_bytes())
    for text in extra:
        state.update(text.encode() + b"\0")
    return state.hexdigest()[:20]


def made_once(name: str, make: Callable[[Path], None]) -> Path:
    """The folder ``name`` of the cache, filled by ``make`` if it was not there.

    Args:
        name: With the key of all inputs in it.
        make: Fills the empty folder it is given; called by one process at a time.
    """
    root = cache_folder()
    final = root / name
    if final.is_dir():
        return final
    with (root / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if final.is_dir():
            return final
        scratch = Path(tempfile.mkdtemp(prefix=f"{name}.", suffix=".tmp", dir=root))
        try:
            make(scratch)
            scratch.rename(final)
        except BaseException:
            shutil.rmtree(scratch, ignore_errors=True)
            raise
    return final
