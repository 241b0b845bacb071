"""Durations for people.

Rules of the file: pure.
"""

from __future__ import annotations


def span(seconds: float) -> str:
    """A duration in its largest unit: ``3 days``, ``1 hour``, ``less than a minute``."""
    for size, word in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            number = int(seconds // size)
            return f"{number} {word}{'s' if number > 1 else ''}"
    return "less than a minute"
