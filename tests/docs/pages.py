"""The pages as tests read them: sections, tables, fenced blocks and command lines.

A fence's first word is for people's eyes (``yaml``, ``console``); the words after it say what a block is: ``recipe``
must be accepted, ``refused <reference>`` must be refused so, a file's name is the file that the block would be. What is
indented on a page is commands, one a line, without what they print; all other text stands in fences.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
DOCS = CHECKOUT / "docs"
PAGES = (
    *sorted(CHECKOUT.glob("*.md")),
    *sorted(DOCS.glob("*.md")),
    *sorted((DOCS / "adr").glob("*.md")),
)

SHELLS = {("console",), ("sh",), ("bash",), ("shell",), ("zsh",)}


@dataclass(frozen=True)
class Block:
    """A fenced block: the words after its fence, its text, and the line at which it begins."""

    words: tuple[str, ...]
    text: str
    line: int


def read(name: str) -> str:
    """The text of a page in ``docs``."""
    return (DOCS / name).read_text(encoding="utf-8")


def blocks(text: str) -> list[Block]:
    """Every fenced block of a page."""
    found: list[Block] = []
    words: tuple[str, ...] | None = None
    lines: list[str] = []
    begin = 0
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("```") and words is None:
            words, lines, begin = tuple(line[3:].split()), [], number + 1
        elif line.startswith("```"):
            found.append(Block(words=words or (), text="\n".join(lines) + "\n", line=begin))
            words = None
        elif words is not None:
            lines.append(line)
    assert words is None, f"a fence is not closed, from line {begin}"
    return found


def indented(text: str) -> list[Block]:
    """Every indented block of a page: command lines. Their word is ``typed``."""
    found: list[Block] = []
    lines: list[str] = []
    fenced, before = False, ""
    for number, line in enumerate([*text.splitlines(), ""], 1):
        if line.startswith("    ") and not fenced and (lines or not before.strip()):
            lines.append(line[4:])
        elif lines:
            found.append(Block(words=("typed",), text="\n".join(lines) + "\n", line=number - len(lines)))
            lines = []
        fenced ^= line.startswith("```")
        before = line
    return found


def command_blocks(text: str) -> list[Block]:
    """Every block whose lines are typed, in order: fences of a shell or with a line after ``$``, and indented ones."""
    fences = [
        item for item in blocks(text) if item.words[:1] in SHELLS or re.search(r"^ *\$ ", item.text, re.MULTILINE)
    ]
    return sorted([*fences, *indented(text)], key=lambda item: item.line)


def without_blocks(text: str) -> str:
    """A page's own words."""
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def sections(text: str, level: str) -> dict[str, str]:
    """Heading (without its marks) to the text under it, down to the next heading of this level or a higher one."""
    found: dict[str, str] = {}
    heading = None
    for line in text.splitlines():
        mark = re.match(r"(#+) (.*)", line)
        if mark and len(mark[1]) <= len(level):
            heading = mark[2] if mark[1] == level else None
            if heading is not None:
                found[heading] = ""
        elif heading is not None:
            found[heading] += line + "\n"
    return found


def table(text: str, first: str) -> list[list[str]]:
    """The rows of the only table whose first column has this title."""
    lines = text.splitlines()
    starts = [number for number, line in enumerate(lines) if line.startswith(f"| {first} |")]
    assert len(starts) == 1, f"{len(starts)} tables begin with the column {first!r}"
    rows = []
    for line in lines[starts[0] + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def code(text: str) -> list[str]:
    """Everything that stands in single backticks."""
    return re.findall(r"`([^`\n]+)`", without_blocks(text))


def command_lines(text: str) -> list[list[str]]:
    """The words of every ``envbuild …`` line that a page shows: indented, after ``$``, or inside ``$(…)``."""
    found = []
    for line in text.splitlines():
        inside = re.search(r'\$\((envbuild [^)"]*)\)', line)
        shown = re.match(r"(?: {4}|\$ |    \$ )(?:\$ )?(envbuild(?: .*)?)$", line)
        words = inside[1] if inside else shown[1] if shown else None
        if words is None or "COMMAND" in words:
            continue
        words = re.split(r" \| |\s#", words)[0]
        found.append(shlex.split(words)[1:])
    return found
