"""A lock that two branches changed and nobody could merge: both sides whole, one after the other, in one file.

Git's own markers go around single lines, so that neither side can be had from them as it was. Here each side is the
lock that it was, byte for byte; so nothing is lost, and ``envbuild lock`` makes one lock of both as soon as it can.

Rules of the file: pure.
"""

from __future__ import annotations

_OURS = b"<<<<<<< ours: "
_BETWEEN = b"=======\n"
_THEIRS = b">>>>>>> theirs\n"


def conflict_text(ours: bytes, theirs: bytes, command: str) -> bytes:
    """The file.

    Args:
        ours: One side's lock.
        theirs: The other's.
        command: What makes one of both.
    """
    return _OURS + command.encode() + b"\n" + _ended(ours) + _BETWEEN + _ended(theirs) + _THEIRS


def conflict_sides(data: bytes) -> tuple[bytes, bytes] | None:
    """Both sides of such a file, whole; None for anything else."""
    if not (data.startswith(_OURS) and data.endswith(b"\n" + _THEIRS)):
        return None
    ours, between, theirs = data.partition(b"\n")[2].removesuffix(_THEIRS).partition(b"\n" + _BETWEEN)
    if not between or b"\n" + _BETWEEN in theirs:
        return None
    return ours + b"\n", theirs


def _ended(data: bytes) -> bytes:
    return data if data.endswith(b"\n") else data + b"\n"
