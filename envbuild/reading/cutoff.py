"""``exclude-newer``: its spellings, and the moment that it means when a lock is made.

Rules of the file: the clock is an argument.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

from envbuild.errors import InvalidInput, beginning
from envbuild.pattern import pattern

_AGE = pattern(r"([0-9]{1,5})\s*([hdw])")
_TIME = pattern(
    r"(\d{4}-\d\d-\d\d)(?:[Tt ](\d\d:\d\d:\d\d)(?:\.\d{1,9})?(?:([Zz])|([+-]\d\d:\d\d)))?",
    re.ASCII,
)


def cut_off_text(text: str) -> str:
    """``exclude-newer`` in one spelling: an age such as ``7d``, or a date or time in UTC.

    Raises:
        InvalidInput: ``bad-time``.
    """
    if age := _AGE.fullmatch(text.strip().lower()):
        return f"{int(age[1])}{age[2]}"
    found = _TIME.fullmatch(text.strip())
    try:
        if found is None:
            raise ValueError
        if found[2] is None:
            return datetime.strptime(found[1], "%Y-%m-%d").date().isoformat()
        zone = "+00:00" if found[3] else found[4]
        moment = datetime.fromisoformat(f"{found[1]}T{found[2]}{zone}").astimezone(timezone.utc)
    except (ValueError, OverflowError):
        raise InvalidInput(
            f"{beginning(text)!r} is neither a date nor an age",
            reference="bad-time",
            hint="write for example 2026-11-01, 2026-11-01T12:00:00Z, 24h, 7d or 2w",
        ) from None
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def cut_off(text: str, now: datetime) -> str:
    """The moment that ``exclude-newer`` means: nothing published later is looked at.

    Args:
        text: As ``cut_off_text`` gives it.
        now: The time of locking, with its zone; an age counts back from it.

    Returns:
        RFC 3339 in UTC, whole seconds. A date means its end: what was published on that day counts, as for uv.
    """
    text = cut_off_text(text)
    if age := _AGE.fullmatch(text):
        unit = {"h": "hours", "d": "days", "w": "weeks"}[age[2]]
        moment = now.astimezone(timezone.utc) - timedelta(**{unit: int(age[1])})
        return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    if "T" in text:
        return text
    day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=timezone.utc)
    return (day + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
