"""Intervals of release numbers: enough to see that two constraints cannot both hold, or that one is within another.

Theory: ``>=3.11,<3.13`` and ``3.12.*`` are unions of intervals between bounds. A bound is a release (trailing zeros
dropped) and 0 for just before it or 1 for just after it. Whatever is no plain release number (pre-releases, build
strings, ``!=``) is outside of this arithmetic: the answer is then *unknown*, and the solver decides.

Rules of the file: pure; never says *contradiction* when it is not sure.
"""

from __future__ import annotations

from envbuild.pattern import pattern

Bound = tuple[tuple[int, ...], int]
Interval = tuple[Bound, Bound]

_LOWEST: Bound = ((), 0)
_HIGHEST: Bound = ((1 << 62,), 0)
_PIECE = pattern(r"(==|~=|<=|>=|<|>|)([0-9]{1,15}(?:\.[0-9]{1,15})*)(\.\*)?")


def intervals(constraint: str) -> tuple[Interval, ...] | None:
    """The intervals that a constraint allows.

    Args:
        constraint: Pieces joined by ``,`` (and) and ``|`` (or), normalized; empty for any.

    Returns:
        Disjoint or not, never empty intervals; none at all for a contradiction; None when unknown.
    """
    if not constraint:
        return ((_LOWEST, _HIGHEST),)
    found: list[Interval] = []
    for alternative in constraint.split("|"):
        low, high = _LOWEST, _HIGHEST
        for piece in alternative.split(","):
            interval = _piece(piece.strip())
            if interval is None:
                return None
            low, high = max(low, interval[0]), min(high, interval[1])
        if low < high:
            found.append((low, high))
    return tuple(found)


def _piece(piece: str) -> Interval | None:
    match = _PIECE.fullmatch(piece)
    if match is None:
        return None
    operator, numbers = match[1], tuple(int(part) for part in match[2].split("."))
    release = _strip(numbers)
    if match[3]:
        return ((release, 0), (_next(numbers), 0)) if operator in {"", "=="} else None
    if operator == "~=":
        return ((release, 0), (_next(numbers[:-1]), 0)) if len(numbers) > 1 else None
    bounds: dict[str, Interval] = {
        "": ((release, 0), (release, 1)),
        "==": ((release, 0), (release, 1)),
        ">=": ((release, 0), _HIGHEST),
        ">": ((release, 1), _HIGHEST),
        "<=": (_LOWEST, (release, 1)),
        "<": (_LOWEST, (release, 0)),
    }
    return bounds[operator]


def _next(numbers: tuple[int, ...]) -> tuple[int, ...]:
    return _strip((*numbers[:-1], numbers[-1] + 1))


def _strip(numbers: tuple[int, ...]) -> tuple[int, ...]:
    while numbers and numbers[-1] == 0:
        numbers = numbers[:-1]
    return numbers


def contradict(one: str, other: str) -> bool:
    """Whether no version can fulfil both constraints; False when that is unknown."""
    left, right = intervals(one), intervals(other)
    if left is None or right is None:
        return False
    return not any(max(a[0], b[0]) < min(a[1], b[1]) for a in left for b in right)


def within(one: str, other: str) -> bool:
    """Whether all versions that fulfil the first fulfil the second too; False when that is unknown."""
    left, right = intervals(one), intervals(other)
    if left is None or right is None:
        return False
    return all(any(b[0] <= a[0] and a[1] <= b[1] for b in right) for a in left)


def both(one: str, other: str) -> str | None:
    """The constraint that holds when both do: the narrower one, else both joined; None when that has no text.

    Conjunctions join with commas; a constraint with alternatives joins only what is within it.
    """
    if not other or within(one, other):
        return one
    if not one or within(other, one):
        return other
    if "|" in one or "|" in other:
        return None
    return ",".join(sorted({*one.split(","), *other.split(",")}))
