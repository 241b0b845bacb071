"""An engine's refusal in terms of the recipe's own lines.

The engine's explanation is kept word for word, but for what means nothing to the user: addresses that the machine's
configuration knew turn into the recipe's words, scratch files and credentials disappear. Below it stands each
requirement of the recipe that the explanation names, with its place.

Rules of the file: text in, an error out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from envbuild.errors import Issue, UnsatisfiableError, Where
from envbuild.package import Platform
from envbuild.pattern import pattern

_CREDENTIALS = pattern(r"(?<=://)[^/@\s]+@")
_STUB = pattern(r"\s*@?\s*\(?(?:from )?file://\S*/stubs/\S*?\.whl\)?|\S*/stubs/\S*?\.whl")
_SECRET_QUERY = pattern(r"(https?://[^\s?)'`]+)\?[^\s)'`]*")
_MAX_TEXT = 6000

PROJECT = "envbuild-recipe"
"""What the request is called where an engine wants a name for it."""


def clean(text: str, words: Mapping[str, str]) -> str:
    """An engine's text without credentials, scratch files and configured addresses.

    Args:
        text: What the engine said.
        words: Address to the recipe's word for it; the longest address is replaced first.
    """
    text = _STUB.sub("", text).replace(f"{PROJECT} depends on", "you require")
    for address in sorted(words, key=len, reverse=True):
        bare = address.rstrip("/")
        if bare and bare != words[address]:
            text = text.replace(bare + "/", words[address] + "/").replace(bare, words[address])
    text = _CREDENTIALS.sub("", text)
    text = _SECRET_QUERY.sub(r"\1", text)
    lines = [re.sub(r"^(error: | *cause: )", "", line.rstrip()) for line in text.strip().splitlines()]
    text = "\n".join(lines)
    return text if len(text) <= _MAX_TEXT else text[:_MAX_TEXT] + "\n…"


def unsatisfiable(
    text: str,
    *,
    platform: Platform,
    asked: Iterable[tuple[str, str, Where | None]],
    words: Mapping[str, str] | None = None,
    reference: str = "unsatisfiable",
    hint: str | None = None,
) -> UnsatisfiableError:
    """The error for a request without a solution.

    Args:
        text: The engine's explanation.
        platform: What was solved for.
        asked: Each requirement of the request as (name, as a person says it, place).
        words: See ``clean``.
        reference: Another one than ``unsatisfiable``, for a special case.
        hint: What to do.
    """
    told = clean(text, words or {})
    named = [item for item in dict.fromkeys(asked) if mentions(told, item[0])]
    lines = [f"{place}: {spoken}" if place else f"{spoken}" for _, spoken, place in named]
    message = f"nothing satisfies the request for {platform}:\n{told}"
    if lines:
        message += "\nwhat the recipe asks:\n" + "\n".join(f"  {line}" for line in lines)
    where = next((place for _, _, place in named if place), None)
    issues = tuple(
        Issue(message=f"{spoken}: part of what cannot be satisfied", reference=reference, where=place)
        for _, spoken, place in named
        if place and place != where
    )
    error = UnsatisfiableError(message, reference=reference, where=where, hint=hint)
    error.issues = (Issue(message=message, reference=reference, where=where, hint=hint), *issues) if issues else ()
    return error


def mentions(text: str, name: str) -> bool:
    """Whether a text names a package, in either spelling of its dashes."""
    pattern = "[-_.]".join(re.escape(part) for part in re.split(r"[-_.]", name))
    return re.search(rf"(?<![\w.-]){pattern}(?![\w-])", text, re.IGNORECASE) is not None
