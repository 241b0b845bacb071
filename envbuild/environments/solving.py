"""What the solves of a run gave, read back for the locks that asked for them.

Rules of the file: reads blobs; solves nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from envbuild.derivations.solve import fragment_from_bytes
from envbuild.errors import IntegrityError

if TYPE_CHECKING:
    from envbuild.digest import Digest
    from envbuild.graph import Graph
    from envbuild.machine.workspace import Workspace
    from envbuild.scheduler import Outcome


def fragments(
    workspace: Workspace, graph: Graph, outcome: Outcome, note: Callable[[str], None], said: set[Digest]
) -> dict[Digest, bytes]:
    """Each solve's fragment by key.

    Args:
        workspace: Whose store has them.
        graph: A lock graph that was run.
        outcome: What came of it.
        note: Told what solves had to say, memoized ones too.
        said: The solves whose notes were told; grows.

    Raises:
        IntegrityError: ``damaged-blob``.
    """
    found = {}
    for solve in graph:
        path = workspace.blobs.path(outcome.outputs[solve.key]["out"].sha256)
        if path is None:
            raise IntegrityError(
                f"the result of {solve.label} was damaged; it is dropped now",
                reference="damaged-blob",
                retryable=True,
                hint="run it again",
            )
        found[solve.key] = path.read_bytes()
        if solve.key not in said:
            said.add(solve.key)
            for text in fragment_from_bytes(found[solve.key]).notes:
                note(text)
    return found
