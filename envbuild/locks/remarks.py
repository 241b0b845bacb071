"""Remarks on a lock that was made: what stands in it and had better not, for whoever locks; no errors.

Rules of the file: pure; one line each.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from envbuild.pattern import pattern
from envbuild.request import Request

_SECRET = pattern(r"(?:TOKEN|PASSWORD|PASSWD|SECRET|(?:^|_|API|ACCESS)KEY)$", re.IGNORECASE)


def likely_secrets(request: Request) -> Iterator[str]:
    """Words on variables that are named like secrets: what a recipe says of them is kept for all who can read it."""
    said = [(f"build: {item.name}: env", item.env) for item in request.build]
    for place, variables in (*said, ("variables", request.variables)):
        for name, value in variables:
            if value and _SECRET.search(name):
                yield f"`{place}: {name}` stands in the lock in plain text, which is no place for a secret"
