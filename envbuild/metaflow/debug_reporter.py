"""Every event of a solve or a realize as a line, for ``METAFLOW_DEBUG_ENVBUILD=1``.

Rules of the file: words.
"""

from __future__ import annotations

from typing import Any

from envbuild.metaflow.debugging import say
from envbuild.reporter import Event, Listener

_SILENT = frozenset({"progress", "note"})


class DebugReporter(Listener):
    """Says every event of a run."""

    def heard(self, event: Event) -> None:  # noqa: D102  the base class says it
        if event.name not in _SILENT:
            say(f"{event.name.replace('_', ' ')}: {_words(event.data)}")


def _words(data: dict[str, Any]) -> str:
    told = dict(data)
    what = [str(told.pop(name)) for name in ("phase", "kind", "label") if told.get(name)]
    told.pop("key", None)
    milliseconds = told.pop("milliseconds", None)
    what += [f"{name}={value}" for name, value in told.items() if value not in (None, "", 0, {})]
    return " ".join([*what, *([f"{milliseconds} ms"] if milliseconds is not None else [])])
