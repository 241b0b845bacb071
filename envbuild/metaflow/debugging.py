"""``METAFLOW_DEBUG_ENVBUILD=1``: what was asked, found, locked and realized, line by line, each with its time.

``METAFLOW_DEBUG_CONDA=1``, the switch of Metaflow's own conda and of Netflix's extension, says the same. Times are
seconds since the launch began.

Rules of the file: costs nothing when it is off; secrets never, as everywhere.
"""

from __future__ import annotations

import sys
import time

_BEGAN = time.monotonic()


def debugging() -> bool:
    """Whether somebody wants to know."""
    from metaflow.debug import debug

    return bool(debug.envbuild or debug.conda)


def say(text: str) -> None:
    """Say something, each of its lines with the time, when somebody wants to know."""
    if debugging():
        for line in text.splitlines():
            sys.stderr.write(f"debug[envbuild {time.monotonic() - _BEGAN:.3f} s]: {line}\n")
        sys.stderr.flush()
