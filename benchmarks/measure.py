"""Whole-process measurements, interleaved: A B A B, so that what the machine does meanwhile meets both sides.

A sample is one process from start to end: seconds on the wall, processor seconds of it and its children, and the peak
memory of its largest process. What is compared is the ratio of medians; the spread is the middle half (quartiles).
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_LAUNCHER = Path(__file__).with_name("launch.py")


class CommandError(Exception):
    """A measured command did not exit 0; its output is the message."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What one run cost.

    Attributes:
        wall: Seconds.
        cpu: Seconds of all processors, children included.
        peak: Bytes of the largest process.
    """

    wall: float
    cpu: float
    peak: int


@dataclass(frozen=True, kw_only=True)
class Side:
    """One of the things compared.

    Attributes:
        name: As the table shows it.
        command: What is started; called anew for each round with the round's number.
        prepare: Undoes the round before; not measured. Called with the round's number.
    """

    name: str
    command: Callable[[int], Sequence[str]]
    environ: Mapping[str, str]
    folder: Path
    prepare: Callable[[int], None] = lambda _: None


@dataclass(kw_only=True)
class Result:
    """The samples of one comparison: the first side is envbuild, the second what it is held against.

    Attributes:
        name: What was measured.
        target: The promise, in words.
        limit: What the ratio, the difference or the figure (``unit``) must not pass; None when nothing is promised.
        unit: ``ratio`` of medians, ``difference`` in seconds, ``seconds``, ``ms each``, ``ms a derivation``,
            ``ratio of slopes``, ``growth``, ``requests``, ``round trips``, ``MB``, ``share``.
        value: The figure for units other than ratio and difference.
        what_limits: Where envbuild's time goes.
    """

    name: str
    target: str
    samples: dict[str, list[Sample]] = field(default_factory=dict)
    limit: float | None = None
    unit: str = "ratio"
    value: float | None = None
    what_limits: str = ""
    of: str = "wall"

    def median(self, side: int) -> float:
        """The median of a side (0 or 1), in the unit of ``of``."""
        return statistics.median(getattr(sample, self.of) for sample in list(self.samples.values())[side])

    def spread(self, side: int) -> tuple[float, float]:
        """The quartiles of a side."""
        values = sorted(getattr(sample, self.of) for sample in list(self.samples.values())[side])
        if len(values) < 2:
            return values[0], values[0]
        low, _, high = statistics.quantiles(values, n=4, method="inclusive")
        return low, high

    @property
    def figure(self) -> float:
        """What is held against the limit."""
        if self.value is not None:
            return self.value
        ours, theirs = self.median(0), self.median(1)
        return ours - theirs if self.unit == "difference" else ours / theirs

    @property
    def processor(self) -> float | None:
        """The ratio of median processor seconds, which other work disturbs less; None where it says nothing."""
        if self.of != "wall" or self.unit not in {"ratio", "difference"}:
            return None
        ours, theirs = (statistics.median(item.cpu for item in samples) for samples in list(self.samples.values())[:2])
        return ours / theirs

    @property
    def met(self) -> bool | None:
        """Whether the promise is kept; None when there is none."""
        return None if self.limit is None else self.figure <= self.limit


def once(command: Sequence[str], environ: Mapping[str, str], folder: Path) -> Sample:
    """Run one command and measure it.

    Raises:
        CommandError: When it does not exit 0.
    """
    with tempfile.NamedTemporaryFile() as output:
        launcher = [sys.executable, "-S", "-E", str(_LAUNCHER), output.name, *command]
        shown = subprocess.run(launcher, env=dict(environ), cwd=folder, capture_output=True, text=True, check=True)
        result = json.loads(shown.stdout)
        if result["code"]:
            text = Path(output.name).read_text(errors="replace")
            raise CommandError(f"exit {result['code']}: {' '.join(command)[:300]}\n{text[-3000:]}")
    return Sample(wall=result["wall"], cpu=result["cpu"], peak=result["peak"])


def interleave(sides: Sequence[Side], rounds: int, warm_up: int = 1) -> dict[str, list[Sample]]:
    """Run all sides in turn, ``rounds`` times.

    Args:
        sides: What is compared; envbuild first.
        rounds: How often each side is measured.
        warm_up: Rounds before that are not counted (page cache, bytecode).
    """
    samples: dict[str, list[Sample]] = {side.name: [] for side in sides}
    for number in range(rounds + warm_up):
        for side in sides:
            side.prepare(number)
            os.sync()  # a side that waits for the disk must not wait for what the other left unwritten
            sample = once(side.command(number), side.environ, side.folder)
            if number >= warm_up:
                samples[side.name].append(sample)
    return samples
