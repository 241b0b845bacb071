"""What this machine calls its user, where a store notes it: for people, never for a decision."""

from __future__ import annotations

import getpass
import re


def user_name() -> str:
    """This user as a log is called."""
    try:
        return called(getpass.getuser())
    except (OSError, KeyError):  # no such user in this container
        return called("nobody")


def called(user: str) -> str:
    """A user as a log is called, whatever the system calls him: in the alphabet of tags."""
    return re.sub(r"[^a-z0-9._-]+", "-", user.lower()).strip("-._")[:64] or "nobody"
