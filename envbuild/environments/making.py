"""Environments that are wanted, one after the other, and made in one run or in several.

Who wants one says so as soon as its lock is there, also while a run goes on: that run takes it up when a part of it has
ended. What became of each is told as soon as it is known.

Rules of the file: keeps who is waiting; what a prefix, a root and a record are is the realizer's.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from envbuild.environments.pulling import packages_of
from envbuild.environments.realized import Realized, RealizeOptions, Wanted
from envbuild.errors import EnvbuildError
from envbuild.graph import Graph
from envbuild.parts import End, Parts
from envbuild.scheduler import Outcome

if TYPE_CHECKING:
    from envbuild.machine.workspace import Workspace

Told = Callable[["Realized | EnvbuildError | None"], None]
"""Told what became of an environment: it is there, why it is not, or None when it was not begun."""


class Maker(Protocol):
    """What is needed of ``envbuild.environments.realizing.Realizer``."""

    keep_going: bool
    workspace: Workspace

    def graph(self, wanted: Wanted) -> Graph:
        """The build graph of an environment."""
        ...

    def made(self, wanted: Wanted, graph: Graph, outcome: Outcome, options: RealizeOptions) -> Realized:
        """Record an environment whose packages are there."""
        ...


class Making:
    """Environments of one project that are wanted.

    Args:
        maker: Makes them.
        options: Where they go.

    Attributes:
        stopped: No other is to be begun.
    """

    def __init__(self, maker: Maker, options: RealizeOptions) -> None:
        self.stopped = False
        self.options = options
        self._maker = maker
        self._waiting: list[tuple[Wanted, Told]] = []

    def want(self, item: Wanted, told: Told) -> None:
        """Let an environment be wanted.

        Args:
            item: Which.
            told: Told what became of it, once.
        """
        self._waiting.append((item, told))

    def waiting(self) -> tuple[Wanted, ...]:
        """Those that have not been begun."""
        return tuple(item for item, _ in self._waiting)

    def take(self) -> list[tuple[Wanted, Told]]:
        """Those that are to be begun now; none once nothing more is to begin."""
        if self.stopped:
            return []
        taken, self._waiting = self._waiting, []
        return taken

    def batch(self) -> Batch:
        """Those of one run."""
        return Batch(self, self._maker)


class Batch:
    """Environments that are made in one run, each recorded as soon as it is there; see ``parts.Parted``.

    Attributes:
        made: Those that are there.
    """

    def __init__(self, making: Making, maker: Maker) -> None:
        self.made: list[tuple[Wanted, Graph]] = []
        self._making = making
        self._maker = maker
        self._begun: list[tuple[Wanted, Graph, Told]] = []
        self._last: list[Wanted] = []

    @property
    def stopped(self) -> bool:
        """Nothing more is to begin, in this run or a later one."""
        return self._making.stopped

    @stopped.setter
    def stopped(self, stopped: bool) -> None:
        self._making.stopped = stopped

    def more(self) -> Parts:
        """What is wanted by now; of what is linked elsewhere, the packages are all that the store has to have."""
        options = self._making.options
        new = []
        for item, told in self._making.take():
            if options.editable:
                from envbuild.environments.editable import develop

                item = develop(item, options, Path(self._maker.workspace.addresses.root))
            new.append((item, self._maker.graph(item), told))
        self._begun += new
        self._last = [item for item, _, _ in new]
        return [(item.recipe, graph if options.prefix is None else packages_of(graph)) for item, graph, _ in new]

    def environments(self) -> list[Wanted]:
        """Those of the parts that were given last."""
        return self._last

    def ended(self, number: int, end: End) -> None:
        """Record what is there."""
        item, graph, told = self._begun[number]
        made: Realized | None = None
        error = end.error
        if end.done:
            assert end.outcome is not None
            try:
                made = self._maker.made(item, graph, end.outcome, self._making.options)
                self.made.append((item, graph))
            except EnvbuildError as failure:
                error = failure
        if error is not None and not isinstance(error, EnvbuildError):
            raise error
        self.stopped = self.stopped or (error is not None and not self._maker.keep_going)
        told(made or error)
