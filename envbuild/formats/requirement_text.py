"""The text of a requirements file as pip takes it apart: encoding, continued lines, comments, options.

Theory: pip joins lines that end in a backslash, then drops comments, then splits what is left at the first word that
begins with a dash: a requirement before it, options from there on. The same is done here, with the place of every part
kept, and without what makes a file mean different things to different readers: characters that look like line breaks to
some, encodings of the machine, variables of the environment.

Rules of the file: text in, lines out; knows no option's meaning.
"""

from __future__ import annotations

import codecs
import re
import shlex
from collections.abc import Iterator

from envbuild.errors import InvalidInput, Where
from envbuild.formats import Document
from envbuild.pattern import pattern
from envbuild.value import dataclass

LARGEST_REQUIREMENTS = 8 << 20
"""Bytes that a requirements file may have."""
LONGEST = 200_000
"""Characters that a line may have, continuations included: a thousand hashes and more."""

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_DECLARED = pattern(rb"coding[:=]\s*([-\w.]+)")
_ENCODINGS = frozenset(
    {"utf-8", "utf8", "ascii", "us-ascii", "latin-1", "latin1", "iso-8859-1", "iso-8859-15", "cp1252", "windows-1252"}
)
_HIDDEN = pattern("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x85\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ufffe\uffff]")
_LINE = pattern(r"\r\n|\r|\n")
_COMMENT = pattern(r"(?:^|(?<=\s))#")
_WORD = pattern(r"(?:[^\s\"'\\]|\"(?:[^\"\\]|\\.)*\"|'[^']*'|\\.)+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line as pip sees it: continuations joined, comment gone, no space around it.

    Attributes:
        text: What is left, never empty.
        file: How messages call its file.
        parts: Of each physical line in it: the offset in ``text`` where it begins, its number, and the column there.
    """

    text: str
    file: str
    parts: tuple[tuple[int, int, int], ...]

    def where(self, offset: int = 0) -> Where:
        """The place of a character of ``text``."""
        start, line, column = next(part for part in reversed(self.parts) if part[0] <= offset or part is self.parts[0])
        return Where(file=self.file, line=line, column=column + max(offset - start, 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """One word of a line's options, without quotes, and its offset in the line."""

    text: str
    offset: int


def decode(document: Document) -> str:
    """A requirements file's text: by its byte order mark, its ``coding:`` line, else UTF-8.

    Raises:
        InvalidInput: ``too-large``, ``bad-encoding``, ``bad-syntax`` for characters that hide something.
    """
    data = document.data
    if len(data) > LARGEST_REQUIREMENTS:
        raise InvalidInput(
            f"the file has {len(data):,} bytes; {LARGEST_REQUIREMENTS:,} are allowed",
            reference="too-large",
            where=document.where(),
            hint="split it, or ask for less",
        )
    mark, encoding = next(((mark, name) for mark, name in _MARKS if data.startswith(mark)), (b"", "utf-8"))
    if not mark:
        for first in data.split(b"\n", 2)[:2]:
            if first.startswith(b"#") and (declared := _DECLARED.search(first)):
                encoding = declared[1].decode("ascii", "replace").lower().replace("_", "-")
    if not mark and encoding not in _ENCODINGS:
        raise InvalidInput(
            f"the encoding {encoding[:40]!r} is not read",
            reference="bad-encoding",
            where=document.where(1, 1),
            hint="save the file as UTF-8",
        )
    try:
        text = data[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise InvalidInput(
            f"byte 0x{data[len(mark) + error.start]:02x} is not {encoding.upper()}",
            reference="bad-encoding",
            where=document.where(line),
            hint="save the file as UTF-8",
        ) from None
    if found := _HIDDEN.search(text):
        line = text.count("\n", 0, found.start()) + 1
        raise InvalidInput(
            f"the character U+{ord(found[0]):04X} may not stand in requirements",
            reference="bad-syntax",
            where=document.where(line, found.start() - (text.rfind("\n", 0, found.start()) + 1) + 1),
            hint="remove the character; it is invisible in most editors",
        )
    return text


def lines(text: str, file: str) -> Iterator[Line]:
    """Every line that says something.

    Args:
        text: The file's text.
        file: How messages call the file.

    Raises:
        InvalidInput: ``too-large`` for a line without end.
    """
    pending: list[tuple[int, str]] = []
    length = 0
    for number, raw in enumerate(_LINE.split(text), start=1):
        comment = raw.lstrip().startswith("#")
        if raw.endswith("\\") and not comment:
            pending.append((number, raw.rstrip("\\")))
            length += len(raw)
            if length > LONGEST:
                break
            continue
        pending.append((number, " " + raw if comment and pending else raw))
        if (line := _joined(pending, file)) is not None:
            yield line
        pending, length = [], 0
    if pending and (line := _joined(pending, file)) is not None:
        yield line


def _joined(pending: list[tuple[int, str]], file: str) -> Line | None:
    whole = "".join(raw for _, raw in pending)
    if len(whole) > LONGEST:
        raise InvalidInput(
            f"a line of more than {LONGEST:,} characters",
            reference="too-large",
            where=Where(file=file, line=pending[0][0]),
        )
    comment = _COMMENT.search(whole)
    bare = whole[: comment.start()] if comment else whole
    text = bare.strip()
    if not text:
        return None
    lead = len(bare) - len(bare.lstrip())
    parts: list[tuple[int, int, int]] = []
    offset = -lead
    for number, raw in pending:
        begin = max(offset, 0)
        if offset + len(raw) > 0 or not parts:
            parts.append((begin, number, begin - offset + 1))
        offset += len(raw)
    return Line(text=text, file=file, parts=tuple(parts))


def split_options(line: Line) -> tuple[str, tuple[Word, ...]]:
    """The requirement that a line begins with (may be empty), and the words of the options after it.

    Raises:
        InvalidInput: ``bad-syntax`` when a quote is never closed.
    """
    found = re.search(r"(?:^| )(?=-)", line.text)
    if found is None:
        return line.text, ()
    begin = found.end()
    words, end = [], begin
    for word in _WORD.finditer(line.text, begin):
        if line.text[end : word.start()].strip():
            break
        bare = word[0]
        words.append(
            Word(text=" ".join(shlex.split(bare)) if re.search(r"[\"'\\]", bare) else bare, offset=word.start())
        )
        end = word.end()
    if line.text[end:].strip():
        raise InvalidInput("a quote is never closed", reference="bad-syntax", where=line.where(end), hint="close it")
    return line.text[: found.start()].strip(), tuple(words)
