"""One requirement as pip and PEP 508 write it, as a recipe's requirement.

``numpy``, ``requests[socks]>=2,<3 ; python_version >= "3.9"``, ``name @ https://…``; in requirements files also a bare
address or path.

Theory: most lines are a name and versions; these are read without ``packaging`` (75 ms to import), by the grammars that
recipes have. Everything else goes through ``packaging``, which decides what a marker or a specifier is, and then
through the same grammars: what comes out is what a recipe may hold.

Rules of the file: findings go to ``Asked``; a line that cannot be read asks for nothing.
"""

from __future__ import annotations

import re

from envbuild.errors import InvalidInput, Where
from envbuild.formats import Document
from envbuild.formats.asked import Asked
from envbuild.formats.requirement_source import Place, is_address, is_path, read_place
from envbuild.pattern import pattern
from envbuild.reading import spelling
from envbuild.recipe import PypiRequirement

LONGEST_LINE = 4000
"""Characters that one requirement may have."""

_PIECE = r"(?:==|!=|~=|<=|>=|<|>)[ \t]*[0-9][0-9A-Za-z.]*(?:\.\*)?[ \t]*"
_PLAIN = pattern(
    r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)[ \t]*"
    r"(?:\[(?P<extras>[A-Za-z0-9._, \t-]*)\])?[ \t]*"
    rf"(?P<version>(?:{_PIECE}(?:,[ \t]*{_PIECE})*)?)"
)


def read_requirement(text: str, where: Where, document: Document, asked: Asked) -> PypiRequirement | None:
    """A PEP 508 requirement.

    Args:
        text: The requirement alone, without comments and options.
        where: Its place.
        document: The file that it stands in.
        asked: Where findings and notes go.

    Returns:
        The requirement, or None after a finding.
    """
    asked.more(where)
    text = text.strip()
    if len(text) > LONGEST_LINE:
        asked.issue(where, "too-large", f"a requirement of more than {LONGEST_LINE:,} characters", "say it shorter")
        return None
    try:
        found = _PLAIN.fullmatch(text)
        if found is not None and (plain := _plain(found, where)) is not None:
            return plain
        return _by_packaging(text, where, document, asked)
    except InvalidInput as error:
        asked.refused(error, where)
        return None


def read_line(text: str, where: Where, document: Document, asked: Asked) -> PypiRequirement | None:
    """What may stand on a line of a requirements file: also a bare address or path.

    Returns:
        The requirement, or None after a finding.
    """
    text = text.rstrip().removesuffix(";")  # pip takes a marker that says nothing
    address = is_address(text)
    before_at = text.partition("@")[0].strip()
    if not address and ("@" in text and re.fullmatch(r"[A-Za-z0-9._-]+\s*(?:\[[^\]]*\])?", before_at)):
        return read_requirement(text, where, document, asked)
    split = re.split(r"\s;\s*|;\s+" if address else r"\s*;\s*", text, maxsplit=1)
    if not address and not is_path(split[0].strip()):
        return read_requirement(text, where, document, asked)
    asked.more(where)
    try:
        place = read_place(split[0].strip(), document)
        markers = marker(split[1]) if len(split) > 1 and split[1].strip() else None
        if place.name is None:
            raise _nameless(split[0].strip(), address)
        return _with_place(place.name, place.extras, markers, place, where, asked)
    except InvalidInput as error:
        asked.refused(error, where)
        return None


def marker(text: str) -> str:
    """A PEP 508 marker as ``packaging`` writes it.

    Raises:
        InvalidInput: ``bad-marker``.
    """
    from packaging.markers import InvalidMarker, Marker

    try:
        return spelling.marker(str(Marker(text)))
    except (InvalidMarker, RecursionError):
        raise InvalidInput(
            f"{text.strip()[:80]!r} is not a marker (PEP 508)",
            reference="bad-marker",
            hint="write for example: sys_platform == 'linux'",
        ) from None


