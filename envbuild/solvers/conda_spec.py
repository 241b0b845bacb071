"""Version constraints as conda users write them, in the one form that the solver takes.

A bare version means exactly that one (``1.21.5`` is ``==1.21.5``; conda takes ``1.26`` for ``1.26.0`` too); one equals
sign means the series (``=1.21`` is ``1.21.*``), as on conda's command line. A second word is the build string.

Rules of the file: text in, text out; no engine is imported, and nothing is guessed: what cannot be read is an error.
"""

from __future__ import annotations

import re

from envbuild.errors import InvalidInput, Where
from envbuild.pattern import pattern
from envbuild.recipe import CondaRequirement

_OPERATORS = ("===", "==", "!=", "~=", ">=", "<=", "=", ">", "<")
_VERSION = pattern(r"[0-9A-Za-z](?:[0-9A-Za-z._+!-]|\.\*)*\*?|\*")
_BUILD = pattern(r"[0-9A-Za-z_.+*-]+")
_EXACT_WITH_BUILD = pattern(r"={0,2}([^=<>!~,|*\s]+)=([0-9A-Za-z_.+*-]+)")
_NAME = pattern(r"_?[a-z0-9][a-z0-9._-]*")


def normalize_conda(text: str, where: Where | None = None) -> tuple[str, str | None]:
    """A constraint as written, as (version, build).

    Args:
        text: What stands after the name: ``1.26.*``, ``=1.21``, ``>=1,<2``, ``1.26.* *cuda*``; empty or ``*`` for any.
        where: The place to name in an error.

    Returns:
        The version constraint, empty for any, and the build's glob or None.

    Raises:
        InvalidInput: ``bad-version`` when it is no constraint.
    """
    text = re.sub(r"\s*([,|])\s*", r"\1", text.strip())
    text = re.sub(r"(===|==|!=|~=|>=|<=|=|>|<)\s+", r"\1", text)
    if exact := _EXACT_WITH_BUILD.fullmatch(text):
        return _pieces(f"=={exact[1]}", where), _build(exact[2], where)
    words = text.split()
    if len(words) > 1 and all(word.startswith(("=", "!", "~", ">", "<")) for word in words[1:]):
        words = [",".join(words)]
    if len(words) > 2:
        raise _bad(text, where)
    version = _pieces(words[0], where) if words else ""
    return version, _build(words[1], where) if len(words) == 2 else None


def _pieces(text: str, where: Where | None) -> str:
    """Alternatives (``|``) of conjunctions (``,``), each piece normalized and sorted where order says nothing."""
    alternatives = []
    for alternative in text.split("|"):
        pieces = sorted({_piece(piece, where) for piece in alternative.split(",")})
        alternatives.append(",".join(piece for piece in pieces if piece != "*") or "*")
    if "*" in alternatives:
        return ""
    return "|".join(dict.fromkeys(alternatives))


def _piece(text: str, where: Where | None) -> str:
    operator = next((item for item in _OPERATORS if text.startswith(item)), "")
    version = text[len(operator) :]
    if not _VERSION.fullmatch(version):
        raise _bad(text, where)
    if version == "*":
        return "*"
    if operator in {"", "=", "=="} and version.endswith("*"):
        return version.removesuffix("*").rstrip(".") + ".*"
    if operator == "=":
        return version + ".*"
    if operator in {"", "==", "==="}:
        return "==" + version
    if operator in {">=", "<=", ">", "<", "~="}:
        version = version.removesuffix(".*")
        if "*" in version:
            raise _bad(text, where)
    return operator + version


def _build(text: str, where: Where | None) -> str | None:
    if not _BUILD.fullmatch(text):
        raise _bad(text, where)
    return None if text == "*" else text


def _bad(text: str, where: Where | None) -> InvalidInput:
    return InvalidInput(
        f"{text!r} is not a version constraint of conda",
        reference="bad-version",
        where=where,
        hint='write for example "1.26.*", ">=1,<2", "==1.26.4" or "1.26.* *cuda*"',
    )


def check_conda_name(name: str, where: Where | None = None) -> str:
    """A conda package's name, lower case.

    Raises:
        InvalidInput: ``bad-name``.
    """
    lower = name.lower()
    if len(lower) > 128 or not lower.isascii() or not _NAME.fullmatch(lower):
        raise InvalidInput(f"{name!r} is not the name of a conda package", reference="bad-name", where=where)
    return lower


def match_spec(requirement: CondaRequirement, channel: str | None = None) -> str:
    """The requirement in the bracket form that the solver takes.

    Args:
        requirement: Its version normalized by ``normalize_conda``.
        channel: Address of the channel that it must come from, when it names one.
    """
    fields = [
        ("version", requirement.version),
        ("build", requirement.build),
        ("channel", channel),
        ("url", requirement.url),
        ("sha256", requirement.sha256 if requirement.url else None),
    ]
    inside = ",".join(f'{name}="{value}"' for name, value in fields if value)
    return f"{requirement.name}[{inside}]" if inside else requirement.name


def spoken(requirement: CondaRequirement) -> str:
    """The requirement as a person would say it: ``pytorch::numpy >=2``."""
    words = [requirement.name, requirement.version, requirement.build or "", requirement.url or ""]
    name = " ".join(word for word in words if word)
    return f"{requirement.channel}::{name}" if requirement.channel else name
