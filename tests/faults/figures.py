"""Figures: what a torture run counted, collected across processes as lines of JSON, and added up for the report.

Rules of the file: a figure is counted where it happens; nothing is derived from the code that is under test.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from pathlib import Path

VARIABLE = "ENVBUILD_TEST_FIGURES"
"""Names the file that counts are appended to; without it nothing is kept."""

_PATH = os.environ.get(VARIABLE)  # now, for tests run without any variable of envbuild's


def count(name: str, good: int, tried: int) -> None:
    """``good`` of ``tried`` went as they must. Both are added up over a run."""
    _note({"name": name, "good": good, "tried": tried})


def worst(name: str, value: float) -> None:
    """A measured value of which the largest of a run is reported."""
    _note({"name": name, "worst": value})


def _note(entry: dict[str, object]) -> None:
    if _PATH:
        with Path(_PATH).open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(entry) + "\n")


def added_up(path: Path) -> tuple[dict[str, tuple[int, int]], dict[str, float]]:
    """The sums and the largest values of a run, by name."""
    sums: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
    largest: dict[str, float] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        name = entry["name"]
        if "worst" in entry:
            largest[name] = max(largest.get(name, 0.0), entry["worst"])
        else:
            good, tried = sums[name]
            sums[name] = (good + entry["good"], tried + entry["tried"])
    return dict(sums), largest
