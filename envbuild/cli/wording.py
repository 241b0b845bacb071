"""Numbers as people read and write them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from envbuild.errors import UsageError

_UNITS = {"": 1, "b": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_UNITS |= {f"{unit}b": size for unit, size in _UNITS.items() if len(unit) == 1 and unit != "b"}
_UNITS |= {f"{unit}ib": 1 << (10 * power) for power, unit in enumerate("kmgt", 1)}

_FEW = 5


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


def size_of(text: str) -> int:
    """Bytes from what people write: ``200GB``, ``1.5 TB``, ``64MiB``.

    Raises:
        UsageError: ``bad-size``.
    """
    found = re.fullmatch(r"\s*([0-9]{1,15}(?:\.[0-9]{1,9})?)\s*([a-zA-Z]{0,3})\s*", text)
    if found is None or found[2].lower() not in _UNITS:
        raise UsageError(f"{text[:40]!r} is no size", reference="bad-size", hint="for example 200GB, 1.5TB, 64MiB")
    return int(float(found[1]) * _UNITS[found[2].lower()])


def seconds(milliseconds: int) -> str:
    """A duration for people."""
    return f"{milliseconds / 1000:.2f} s" if milliseconds < 1000 else f"{milliseconds / 1000:.1f} s"


def first_few(names: Sequence[str]) -> str:
    """The first of many names, and how many more there are."""
    more = f" and {len(names) - _FEW} more" if len(names) > _FEW else ""
    return ", ".join(names[:_FEW]) + more


def count(number: int, word: str, plural: str | None = None) -> str:
    """``1 package``, ``2 packages``."""
    return f"{number} {word if number == 1 else plural or word + 's'}"
