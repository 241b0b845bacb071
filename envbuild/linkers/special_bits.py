"""Bits of a file's mode that no file of a package needs: they are cleared, and it is told once for each package."""

from __future__ import annotations

from collections.abc import Sequence

SPECIAL = 0o7002
"""Setuid, setgid, sticky, and what everybody may write."""


def lost_bits(file: str, members: Sequence[str]) -> str:
    """What is told of a package or archive, at least one of whose members lost bits."""
    count = "1 member loses" if len(members) == 1 else f"{len(members)} members lose"
    return f"{file}: {count} setuid, setgid, sticky or world-write bits: {members[0]}" + (
        " …" if len(members) > 1 else ""
    )
