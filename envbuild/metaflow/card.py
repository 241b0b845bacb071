"""A task's default card says which environment it ran in, above the table of Metaflow's own metadata.

Only cards of Metaflow's type ``default`` are added to, which list whatever is known of a task: a card of another type
is its author's own page.

Rules of the file: runs inside of steps, in words that every Python that Metaflow runs on can read; a card never makes a
task fail.
"""

from __future__ import annotations

import contextlib
import json
from typing import Any

SHOWN = ("environment", "request", "platform", "prefix")
"""What is shown, in this order."""


def show(told: str) -> None:
    """Add a table to the default cards of the task that is running.

    Args:
        told: What the task was told of its environment, as JSON.
    """
    from metaflow.metaflow_current import current

    with contextlib.suppress(Exception):  # what another Metaflow keeps otherwise is no reason for a task to fail
        collector = getattr(current, "card", None)
        stores = getattr(collector, "_card_component_store", {})
        for identity, card in getattr(collector, "_cards_meta", {}).items():
            if card.get("type") == "default" and card.get("editable") and identity in stores:
                stores[identity].append(_table(json.loads(told)))


def _table(told: Any) -> Any:
    from metaflow.cards import Table

    rows = [["envbuild " + name, told[name]] for name in SHOWN if name in told]
    return Table(rows, headers=["Environment", ""])
