"""Where things are: what a question to the shared stores found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from envbuild.derivations.fetch import Fetch
from envbuild.digest import Digest
from envbuild.graph import Graph
from envbuild.value import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """What shared stores have, by the name of the nearest that has it.

    Attributes:
        blobs: By sha256.
        results: By key.
    """

    blobs: Mapping[Digest, str] = field(default_factory=dict)
    results: Mapping[Digest, str] = field(default_factory=dict)

    def by_key(self, graph: Graph) -> dict[Digest, str]:
        """The store of each derivation of a graph that need not be done, or not be asked of its origin."""
        fetches = {item.key: self.blobs.get(item.sha256) for item in graph if isinstance(item, Fetch)}
        return {key: name for key, name in fetches.items() if name is not None} | dict(self.results)