def _nameless(text: str, address: bool) -> InvalidInput:
    """A source without a name: pip would build it to find out."""
    last = re.split(r"[/@#]", re.sub(r"(?:\.git)?(?:@[^/]*)?/*(?:#.*)?$", "", text))[-1]
    name = last if address and re.fullmatch(r"[A-Za-z][A-Za-z0-9._-]+", last) else "name"
    hint = (
        f"write `{name} @ {text[:100]}`"
        if address
        else f"add `#egg=name`, or say `{{path: {text[:60]}}}` in the recipe"
    )
    return InvalidInput(
        f"{text[:80]!r} does not say which package it is, and nothing is built to find out",
        reference="no-name",
        hint=hint,
    )


def _plain(found: re.Match[str], where: Where) -> PypiRequirement | None:
    """A name and versions; None when ``packaging`` must judge."""
    try:
        name = spelling.pypi_name(found["name"])
        extras = {spelling.pypi_name(item.strip()) for item in found["extras"].split(",")} if found["extras"] else set()
        version = spelling.pypi_constraint(found["version"])
    except InvalidInput:
        return None
    return PypiRequirement(name=name, version=version, extras=tuple(sorted(extras)), where=where)


def _by_packaging(text: str, where: Where, document: Document, asked: Asked) -> PypiRequirement:
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        found = Requirement(text)
    except (InvalidRequirement, RecursionError) as error:
        raise _not_one(text, error) from None
    name = spelling.pypi_name(found.name)
    extras = tuple(sorted({spelling.pypi_name(item) for item in found.extras}))
    markers = spelling.marker(str(found.marker)) if found.marker else None
    if found.url is not None:
        place = read_place(found.url, document)
        if place.name is not None and place.name != name:
            asked.note(
                where, "no-meaning", f"the address names the package {place.name}, and the line {name}: that counts"
            )
        return _with_place(name, (*extras, *place.extras), markers, place, where, asked)
    version = spelling.pypi_constraint(str(found.specifier))
    return PypiRequirement(name=name, version=version, extras=extras, markers=markers, where=where)


def _with_place(
    name: str, extras: tuple[str, ...], markers: str | None, place: Place, where: Where, asked: Asked
) -> PypiRequirement:
    if place.lost:
        asked.note(where, "lost", f"`{place.lost}` of the address is left out: a sha256 is what counts")
    return PypiRequirement(
        name=name, extras=tuple(sorted({*extras})), markers=markers, source=place.source, where=where
    )


def _not_one(text: str, error: BaseException) -> InvalidInput:
    """What is wrong with a line, in words that help."""
    shown = text if len(text) <= 60 else text[:57] + "..."
    hint = "write for example: numpy>=1.26,<2"
    name = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*(?:\[[^\]]*\])?", text)
    rest = text[name.end() :].strip() if name else ""
    if name and (single := re.fullmatch(r"=\s*([0-9][0-9A-Za-z.*]*)(?:=\S+)?", rest)):
        hint = f"write {name[0]}=={single[1]}: one `=` is conda's"
    elif name and re.match(r"[0-9]", rest):
        hint = f"write {name[0]}=={rest.split()[0]}"
    elif name and (bare := re.match(r"(>=|<=|>|<|~=)\s*([0-9][0-9.]*)\.\*", rest)):
        hint = f"write {name[0]}{bare[1]}{bare[2]}: `.*` goes with == and != only"
    elif name and rest.startswith("^"):
        hint = "a caret is poetry's: write a range, such as >=1.2,<2"
    elif text.startswith(("<<<<<<<", ">>>>>>>", "=======")):
        return InvalidInput(
            "the file holds an unresolved merge conflict", reference="merge-conflict", hint="resolve it"
        )
    if not text.isascii():
        hint = "it holds characters outside of ASCII that may only look alike: type it anew"
    if isinstance(error, RecursionError):
        hint = "its marker is nested too deeply"
    return InvalidInput(f"{shown!r} is not a requirement", reference="bad-requirement", hint=hint)
