"""Numbers as people read them."""

from __future__ import annotations


def size_text(size: int | None) -> str:
    """Bytes for people, decimal, as download tools say them."""
    if size is None:
        return "?"
    amount = float(size)
    for unit in ("B", "kB", "MB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.2f} GB"


def seconds(milliseconds: int) -> str:
    """A duration for people."""
    return f"{milliseconds / 1000:.2f} s" if milliseconds < 1000 else f"{milliseconds / 1000:.1f} s"


def count(number: int, word: str, plural: str | None = None) -> str:
    """``1 package``, ``2 packages``."""
    return f"{number} {word if number == 1 else plural or word + 's'}"
