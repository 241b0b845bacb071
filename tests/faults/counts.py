"""How often the fault tests try things: seldom by default, often under ``./dev torture``."""

from __future__ import annotations

import os
from dataclasses import dataclass

TORTURE = bool(os.environ.get("ENVBUILD_TEST_TORTURE"))


@dataclass(frozen=True, kw_only=True)
class Counts:
    """How often things are tried.

    Attributes:
        full: True under ``./dev torture``.
        kills: Random kills. ``signals``: random SIGTERMs and SIGINTs, each.
        rounds: Rounds of many processes at once.
        sizes: Disk sizes tried.
        collections: Realizes against a collector that never rests.
    """

    full: bool
    kills: int
    signals: int
    rounds: int
    sizes: int
    collections: int


FULL = Counts(full=True, kills=200, signals=20, rounds=20, sizes=24, collections=100)
SMALL = Counts(full=False, kills=8, signals=3, rounds=1, sizes=4, collections=6)
