"""Several locks in the making share one run: what they wait for is one graph, in which equal work is one node.

A lock in the making (``envbuild.locks.locking.make_lock``) is a generator: it gives the graph that it needs solved and
is sent the fragments. Here all of them are taken as far as they come alone, what they wait for is run together, and
so on until every one is done.

Rules of the file: decides the order only; solving is the caller's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

from envbuild.errors import EnvbuildError

if TYPE_CHECKING:
    from envbuild.digest import Digest
    from envbuild.graph import Graph
    from envbuild.locks.locking import Locked, Locking
    from envbuild.projects.project import Project

Solve = Callable[["Project", Mapping[int, "Graph"]], "dict[Digest, bytes]"]
"""Runs lock graphs as one, as a project is configured, and gives each solve's fragment by key.

The graphs come by the number of their lock.
"""


def together(work: Sequence[tuple[Project, Locking]], solve: Solve) -> list[Locked]:
    """Bring locks to their end.

    Args:
        work: Each lock in the making, and its project; those of one project share its runs.
        solve: Runs graphs.

    Returns:
        The locks, in the same order.

    Raises:
        EnvbuildError: Of the first that fails; what others had not written yet is not written.
    """
    done: dict[int, Locked] = {}
    waiting: dict[int, Graph] = {}

    def advance(number: int, fragments: dict[Digest, bytes] | None) -> None:
        making = work[number][1]
        try:
            waiting[number] = next(making) if fragments is None else making.send(fragments)
        except StopIteration as end:
            done[number] = end.value

    with ExitStack() as stack:
        for number, (_, making) in enumerate(work):
            stack.enter_context(closing(making))
            advance(number, None)
        while waiting:
            project = work[next(iter(waiting))][0]
            numbers = [number for number in waiting if work[number][0].root == project.root]
            graphs = {number: waiting.pop(number) for number in numbers}
            try:
                fragments = solve(project, graphs)
            except EnvbuildError as error:
                for number in numbers:
                    work[number][1].throw(error)  # each may have more to say of it
                raise
            for number in numbers:
                advance(number, fragments)
    return [done[number] for number in range(len(work))]
