"""Starts one command, waits for it, and prints what it cost as JSON; run with ``python -S -E``.

Why a process of its own: a child's peak memory begins with that of the process that forked it, so the launcher must be
smaller than anything measured; and its own start must not be part of the time. Processes that a command has left
behind, and that ended meanwhile, count too: they become this one's.
"""

import ctypes
import json
import os
import sys
import time

_SUBREAPER = 36
"""``PR_SET_CHILD_SUBREAPER`` of Linux."""


def left_behind():
    """What processes cost that nobody waited for, and whose parent has ended."""
    while True:
        try:
            process, _, usage = os.wait3(os.WNOHANG)
        except ChildProcessError:
            return
        if not process:
            return
        yield usage


def main():
    """Launch ``argv[2:]``, its output going to the file ``argv[1]``."""
    output = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
    started = time.monotonic()
    child = os.posix_spawnp(
        sys.argv[2],
        sys.argv[2:],
        os.environ,
        file_actions=[(os.POSIX_SPAWN_DUP2, output, 1), (os.POSIX_SPAWN_DUP2, output, 2)],
    )
    _, status, usage = os.wait4(child, 0)
    wall = time.monotonic() - started
    usages = [usage, *left_behind()]
    result = {
        "code": os.waitstatus_to_exitcode(status),
        "wall": wall,
        "cpu": sum(each.ru_utime + each.ru_stime for each in usages),
        # kB on Linux, bytes on macOS; of the largest process of the tree
        "peak": max(each.ru_maxrss for each in usages) * (1 if sys.platform == "darwin" else 1024),
    }
    os.write(1, json.dumps(result).encode())


main()
