"""What need not be done again on this machine, by names and sizes alone.

A fetch: its blob is there. A link: its record and its prefix are there. Others: the record and its blobs are there, and
the kind is one whose results are kept. Whether the bytes are right is asked by whoever reads them.

Rules of the file: reads names, never contents.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from envbuild.derivations import Derivation, Output, Outputs
from envbuild.derivations.fetch import Fetch
from envbuild.store.folder import FolderStore


def done_here(derivation: Derivation, store: FolderStore, prefix_of: Callable[[Derivation], Path]) -> Outputs | None:
    """What a derivation gave, when it need not be done; None when it must.

    Args:
        derivation: The derivation.
        store: The home's own.
        prefix_of: Where a link's prefix is, or would be.
    """
    if isinstance(derivation, Fetch):
        size = store.blobs.size(derivation.sha256)
        if size is None or (derivation.size is not None and size != derivation.size):
            return None
        return {"out": Output(sha256=derivation.sha256, size=size)}
    if derivation.purity == "impure":
        return None
    result = store.results.get(derivation.kind, derivation.key)
    if result is None or any(store.blobs.size(output.sha256) != output.size for _, output in result.outputs):
        return None
    if derivation.kind == "link" and not prefix_of(derivation).is_dir():
        return None
    return dict(result.outputs)
