"""What a run took from shared stores and did itself, noted in the home; see ``envbuild.store.taken``.

What counts is what travels: files and results that a store could have had. A link is made on each machine, and an
answer that is another one tomorrow is no miss.

Rules of the file: one small write, of a run that wrote more than that; never where nothing was done.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from envbuild.graph import Graph
from envbuild.machine.shared_work import travels
from envbuild.scheduler import Outcome

if TYPE_CHECKING:
    from envbuild.machine.workspace import Workspace


def note_run(workspace: Workspace, graph: Graph, outcome: Outcome) -> None:
    """Note what came from shared stores, and what did not, where there are some that were asked."""
    if workspace.shared is None:
        return
    own = [key for key in outcome.milliseconds if key not in outcome.pulled and travels(graph[key])]
    asked = {layer.name: layer.store.address for layer in workspace.shared.layers.layers if not layer.gone}
    if not (own or outcome.pulled) or not any(asked.values()):
        return
    from datetime import datetime, timezone

    from envbuild.store.taken import note_taken

    given = {address: (0, 0) for address in asked.values() if address is not None}
    for key, name in outcome.pulled.items():
        address = asked.get(name)
        if address is not None:
            count, size = given[address]
            given[address] = (count + 1, size + sum(output.size for output in outcome.outputs[key].values()))
    note_taken(workspace.home.taken, datetime.now(timezone.utc).date(), given, (len(own), outcome.fetched_bytes))
