"""R33: parsers of what comes from outside, fed with damaged inputs: an error or the truth, never anything else.

A few inputs for each parser by default, 100,000 under ``./dev torture``; the number of an input that fails is in the
message, and ``python -m tests.faults.fuzzing`` has it again.
"""

from __future__ import annotations

import importlib

import pytest

from tests.faults.counts import COUNTS
from tests.faults.figures import parser
from tests.faults.fuzzing import fed
from tests.faults.subjects import COSTLY, NAMES

PIECE = 25_000
"""Inputs that one process takes: a report soon, and work for every core."""


def pieces(name: str) -> list[tuple[str, int, int]]:
    """The ranges of a subject's inputs."""
    inputs = max(100, COUNTS.inputs // COSTLY.get(name, 1))
    return [(name, first, min(first + PIECE, inputs)) for first in range(0, inputs, PIECE)]


@pytest.mark.parametrize(
    ("name", "first", "last"), [piece for names in NAMES.values() for name in names for piece in pieces(name)]
)
def test_damaged_inputs_are_read_or_refused(name: str, first: int, last: int) -> None:
    result = fed(name, first, last)
    assert 0 < result["read"] < last - first, "inputs that are all good, or all bad, try little"
    parser(name, last - first, result)


def test_every_subject_is_fed() -> None:
    for module, names in NAMES.items():
        assert set(names) == set(importlib.import_module(f"tests.faults.{module}").SUBJECTS), module
