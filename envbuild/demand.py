"""Demand: what the targets of a graph ask for, before anything is done.

The walk begins at the targets. A derivation whose outputs are known is a *hit*, and what only hits read is not looked
at; every other one that the walk meets is *needed*. So a finished environment costs one question, however large.

Rules of the file: pure; whoever can answer is given as an argument; every derivation is met once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from envbuild.derivations import Derivation, Outputs
from envbuild.digest import Digest
from envbuild.graph import Graph


def demand(
    graph: Graph,
    known: Collection[Digest],
    far: Collection[Digest] = frozenset(),
) -> tuple[tuple[Digest, ...], tuple[Digest, ...]]:
    """What a graph's targets ask for: hits and needed keys, in graph order.

    Args:
        graph: The graph.
        known: What need not be done.
        far: What is needed and needs nothing itself.
    """
    wanted = set(graph.targets)
    hits: list[Digest] = []
    needed: list[Digest] = []
    for key in reversed(graph.order()):
        if key not in wanted:
            continue
        if key in known:
            hits.append(key)
        else:
            needed.append(key)
            if key not in far:
                wanted.update(graph.inputs(key))
    return tuple(reversed(hits)), tuple(reversed(needed))


def unmet(
    graph: Graph,
    keys: Collection[Digest],
    known: Collection[Digest],
    far: Collection[Digest],
    *met: Collection[Digest],
) -> tuple[list[Digest], list[Digest]]:
    """Hits and needed keys among these and what leads to them that nobody has met, inputs before users.

    Costs what is new, not what the graph is.

    Args:
        graph: The graph.
        keys: Where the walk begins.
        known: What need not be done.
        far: What is needed and needs nothing itself.
        met: What the walk does not look at.
    """
    hits: dict[Digest, None] = {}
    needed: dict[Digest, None] = {}
    todo = [(key, False) for key in keys]
    entered: set[Digest] = set()
    while todo:
        key, left = todo.pop()
        if left:
            needed[key] = None
        elif key not in entered and not any(key in each for each in met):
            entered.add(key)
            if key in known:
                hits[key] = None
            else:
                todo.append((key, True))
                todo += [(each, False) for each in graph.inputs(key) if key not in far]
    return list(hits), list(needed)


def find_known(graph: Graph, ask: Callable[[tuple[Derivation]], Mapping[Digest, Outputs]]) -> dict[Digest, Outputs]:
    """The outputs of all hits: asks for what the targets lead to, and for nothing behind a hit.

    Args:
        graph: The graph.
        ask: Gives the outputs of a derivation by its key when they are there, and nothing when they are not.
    """
    known: dict[Digest, Outputs] = {}
    wanted = set(graph.targets)
    for key in reversed(graph.order()):
        if key in wanted:
            found = ask((graph[key],))
            known |= found
            if not found:
                wanted.update(graph.inputs(key))
    return known
