"""Jobs: what a plan gives out, in which lane each runs, and what it may take.

Rules of the file: values and estimates; a plan's state is ``envbuild.plan``'s.
"""

from __future__ import annotations

from dataclasses import field
from typing import Literal

from envbuild.derivations import Derivation
from envbuild.digest import Digest
from envbuild.value import dataclass

Phase = Literal["prepare", "realise", "pull"]

Lane = Literal["io", "cpu"]
"""Where a job spends its time: waiting for the network, or computing. Each lane has its own slots."""

LANES: tuple[Lane, ...] = ("io", "cpu")

TURN = 50
"""What a turn costs, in milliseconds, where nobody knows better."""

_FIXED_COST = {
    "solve": 1500,
    "fetch": 60,
    "transmute": 50,
    "build-wheel": 30_000,
    "bytecode": 500,
    "link": 150,
    "test": 2000,
}
PULL = _FIXED_COST["fetch"]
"""Milliseconds until what somebody else has done begins to come, where nobody knows better."""

_BYTES_PER_MILLISECOND = {"fetch": 10_000, "transmute": 8_000, "link": 200_000, "prepare": 60_000}


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One thing to run: a derivation's ``realise``, its ``prepare`` of one finished input, or the pull of its result.

    Attributes:
        key: The derivation's key.
        input: The input to prepare; None in the other phases.
        derivation: Carried along, never compared: the key says it all.
    """

    key: Digest
    phase: Phase = "realise"
    input: Digest | None = None
    derivation: Derivation = field(compare=False, repr=False)

    @property
    def lane(self) -> Lane:
        """``io`` for a fetch and for a pull, ``cpu`` for everything else."""
        return "io" if self.derivation.kind == "fetch" or self.phase == "pull" else "cpu"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A job that failed, and why."""

    job: Job
    error: BaseException


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """A plan in numbers, before anything runs.

    Attributes:
        hits: Derivations whose outputs are known and read by something needed, or wanted themselves.
        needed: Kind and how many of it have to be done, sorted by kind.
        fetch_bytes: Bytes to download, as far as sizes are known.
        unknown_sizes: Fetches of unknown size.
        milliseconds: Expected length of the longest chain of work: no number of slots makes it faster. A build that
            nobody has done yet may take any time, and counts nothing.
        builds: Wheels to build.
        pulls: Of what is needed, results that somebody else has.
    """

    hits: int
    needed: tuple[tuple[str, int], ...]
    fetch_bytes: int
    unknown_sizes: int
    milliseconds: int
    builds: int = 0
    pulls: int = 0


def estimate(derivation: Derivation) -> int:
    """Milliseconds that a derivation may take, by kind and size; for priorities and for people, never for truth."""
    kind = derivation.kind
    moved = (derivation.size or 0) // _BYTES_PER_MILLISECOND.get(kind, 50_000)
    return _FIXED_COST.get(kind, 100) + moved


def estimate_preparation(derivation: Derivation) -> int:
    """Likewise, to prepare what a derivation gives."""
    return (derivation.size or 0) // _BYTES_PER_MILLISECOND["prepare"]
