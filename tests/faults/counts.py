"""How often the fault tests try things: seldom by default, often under ``./dev torture``.

``ENVBUILD_TEST_TORTURE=1`` asks for full counts, ``0.25`` for a quarter of them; ``ENVBUILD_TEST_TORTURE_INPUTS``
likewise for the inputs of parsers alone.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, replace

SCALE = float(os.environ.get("ENVBUILD_TEST_TORTURE") or 0)
INPUTS = float(os.environ.get("ENVBUILD_TEST_TORTURE_INPUTS") or SCALE)
TORTURE = SCALE > 0


@dataclass(frozen=True, kw_only=True)
class Counts:
    """How often things are tried.

    Attributes:
        full: True under ``./dev torture``.
        kills: Random kills. ``signals``: random SIGTERMs and SIGINTs, each.
        rounds: Rounds of many processes at once.
        sizes: Disk sizes tried. ``nth``: how often a fault point may be passed before it kills, at most.
        collections: Realizes against a collector that never rests.
        files: Files of a prefix that are damaged, besides the chosen ones.
        inputs: Damaged inputs for each parser.
        seeds: Random walks through a store. ``steps``: of each.
        processes: How many begin at the same moment; not scaled. ``moves``: of a name by each writer; likewise.
    """

    full: bool
    kills: int
    signals: int
    rounds: int
    sizes: int
    nth: int
    collections: int
    files: int
    inputs: int
    seeds: int
    steps: int
    processes: int
    moves: int


SMALL = Counts(
    full=False,
    kills=8,
    signals=3,
    rounds=1,
    sizes=5,
    nth=0,
    collections=6,
    files=3,
    inputs=250,
    seeds=1,
    steps=400,
    processes=8,
    moves=10,
)
FULL = Counts(
    full=True,
    kills=200,
    signals=20,
    rounds=20,
    sizes=24,
    nth=60,
    collections=100,
    files=50,
    inputs=100_000,
    seeds=50,
    steps=10_000,
    processes=32,
    moves=50,
)
_WHOLE = {"full", "processes", "moves"}
"""What stays full in a scaled run: fewer at once would be another test."""


def chosen() -> Counts:
    """The counts of this run: never less than the small ones."""
    if not TORTURE:
        return SMALL
    scaled = {
        name: max(small, round(getattr(FULL, name) * (INPUTS if name == "inputs" else SCALE)))
        for name, small in asdict(SMALL).items()
        if name not in _WHOLE
    }
    return replace(FULL, **scaled)


COUNTS = chosen()
