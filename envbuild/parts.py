"""Parts of a run: what of its graph is whose, when each is over, and what came of it.

A part is a graph that somebody waits for, a recipe's lock or its environment. All parts of a run are one graph in which
equal work is one node; which part it was done for is said here.

Rules of the file: values and book-keeping; starts nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from envbuild.digest import Digest
from envbuild.graph import Graph
from envbuild.reporter import Reporter
from envbuild.turns import COMMON
from envbuild.value import dataclass, replace

if TYPE_CHECKING:
    from envbuild.derivations import Derivation
    from envbuild.job import Job
    from envbuild.plan import Plan
    from envbuild.scheduler import Outcome

Parts = Sequence[tuple[Path, Graph]]
"""What each of some recipes needs, as graphs that are run as one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """What came of a part.

    Attributes:
        outcome: Of the run, as far as it has come; None where nothing of it was run.
        error: Why the part is not there; None when it is, or was not begun.
    """

    outcome: Outcome | None = None
    error: BaseException | None = None

    @property
    def done(self) -> bool:
        """Whether all that was wanted is there."""
        return self.error is None and self.outcome is not None


NOT_BEGUN = End()
"""Of a part that another one's failure kept from being done."""


class Parted(Protocol):
    """Somebody who has parts to run, and may have more once some are done.

    Attributes:
        stopped: Nothing more is to begin.
    """

    stopped: bool

    def more(self) -> Parts:
        """What else is to be run; asked before the run and whenever a part has ended."""
        ...

    def ended(self, number: int, end: End) -> None:
        """A part is over; parts have the numbers in which they were given."""
        ...


class Once:
    """Parts that are all known before the run; what came of each is kept. See ``Parted``.

    Attributes:
        ends: By number, once the run is over.
    """

    def __init__(self, parts: Parts) -> None:
        self.stopped = False
        self.ends: list[End] = [NOT_BEGUN] * len(parts)
        self._parts = parts

    def more(self) -> Parts:
        """All of them, once."""
        parts, self._parts = self._parts, ()
        return parts

    def ended(self, number: int, end: End) -> None:
        """Keep what came of a part."""
        self.ends[number] = end


class Beside:
    """Several who have parts, as one; once one of them is stopped, all are. See ``Parted``."""

    def __init__(self, *several: Parted) -> None:
        self.stopped = False
        self._several = several
        self._given: list[tuple[Parted, int]] = []
        self._counts = [0] * len(several)

    def more(self) -> Parts:
        """What each of them has, in their order."""
        parts: list[tuple[Path, Graph]] = []
        for place, one in enumerate(self._several):
            given = one.more()
            first = self._counts[place]
            self._counts[place] += len(given)
            self._given += [(one, number) for number in range(first, self._counts[place])]
            parts += given
        self._agree()
        return parts

    def ended(self, number: int, end: End) -> None:
        """Tell whose part it is."""
        one, own = self._given[number]
        one.ended(own, end)
        self._agree()

    def _agree(self) -> None:
        if any(one.stopped for one in self._several):
            self.stopped = True
            for one in self._several:
                one.stopped = True


class Watch(Reporter):
    """Which parts of a run are done. It listens to the run."""

    def __init__(self) -> None:
        self._waiting: dict[Digest, list[int]] = {}
        self._left: dict[int, int] = {}
        self._done: list[int] = []

    def wait(self, number: int, graph: Graph, plan: Plan) -> None:
        """Wait for the targets of a part that are not there yet."""
        missing = [target for target in graph.targets if target not in plan.outputs]
        self._left[number] = len(missing)
        for target in missing:
            self._waiting.setdefault(target, []).append(number)
        if not missing:
            self._done.append(number)

    def take(self) -> list[int]:
        """The parts that were done since this was asked last."""
        done, self._done = self._done, []
        return done

    def finished(self, job: Job, milliseconds: int, size: int) -> None:
        """A derivation is done, unless it was only prepared."""
        for number in self._waiting.pop(job.key, ()) if job.phase != "prepare" else ():
            self._left[number] -= 1
            if not self._left[number]:
                self._done.append(number)


def whose(parts: Mapping[int, Graph]) -> dict[Digest, int]:
    """For whom each derivation is, by the number of the part; ``turns.COMMON`` for several."""
    shares: dict[Digest, int] = {}
    for number, graph in parts.items():
        for key in graph.derivations:
            shares[key] = COMMON if key in shares else number
    return shares


def end_of(graph: Graph, outcome: Outcome) -> End:
    """What came of a part when its run is over: its own failures are its error."""
    if all(target in outcome.outputs for target in graph.targets):
        return End(outcome=outcome)
    failures = tuple(failure for failure in outcome.failures if failure.job.key in graph)
    return End(outcome=outcome, error=replace(outcome, failures=failures).error()) if failures else NOT_BEGUN


def holding(parts: Parts, derivations: Sequence[Derivation]) -> list[int]:
    """The parts that hold any of these, by place."""
    keys = {derivation.key for derivation in derivations}
    return [place for place, (_, graph) in enumerate(parts) if not keys.isdisjoint(graph.derivations.keys())]
