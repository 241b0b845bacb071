"""How much memory this process takes for one thing, whatever it held before."""

from __future__ import annotations

import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_STATUS = Path("/proc/self/status")


@contextmanager
def at_most(megabytes: float) -> Iterator[None]:
    """Hold what runs inside to so much more memory than there was before.

    The highest mark of a process never falls by itself, and a test runner has held much already. Linux lets it be set
    back; elsewhere only what rises above the old mark is seen.
    """
    before = _marks()[1] if _set_back() else _highest()
    yield
    used = _marks()[0] - before if _STATUS.exists() else _highest() - before
    assert used < megabytes, f"{used:.0f} MB"


def _set_back() -> bool:
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return _STATUS.exists()


def _marks() -> tuple[float, float]:
    """The highest mark and what is held now, in MB."""
    told = dict(line.split(":", 1) for line in _STATUS.read_text().splitlines())
    return int(told["VmHWM"].split()[0]) / 1024, int(told["VmRSS"].split()[0]) / 1024


def _highest() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1 << 20)
