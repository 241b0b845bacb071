"""Poetry's version constraints as PEP 440 specifiers: carets, tildes, wildcards, bare versions.

Theory: a caret allows what leaves the leftmost number that is not zero as it is; a tilde what leaves the second number
(or the only one). Both are ranges, which PEP 440 can say. ``||`` is a union, which it cannot, unless the parts meet.

Rules of the file: text in, text out; nothing is rounded.
"""

from __future__ import annotations

import re

from envbuild.errors import InvalidInput
from envbuild.pattern import pattern
from envbuild.reading.version_range import contradict, within

_PIECE = pattern(
    r"(\^|~=|~|===|==|!=|<=|>=|<|>|=|)\s*v?([0-9]+(?:\.[0-9]+)*(?:[.]?[A-Za-z+!_-][A-Za-z0-9.+!_-]*)?(?:\.\*)?|\*)"
)
_RELEASE = pattern(r"[0-9]+(?:\.[0-9]+)*")


def poetry_constraint(text: str) -> str:
    """A constraint of poetry as specifiers joined by commas; empty for any.

    Raises:
        InvalidInput: ``bad-version``.
    """
    alternatives = [_conjunction(part, text) for part in re.split(r"\s*\|\|?\s*", text.strip())]
    result = alternatives[0]
    for other in alternatives[1:]:
        result = _union(result, other, text)
    return result


def _conjunction(text: str, whole: str) -> str:
    pieces, position = [], 0
    while position < len(text):
        found = _PIECE.match(text, position)
        if found is None:
            raise _bad(whole)
        pieces.append(_piece(found[1], found[2], whole))
        position = found.end()
        rest = re.compile(r"\s*,\s*|\s+|$").match(text, position)
        if rest is None:
            raise _bad(whole)
        position = rest.end()
    return ",".join(sorted({part for piece in pieces for part in piece.split(",") if part}))


def _piece(operator: str, version: str, whole: str) -> str:
    if version == "*":
        return ""
    if version.endswith(".*"):
        if operator not in {"", "=", "==", "!="}:
            raise _bad(whole)
        return ("!=" if operator == "!=" else "==") + version
    if operator in {"", "="}:
        return f"=={version}"
    if operator not in {"^", "~"}:
        return operator + version
    release = _RELEASE.match(version)
    if release is None or "!" in version:
        raise _bad(whole)
    numbers = [int(part) for part in release[0].split(".")]
    if operator == "~":
        keep = min(len(numbers), 2)
    else:
        keep = next((index + 1 for index, number in enumerate(numbers) if number), len(numbers))
    upper = [*numbers[: keep - 1], numbers[keep - 1] + 1]
    return f">={version},<{'.'.join(map(str, upper))}"


def _union(one: str, other: str, whole: str) -> str:
    """What one or the other allows, when that is one range."""
    if not one or not other or within(one, other):
        return other if one else ""
    if within(other, one):
        return one
    low, high = sorted((one, other), key=_lowest)
    upper = [piece for piece in low.split(",") if piece.startswith("<")]
    lower = [piece for piece in high.split(",") if piece.startswith(">=")]
    if len(upper) == len(lower) == 1 and low.count(",") <= 1 and high.count(",") <= 1:
        begin = lower[0].removeprefix(">=")
        if _lowest(upper[0]) == _lowest(lower[0]) or not contradict(f">={begin}", upper[0]):
            kept = [piece for piece in low.split(",") if piece.startswith(">")]
            return ",".join(sorted({*kept, *(piece for piece in high.split(",") if piece.startswith("<"))}))
    raise InvalidInput(
        f"{whole[:60]!r} allows versions with a gap between them, which no specifier can say",
        reference="bad-version",
        hint="keep one of the ranges",
    )


def _lowest(constraint: str) -> tuple[int, ...]:
    """The first number that a constraint names, without the zeros at its end."""
    found = re.search(r">=?([0-9.]+)", constraint) or re.search(r"([0-9.]+)", constraint)
    return tuple(map(int, re.sub(r"(?:\.0*)+$", "", found[1]).split("."))) if found else ()


def _bad(text: str) -> InvalidInput:
    return InvalidInput(
        f"{text[:60]!r} is not a version constraint of poetry",
        reference="bad-version",
        hint="such as ^1.2, ~1.2 or >=1,<2",
    )
