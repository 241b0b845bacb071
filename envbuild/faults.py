"""Named fault points: where tests kill, stop, delay or fail the process, to prove that a crash loses nothing.

``ENVBUILD_FAULT=name:kill``, ``name:raise``, ``name:enospc``, ``name:sleep=500`` (milliseconds), each with an optional
``:n`` for the n-th time only. Without the variable a fault point costs one comparison. ``FAULTS`` lists every name, so
that a test can go through all of them, and ``reach`` refuses a name that is not listed.
"""

from __future__ import annotations

import errno
import os
import signal
import time

FAULTS: tuple[str, ...] = (
    "lock-taken",
    "tmp-created",
    "mid-download",
    "post-download-pre-hash",
    "pre-fsync",
    "pre-rename",
    "post-rename-pre-result",
    "mid-solve",
    "mid-transmute",
    "mid-prepare",
    "mid-link",
    "pre-wheels",
    "mid-wheel-build",
    "pre-prefix-rename",
    "post-prefix-rename-pre-root",
    "pre-lockfile-rename",
    "pre-stamp",
    "mid-upload",
    "post-blobs-pre-record",
    "pre-name-put",
    "post-name-put",
    "gc-post-mark",
    "gc-mid-sweep",
    "store-gc-pre-mark",
    "store-gc-post-mark",
    "store-gc-closed",
    "store-gc-mid-sweep",
    "store-gc-pre-end",
)

_PLAN = os.environ.get("ENVBUILD_FAULT", "")
_seen: dict[str, int] = {}


def reach(name: str) -> None:
    """Do what ``ENVBUILD_FAULT`` says about this point; nothing when it says nothing.

    Raises:
        OSError: ``ENOSPC`` for ``enospc``, ``EIO`` for ``raise``.
        ValueError: For a name that ``FAULTS`` does not list.
    """
    if not _PLAN:
        return
    if name not in FAULTS:
        raise ValueError(f"unlisted fault point {name}")
    wanted, _, rest = _PLAN.partition(":")
    if wanted != name:
        return
    action, _, nth = rest.partition(":")
    _seen[name] = _seen.get(name, 0) + 1
    if nth and int(nth) != _seen[name]:
        return
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif action.startswith("sleep="):
        time.sleep(int(action[6:]) / 1000)
    else:
        code = errno.ENOSPC if action == "enospc" else errno.EIO
        raise OSError(code, os.strerror(code), name)
