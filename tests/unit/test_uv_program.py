"""uv is found by whichever thread asks first, and by all that ask at the same moment."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from envbuild.machine.uv_program import uv_program

# Solves of two platforms begin at once; asked by both, sysconfig gave None to one of them, in a fresh process only.
MANY = """
import sys, threading
sys.setswitchinterval(1e-6)
from envbuild.machine.uv_program import uv_program
start, found = threading.Barrier(8), []
def ask():
    start.wait()
    found.append(uv_program())
threads = [threading.Thread(target=ask) for _ in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(len(found), len(set(found)))
"""


def test_it_is_a_program() -> None:
    assert Path(uv_program()).is_file()


def test_threads_of_a_fresh_process_all_find_it() -> None:
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", MANY], capture_output=True, text=True, check=False)
        assert (done.stdout, done.stderr) == ("8 1\n", "")
