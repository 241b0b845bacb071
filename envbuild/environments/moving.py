"""Bytes that a run moved for an environment, by where they came from.

Rules of the file: reads what the run left; asks nobody.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from envbuild.derivations.fetch import Fetch
from envbuild.digest import Digest
from envbuild.graph import Graph
from envbuild.price import Moved, Source, add_up, source_of
from envbuild.scheduler import Outcome

if TYPE_CHECKING:
    from envbuild.machine.workspace import Workspace


def moved(graph: Graph, outcome: Outcome, workspace: Workspace) -> tuple[Moved, ...]:
    """What came for a graph: files that were fetched, and those that shared stores gave, each once."""
    return add_up(_files(graph, outcome, workspace))


def _files(graph: Graph, outcome: Outcome, workspace: Workspace) -> Iterator[tuple[Source, Digest, int]]:
    for derivation in graph:
        key = derivation.key
        if key in outcome.pulled and workspace.shared is not None:
            came = workspace.shared.layers.came
            for output in outcome.outputs[key].values():
                if output.sha256 in came:  # a file that was here already did not come
                    yield Source(kind="store", name=came[output.sha256]), output.sha256, output.size
        elif key in outcome.milliseconds and isinstance(derivation, Fetch):
            output = outcome.outputs[key]["out"]
            yield source_of(derivation.origin), output.sha256, output.size
