"""What this machine calls its user, where a store notes it: for people, never for a decision."""

from __future__ import annotations

import getpass
import re


def user_name() -> str:
    """This user as a log is called: in the alphabet of tags."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError):  # no such user in this container
        name = "nobody"
    return re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip("-._")[:64] or "nobody"
