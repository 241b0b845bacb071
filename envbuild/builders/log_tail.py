"""The end of a log as people read it in an error: few lines, none too long, nothing that moves a terminal's cursor.

Rules of the file: pure.
"""

from __future__ import annotations

from envbuild.pattern import pattern

LINES = 30
"""Lines that an error shows."""

WIDTH = 240
"""Characters of a line that an error shows."""

_COLOURS = pattern(r"\x1b\[[0-9;]*[A-Za-z]")


def log_tail(text: str, lines: int = LINES) -> str:
    """The last lines that hold something, indented; control characters are written out, colours left out."""
    told = [line for line in text.split("\n") if line.strip()][-lines:]
    return "\n".join(f"    {_plain(line)}" for line in told)


def _plain(line: str) -> str:
    line = _COLOURS.sub("", line.rsplit("\r", 1)[-1]).expandtabs(4)
    told = "".join(character if character.isprintable() else repr(character)[1:-1] for character in line.rstrip())
    return told if len(told) <= WIDTH else f"{told[:WIDTH]} …"
