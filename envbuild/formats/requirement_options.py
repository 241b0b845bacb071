"""The options that may stand in a requirements file, and how their values are written.

Rules of the file: what an option means is the business of ``envbuild.formats.requirements``.
"""

from __future__ import annotations

from collections.abc import Iterator

from envbuild.errors import InvalidInput
from envbuild.formats.requirement_text import Line, Word
from envbuild.reading.schema import closest
from envbuild.value import dataclass

SHORT = {
    "-i": "--index-url",
    "-c": "--constraint",
    "-r": "--requirement",
    "-e": "--editable",
    "-f": "--find-links",
    "-C": "--config-settings",
}
"""Short names, and the long ones that they stand for."""

ALIASES = {
    "--pypi-url": "--index-url",
    "--constraints": "--constraint",
    "--requirements": "--requirement",
    "--config-setting": "--config-settings",
}
"""Other long names."""

WITH_VALUE = frozenset(
    {
        "--index-url",
        "--extra-index-url",
        "--constraint",
        "--requirement",
        "--editable",
        "--find-links",
        "--no-binary",
        "--only-binary",
        "--all-releases",
        "--only-final",
        "--trusted-host",
        "--use-feature",
        "--hash",
        "--config-settings",
        "--conda-pkg",
        "--conda-channel",
        "--sys-pkg",
        "--global-option",
        "--install-option",
    }
)
"""Options that need a value."""

PLAIN = frozenset(
    {
        "--no-index",
        "--prefer-binary",
        "--require-hashes",
        "--no-require-hashes",
        "--pre",
        "--no-use-pep517",
        "--use-pep517",
    }
)
"""Options that stand alone."""

SPEC_OPTIONS = frozenset({"--conda-pkg", "--sys-pkg"})
"""Options whose value may hold spaces: it goes on to the next option."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option: its long name, its value (empty without), and the offset in the line where it begins."""

    name: str
    value: str
    offset: int


def options(words: tuple[Word, ...], line: Line) -> Iterator[Option]:
    """The options that words of a line make.

    Raises:
        InvalidInput: ``unknown-option`` for one that pip would not take either, ``missing-value``.
    """
    position = 0
    while position < len(words):
        word = words[position]
        position += 1
        name, value = _named(word, line)
        if name in WITH_VALUE and value is None:
            if position >= len(words):
                raise InvalidInput(
                    f"{name} needs a value", reference="missing-value", where=line.where(word.offset), hint=f"{name} …"
                )
            value = words[position].text
            position += 1
        if name in SPEC_OPTIONS:
            while position < len(words) and not words[position].text.startswith("-"):
                value = f"{value} {words[position].text}"
                position += 1
        yield Option(name=name, value=value or "", offset=word.offset)


def _named(word: Word, line: Line) -> tuple[str, str | None]:
    """The long name of an option, and the value that is written with it."""
    text = word.text
    known = WITH_VALUE | PLAIN | ALIASES.keys()
    if text[:2] in SHORT and not text.startswith("--"):
        return SHORT[text[:2]], text[2:] or None
    name, equals, value = text.partition("=")
    if name.startswith("--") and name not in known:
        longer = {ALIASES.get(item, item) for item in known if item.startswith(name)} if len(name) > 4 else set()
        name = longer.pop() if len(longer) == 1 else name
    name = ALIASES.get(name, name)
    if name in PLAIN and not equals:
        return name, None
    if name in WITH_VALUE:
        return name, value if equals else None
    hint = closest(name, sorted(known)) or "options of pip that may stand in a requirements file are in docs/formats.md"
    raise InvalidInput(
        f"{text[:60]!r} is no option of a requirements file",
        reference="unknown-option",
        where=line.where(word.offset),
        hint=hint,
    )
