"""The graph: derivations by key, and who reads what.

Nodes are keys; the edges are the ``inputs`` that each derivation declares, so the graph cannot disagree with the work.
As a key is the digest of a whole document, equal work is one node by construction, whoever asked for it. The graph is
made once, in one pass over nodes and edges, and refuses what no plan could run: a cycle, or an input that nobody makes.

Rules of the file: adjacency in plain mappings, no recursion (chains of 10,000 are fine), everything linear. networkx is
imported here alone, and only by the methods that need an algorithm of its own (see docs/adr/0002): its import costs as
much as a whole warm realize.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from envbuild.derivations import Derivation
from envbuild.digest import Digest, short
from envbuild.errors import EnvbuildError

if TYPE_CHECKING:
    import networkx


class Graph:
    """An immutable directed acyclic graph of derivations.

    Attributes:
        derivations: Key to derivation, in the order in which they were first given.
    """

    __slots__ = ("_order", "_targets", "_users", "derivations")

    derivations: Mapping[Digest, Derivation]
    _users: Mapping[Digest, Mapping[Digest, None]]
    _order: Sequence[Digest]
    _targets: Mapping[Digest, None]

    def __init__(self, derivations: Iterable[Derivation], targets: Iterable[Digest] | None = None) -> None:
        """Make a graph.

        Args:
            derivations: In any order; the first of equal ones stays.
            targets: The keys wanted; None for every derivation that no other one reads.

        Raises:
            EnvbuildError: ``graph-missing-input`` when an input or target is not among the derivations,
                ``graph-cycle`` with the cycle's labels. Both are defects of whoever compiled the graph.
        """
        nodes: dict[Digest, Derivation] = {}
        for derivation in derivations:
            nodes.setdefault(derivation.key, derivation)
        self.derivations = nodes
        self._users = _users(nodes)
        self._order = _order(nodes, self._users)
        if targets is None:
            targets = (key for key in nodes if not self._users.get(key))
        self._targets = dict.fromkeys(targets)
        for target in self._targets:
            if target not in nodes:
                raise EnvbuildError(
                    f"the graph has no derivation for its target {short(target)}", reference="graph-missing-input"
                )

    def __len__(self) -> int:
        return len(self.derivations)

    def __contains__(self, key: object) -> bool:
        return key in self.derivations

    def __iter__(self) -> Iterator[Derivation]:
        return iter(self.derivations.values())

    def __getitem__(self, key: Digest) -> Derivation:
        return self.derivations[key]

    @property
    def targets(self) -> tuple[Digest, ...]:
        """The keys wanted, in the order given, without repetitions."""
        return tuple(self._targets)

    def wants(self, key: Digest) -> bool:
        """Whether a key is one of the targets."""
        return key in self._targets

    def inputs(self, key: Digest) -> tuple[Digest, ...]:
        """The keys that a derivation reads, in its own order.

        Raises:
            KeyError: When the graph has no such derivation.
        """
        return self.derivations[key].inputs

    def users(self, key: Digest) -> tuple[Digest, ...]:
        """The keys of the derivations that read this one, each once.

        Raises:
            KeyError: When the graph has no such derivation.
        """
        if key not in self.derivations:
            raise KeyError(key)
        return tuple(self._users.get(key, ()))

    def order(self) -> tuple[Digest, ...]:
        """Every key, inputs before their users; the same order for the same graph."""
        return tuple(self._order)

    def closure(self, keys: Iterable[Digest]) -> frozenset[Digest]:
        """These keys and everything that they read, directly or not.

        Raises:
            KeyError: When the graph has no such derivation.
        """
        return _reach(keys, self.inputs)

    def dependents(self, keys: Iterable[Digest]) -> frozenset[Digest]:
        """These keys and everything that reads them, directly or not.

        Raises:
            KeyError: When the graph has no such derivation.
        """
        return _reach(keys, self.users)

    @classmethod
    def union(cls, graphs: Iterable[Graph]) -> Graph:
        """One graph for several: equal work becomes one node, the targets stand one after the other."""
        several = tuple(graphs)
        return cls(
            (derivation for graph in several for derivation in graph),
            (target for graph in several for target in graph.targets),
        )

    def to_networkx(self) -> networkx.DiGraph[Digest]:
        """The same graph for networkx: nodes are keys, edges go from an input to its user.

        Derivations stay outside: look them up in ``derivations``, so that no attribute dictionaries leak.
        """
        import networkx  # 150 ms

        copy: networkx.DiGraph[Digest] = networkx.DiGraph()
        copy.add_nodes_from(self._order)
        copy.add_edges_from((needed, key) for key in self._order for needed in self.inputs(key))
        return copy

    def critical_path(self, costs: Mapping[Digest, int]) -> tuple[Digest, ...]:
        """The chain of work that bounds the whole, first to last.

        Args:
            costs: Milliseconds for each key; a key without one costs nothing.
        """
        import networkx  # 150 ms

        weighted: networkx.DiGraph[str] = networkx.DiGraph()
        for key in self._order:
            weighted.add_edge(
                "", key, weight=costs.get(key, 0)
            )  # "" stands before every first step: costs sit on edges
            for needed in self.inputs(key):
                weighted.add_edge(needed, key, weight=costs.get(key, 0))
        path = networkx.dag_longest_path(weighted, weight="weight") if self._order else []
        return tuple(Digest(key) for key in path if key)


class Growing(Graph):
    """A graph to which others are added where it is: by its owner, who alone knows that it is not what it was.

    Args:
        graph: How it begins; a copy.
    """

    __slots__ = ()

    derivations: dict[Digest, Derivation]
    _users: dict[Digest, dict[Digest, None]]
    _order: list[Digest]
    _targets: dict[Digest, None]

    def __init__(self, graph: Graph) -> None:
        self.derivations = dict(graph.derivations)
        self._users = {key: dict(users) for key, users in graph._users.items()}
        self._order = list(graph._order)
        self._targets = dict(graph._targets)

    def add(self, more: Graph) -> None:
        """Take up what another graph has, as ``union`` does; it costs what that one is, whatever this one is by now."""
        self._order += [key for key in more._order if key not in self.derivations]
        for key, derivation in more.derivations.items():
            if key not in self.derivations:
                self.derivations[key] = derivation
                for needed in derivation.inputs:
                    self._users.setdefault(needed, {})[key] = None
        self._targets.update(more._targets)


def _users(nodes: Mapping[Digest, Derivation]) -> dict[Digest, dict[Digest, None]]:
    """Who reads each key; a derivation that reads one input twice is one user."""
    users: dict[Digest, dict[Digest, None]] = {}
    for key, derivation in nodes.items():
        for needed in derivation.inputs:
            if needed not in nodes:
                raise EnvbuildError(
                    f"{derivation.kind} {derivation.label} reads {short(needed)}, which nothing in the graph makes",
                    reference="graph-missing-input",
                )
            users.setdefault(needed, {})[key] = None
    return users


def _order(nodes: Mapping[Digest, Derivation], users: Mapping[Digest, Mapping[Digest, None]]) -> tuple[Digest, ...]:
    """Kahn's order, first given first; whatever it cannot reach holds a cycle."""
    waiting = {key: len(set(derivation.inputs)) for key, derivation in nodes.items()}
    free = deque(key for key, count in waiting.items() if not count)
    order: list[Digest] = []
    while free:
        key = free.popleft()
        order.append(key)
        for user in users.get(key, ()):
            waiting[user] -= 1
            if not waiting[user]:
                free.append(user)
    if len(order) < len(nodes):
        stuck = {key: nodes[key] for key, count in waiting.items() if count}
        labels = " -> ".join(nodes[key].label for key in _cycle(stuck))
        raise EnvbuildError(f"derivations read each other in a circle: {labels}", reference="graph-cycle")
    return tuple(order)


def _cycle(stuck: Mapping[Digest, Derivation]) -> tuple[Digest, ...]:
    """One cycle, its first key repeated at the end: each stuck derivation reads a stuck one, so walking finds it."""
    key = next(iter(stuck))
    place: dict[Digest, int] = {}
    walk: list[Digest] = []
    while key not in place:
        place[key] = len(walk)
        walk.append(key)
        key = next(needed for needed in stuck[key].inputs if needed in stuck)
    return (*walk[place[key] :], key)


def _reach(keys: Iterable[Digest], step: Callable[[Digest], tuple[Digest, ...]]) -> frozenset[Digest]:
    reached: set[Digest] = set()
    todo = list(keys)
    while todo:
        key = todo.pop()
        if key not in reached:
            reached.add(key)
            todo.extend(step(key))
    return frozenset(reached)
