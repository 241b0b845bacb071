"""The closure digest of an environment, as the home's records say it: what ``show`` and ``get`` tell of it.

Whoever hands it on vouches for what was built, so it is told of what is here, and never asked of a store: there several
may lie side by side, and who put them is not known.

Rules of the file: reads records; makes and asks for nothing.
"""

from __future__ import annotations

from pathlib import Path

from envbuild.compile import build_graph
from envbuild.derivations import Outputs
from envbuild.digest import Digest
from envbuild.lock import Lock, LockedEnvironment
from envbuild.store.folder import FolderResults
from envbuild.store.outputs import environment_outputs, linked_results, outputs_to_bytes


def closure_digest(store: Path, lock: Lock, environment: LockedEnvironment, conda_format: str) -> Digest | None:
    """The sha256 of what an environment's builds came to; None while one of them is not recorded here.

    None too where nothing is built: what it holds is what its id says.

    Args:
        store: The home's store.
        lock: The environment's lock; ``environment`` one of its platforms.
        environment: Which.
        conda_format: The format of conda packages that are linked here.
    """
    graph = build_graph(lock, environment, conda_format=conda_format)
    results = FolderResults(store)
    known: dict[Digest, Outputs] = {}
    for key in linked_results(graph):
        if (result := results.get(graph[key].kind, key)) is not None:
            known[key] = dict(result.outputs)
    document = environment_outputs(graph, environment.platform, environment.id, known)
    return outputs_to_bytes(document)[0] if document is not None and document.results else None
