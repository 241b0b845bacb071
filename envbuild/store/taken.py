"""What this machine took from shared stores, and what it had to do itself: one small line for each run that did work.

::

    taken/2026-11-21.jsonl     {"stores": {ADDRESS: [BLOBS AND RESULTS, BYTES]}, "own": [HOW MANY, BYTES FETCHED]}

A line is appended in one write, so that processes need not wait for each other; whoever reads adds them up. A store
that was asked and gave nothing stands there with nought, so its share can be told. Files of more than a month go with
the first line of a day. It is bookkeeping: what cannot be written, or read, is left out.

Rules of the file: standard library only; nothing is decided by it.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path

from envbuild.pattern import pattern
from envbuild.value import dataclass

DAYS = 30
LARGEST = 1 << 20
"""Bytes of a day: some thousands of runs."""

_FILE = pattern(r"([0-9]{4}-[0-9]{2}-[0-9]{2})\.jsonl")


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What a store gave this machine in the last days.

    Attributes:
        count: Files and results; ``size``: their bytes, which were fetched from no origin and made nowhere.
        wanted: All that was missing here in the runs that asked this store: what it gave, what others gave, and what
            was fetched or made here.
        runs: How many those were.
    """

    count: int
    size: int
    wanted: int
    runs: int


def note_taken(folder: Path, today: date, stores: Mapping[str, tuple[int, int]], own: tuple[int, int]) -> None:
    """Append one run.

    Args:
        folder: ``taken/`` of the home.
        today: The day.
        stores: What each store that was asked gave, by address: how many, and their bytes.
        own: What was fetched from origins or made here: how many, and the bytes fetched.
    """
    path = folder / f"{today.isoformat()}.jsonl"
    line = json.dumps({"stores": {name: list(given) for name, given in stores.items()}, "own": list(own)}) + "\n"
    with contextlib.suppress(OSError):
        if not path.exists():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _forget(folder, today - timedelta(days=DAYS))
        elif path.stat().st_size > LARGEST:
            return
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.write(descriptor, line.encode())
        finally:
            os.close(descriptor)


def read_taken(folder: Path, today: date) -> dict[str, Given]:
    """What each store gave within ``DAYS`` days, by address; lines that are none are passed over.

    Args:
        folder: ``taken/`` of the home.
        today: The day.
    """
    sums: dict[str, list[int]] = {}
    for path in _files(folder, today - timedelta(days=DAYS), after=True):
        with contextlib.suppress(OSError), path.open("rb") as stream:
            for line in stream.read(LARGEST + (64 << 10)).splitlines():
                with contextlib.suppress(ValueError, TypeError, LookupError, AttributeError, RecursionError):
                    tree = json.loads(line)
                    given = {str(name): (_whole(found[0]), _whole(found[1])) for name, found in tree["stores"].items()}
                    wanted = sum(count for count, _ in given.values()) + _whole(tree["own"][0])
                    for name, (count, size) in given.items():
                        into = sums.setdefault(name, [0, 0, 0, 0])
                        for place, number in enumerate((count, size, wanted, 1)):
                            into[place] += number
    return {name: Given(count=sum_[0], size=sum_[1], wanted=sum_[2], runs=sum_[3]) for name, sum_ in sums.items()}


def _whole(value: object) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(value)
    return value


def _forget(folder: Path, before: date) -> None:
    for path in _files(folder, before, after=False):
        path.unlink(missing_ok=True)


def _files(folder: Path, day: date, *, after: bool) -> list[Path]:
    """The files of days after a day, or of that day and those before it."""
    found = []
    with contextlib.suppress(OSError):
        for path in sorted(folder.iterdir()):
            match = _FILE.fullmatch(path.name)
            if match is not None and (match[1] > day.isoformat()) == after:
                found.append(path)
    return found
