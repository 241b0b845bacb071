"""Figures: what a torture run counted, collected across processes as lines of JSON, and added up for the report.

Rules of the file: a figure is counted where it happens; nothing is derived from the code that is under test.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

VARIABLE = "ENVBUILD_TEST_FIGURES"
"""Names the file that counts are appended to; without it nothing is kept."""

_PATH = os.environ.get(VARIABLE)  # now, for tests run without any variable of envbuild's


def count(name: str, good: int, tried: int) -> None:
    """``good`` of ``tried`` went as they must. Both are added up over a run."""
    _note({"name": name, "good": good, "tried": tried})


def worst(name: str, value: float) -> None:
    """A measured value of which the largest of a run is reported."""
    _note({"name": name, "worst": value})


def parser(name: str, inputs: int, result: Mapping[str, float]) -> None:
    """So many damaged inputs were fed to a parser, with what ``fuzzing.fed`` says of them."""
    _note({"parser": name, "inputs": inputs, **result})


def _note(entry: Mapping[str, object]) -> None:
    if _PATH:
        with Path(_PATH).open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(entry) + "\n")


def added_up(path: Path) -> tuple[dict[str, tuple[int, int]], dict[str, float]]:
    """The sums and the largest values of a run, by name."""
    sums: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
    largest: dict[str, float] = {}
    for entry in _entries(path):
        if "worst" in entry:
            largest[entry["name"]] = max(largest.get(entry["name"], 0.0), entry["worst"])
        elif "tried" in entry:
            good, tried = sums[entry["name"]]
            sums[entry["name"]] = (good + entry["good"], tried + entry["tried"])
    return dict(sums), largest


def parsers(path: Path) -> dict[str, dict[str, float]]:
    """By parser: its ``inputs``, how many were ``read``, the most ``seconds`` for one, the most ``megabytes``."""
    found: dict[str, dict[str, float]] = defaultdict(
        lambda: dict.fromkeys(("inputs", "read", "seconds", "megabytes"), 0)
    )
    for entry in _entries(path):
        if "parser" in entry:
            told = found[entry["parser"]]
            for key in ("inputs", "read"):
                told[key] += entry[key]
            for key in ("seconds", "megabytes"):
                told[key] = max(told[key], entry[key])
    return dict(found)


def parts(path: Path) -> list[dict[str, Any]]:
    """What each part of a run was."""
    return [entry["part"] for entry in _entries(path) if "part" in entry]


def _entries(path: Path) -> Iterator[dict[str, Any]]:
    for line in path.read_text(encoding="utf-8").splitlines():
        yield json.loads(line)
