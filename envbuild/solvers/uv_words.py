"""What uv says about a request without a solution, in words that fit envbuild.

uv explains well, and its hints name options of uv that a user of envbuild cannot type. The explanation stays; each hint
is told again in terms of a recipe, or left out when it is about an option.

Rules of the file: text in, text out.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from envbuild.pattern import pattern

_OPENING = pattern(r"^\W*No solution found when resolving dependencies[^\n]*\n", re.MULTILINE)
_AND = pattern(r"^\s+(?=(?:And|So|Because)\b)", re.MULTILINE)
_HINT = pattern(r"^\s*hint: (.*(?:\n(?!\s*hint: )(?!\s*$).*)*)", re.MULTILINE)

Reworder = Callable[[re.Match[str]], str]

_HINTS: tuple[tuple[re.Pattern[str], Reworder], ...] = (
    (
        pattern(
            r"`([^`]+)` was filtered by `exclude-newer` to only include packages uploaded before (\S+?)\.\s"
            r"(?:.*?, published at (\S+?)\.(?:\s|$))?",
            re.DOTALL,
        ),
        lambda found: (
            f"`exclude-newer` hides what is younger than {found[2]}; the newest {found[1]} that fits is of {found[3]}"
            if found[3]
            else f"the index states no upload dates for {found[1]}, so `exclude-newer` hides all of its files: "
            "take `exclude-newer` out, or name an index with dates"
        ),
    ),
    (
        pattern(r"`([^`]+)` was found on (\S+), but not at the requested version"),
        lambda found: (
            f"the first index that has a name decides, and {found[1]} is on {found[2]}; for another one write "
            f"`{found[1]}: {{version: ..., index: NAME}}`, and give that index the name under `extra-indices`"
        ),
    ),
    (
        pattern(r"Pre-releases are available for `([^`]+)`"),
        lambda found: f"{found[1]} has pre-releases: `pypi: {{prereleases: [{found[1]}]}}` allows them",
    ),
    (
        pattern(r"\(e\.g\., ([^ ]+?)==(\S+) only supports ([^)]+)\)"),
        lambda found: f"{found[1]} {found[2]} needs Python {found[3]}: change `python:` in the recipe",
    ),
    (
        pattern(r"You require (CPython|PyPy) ([0-9.]+) \(.*?\), but we only found wheels for `([^`]+)` .*?: (.*)"),
        lambda found: (
            f"{found[3]} has wheels for {found[4]} only, and not for Python {found[2]}: say another `python:`"
        ),
    ),
    (
        pattern(r"Wheels are available for `([^`]+)` \(v?([^)]*)\) on the following platforms?: (.*)"),
        lambda found: (
            f"{found[1]} {found[2]} has wheels for {found[3]} only"
            + ("; `system: {__glibc: ...}` says what machines have" if "linux" in found[3] else "")
        ),
    ),
    (
        pattern(r"network was disabled|index lookups were disabled"),
        lambda found: "`no-index: true` leaves only `find-links` to look at",
    ),
)


def retold(said: str) -> tuple[str, str | None]:
    """Uv's explanation without its opening line and hints, and the hints in our words.

    Args:
        said: What uv wrote.

    Returns:
        The explanation, and a hint or None.
    """
    hints = []
    for told in _HINT.findall(said):
        flat = " ".join(told.split())
        found = next(((pattern.search(flat), reword) for pattern, reword in _HINTS if pattern.search(flat)), None)
        if found is not None and found[0] is not None:
            hints.append(found[1](found[0]))
    text = _AND.sub("", _OPENING.sub("", _HINT.sub("", said)))
    text = text.replace("we can conclude that your requirements are unsatisfiable", "this cannot be satisfied")
    text = text.replace("in the package registry", "on the index")
    if not hints and (absent := re.search(r"(\S+) was not found on the index", text)):
        hints.append(f"check the spelling of {absent[1]}, and that the recipe or your settings name the index it is on")
    return "\n".join(line for line in text.splitlines() if line.strip()), "; ".join(dict.fromkeys(hints)) or None
