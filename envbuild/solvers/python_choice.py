"""Which Python a constraint means, before any is looked for.

Rules of the file: pure; ``packaging`` is imported late.
"""

from __future__ import annotations

from functools import cache

from envbuild.errors import InvalidInput
from envbuild.pattern import pattern

OLDEST, NEWEST = 8, 20
"""Minor versions of Python 3 that are thought of."""
_PATCHES = 40
_SERIES = pattern(r"(3\.(?:[89]|1[0-9]|20))\.\*")


@cache
def series_of(constraint: str | None) -> tuple[str, ...]:
    """Every series that a constraint allows, the newest first.

    Raises:
        InvalidInput: ``bad-version`` when it is no constraint, or allows no Python 3.
    """
    if constraint is not None and (plain := _SERIES.fullmatch(constraint)):
        return (plain[1],)
    found = tuple(
        f"3.{minor}" for minor in range(NEWEST, OLDEST - 1, -1) if lowest_patch(constraint, f"3.{minor}") is not None
    )
    if not found:
        raise InvalidInput(
            f"no Python that is supported, 3.{OLDEST} to 3.{NEWEST}, fits {constraint!r}", reference="bad-version"
        )
    return found


@cache
def lowest_patch(constraint: str | None, series: str) -> str | None:
    """The oldest version of a series that a constraint allows, or None: what a lock may rely upon.

    Raises:
        InvalidInput: ``bad-version``.
    """
    if constraint is None:
        return f"{series}.0"
    if plain := _SERIES.fullmatch(constraint):  # what most recipes say; packaging costs 0.02 s
        return f"{series}.0" if plain[1] == series else None
    for patch in range(_PATCHES):
        if fits(constraint, f"{series}.{patch}"):
            return f"{series}.{patch}"
    return None


def fits(constraint: str | None, version: str) -> bool:
    """Whether a constraint (conda's words, or PEP 440's) allows a full version.

    Raises:
        InvalidInput: ``bad-version``.
    """
    if constraint is None:
        return True
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        return any(
            SpecifierSet(",".join(_specifier(piece) for piece in alternative.split(","))).contains(version)
            for alternative in constraint.split("|")
        )
    except InvalidSpecifier as error:
        raise InvalidInput(f"{constraint!r} is not a constraint on Python", reference="bad-version") from error


def _specifier(piece: str) -> str:
    piece = piece.strip()
    if piece[:1] in "<>=!~":
        return piece
    return f"=={piece}"
