"""One parser fed with many damaged inputs, in a process of its own that the kernel watches.

    python -m tests.faults.fuzzing uv.lock 0 1000      the first thousand inputs of a subject
    python -m tests.faults.fuzzing uv.lock 4711        one input, seen again: what it is, and what came of it

Theory: whoever feeds a hundred thousand inputs cannot start a process for each, and one that feeds itself can neither
be stopped in a loop of C nor tell how much memory it held before. So a fresh process takes a range of inputs; timers of
the kernel end it when one of them takes too long, and the number of the one that is being tried stands in a file.

Rules of the file: knows no parser; subjects are in ``subjects``, by name.
"""

from __future__ import annotations

import faulthandler
import json
import mmap
import os
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from random import Random

from tests.case import CHECKOUT, clean_environment
from tests.faults.subjects import subject

SECONDS = 5.0
"""Time of the processor that one input may take."""
WAITING = 60.0
"""Time by the clock that one input may take: who sleeps uses no processor, and a busy machine makes all things slow."""
MEGABYTES = 512

_STATUS = Path("/proc/self/status")


def fed(name: str, first: int, last: int) -> dict[str, float]:
    """Feed a subject with the inputs from ``first`` to before ``last``, in another process.

    Returns:
        ``read``: how many of them were accepted; ``seconds``: the slowest of them; ``megabytes``: the process's most.

    Raises:
        AssertionError: With the number of the input that was not handled as it must be.
    """
    with tempfile.TemporaryDirectory(prefix="fuzz-", dir=_memory()) as folder:
        at = Path(folder) / "at"
        at.write_bytes(struct.pack("q", first))
        command = [sys.executable, "-m", "tests.faults.fuzzing", name, str(first), str(last), folder]
        environ = {**clean_environment(Path(folder)), "PYTHONPATH": str(CHECKOUT), "TMPDIR": folder}
        done = subprocess.run(command, cwd=CHECKOUT, env=environ, capture_output=True, text=True, check=False)
        seed = struct.unpack("q", at.read_bytes())[0]
    if done.returncode:
        ends = {-signal.SIGPROF: f"took more than {SECONDS:g} s", -signal.SIGALRM: f"waited more than {WAITING:g} s"}
        said = ends.get(done.returncode, f"exit {done.returncode}")
        raise AssertionError(f"python -m tests.faults.fuzzing {name!r} {seed}: {said}\n{done.stderr[-6000:]}")
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def _memory() -> str | None:
    """A folder in memory where there is one: what is tried here is no disk."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def feed(name: str, first: int, last: int, folder: Path) -> dict[str, float]:
    """What the other process does: every input, one after the other.

    Raises:
        AssertionError: When memory was taken that nobody may take; whatever the subject raises.
    """
    each = subject(name)(folder)
    read, slowest = 0, 0.0
    faulthandler.enable()
    for number in (signal.SIGPROF, signal.SIGALRM):
        faulthandler.register(number, all_threads=False, chain=True)  # then the kernel's own answer: the end
    with (folder / "at").open("r+b") as stream, mmap.mmap(stream.fileno(), 8) as at:
        for seed in range(first, last):
            struct.pack_into("q", at, 0, seed)
            signal.setitimer(signal.ITIMER_PROF, SECONDS)
            signal.setitimer(signal.ITIMER_REAL, WAITING)
            began = time.process_time()
            read += each(Random(f"{name} {seed}"))
            slowest = max(slowest, time.process_time() - began)
            used = _megabytes()
            assert used <= MEGABYTES, f"{used:.0f} MB"
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
    return {"read": read, "seconds": slowest, "megabytes": _megabytes()}


def _megabytes() -> float:
    """The most that this process ever held. What the kernel tells of usage begins, on Linux, with what the process
    that started this one held: a test runner that has run for long."""
    if _STATUS.exists():
        told = _STATUS.read_text()
        return int(told[told.index("VmHWM:") + 6 :].split(None, 1)[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1 << 20)


def main(arguments: list[str]) -> None:
    """See the module's docstring."""
    warnings.simplefilter("error")
    name, first = arguments[0], int(arguments[1])
    last = int(arguments[2]) if len(arguments) > 2 else first + 1
    if len(arguments) > 3:
        result = feed(name, first, last, Path(arguments[3]))
    else:
        with tempfile.TemporaryDirectory(prefix="fuzz-", dir=_memory()) as folder:
            (Path(folder) / "at").write_bytes(bytes(8))
            result = feed(name, first, last, Path(folder))
    print(json.dumps(result))


if __name__ == "__main__":
    main(sys.argv[1:])
