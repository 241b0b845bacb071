"""A requirement as people type it on a command line, as the key and the value that a recipe has for it.

``numpy``, ``numpy>=1.26``, ``conda-forge::numpy=1.26`` for conda; ``requests[socks]>=2 ; sys_platform == 'linux'`` and
``name @ git+https://…`` for PyPI.

Rules of the file: text in, value out; every part passes the same grammar as in a recipe.
"""

from __future__ import annotations

from typing import Any

from envbuild.errors import InvalidInput, UsageError
from envbuild.pattern import pattern
from envbuild.reading import spelling
from envbuild.reading.places import check_channel_name, check_git_url, check_url
from envbuild.value import dataclass

_WORDS = pattern(
    r"(?P<name>[^\s=<>!~;@\[\]]+)\s*(?P<extras>\[[^\]]*\])?\s*(?P<version>[^;@]*?)\s*(?:@\s*(?P<url>[^;\s]+))?\s*"
    r"(?:;\s*(?P<markers>.+))?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TypedRequirement:
    """One requirement.

    Attributes:
        name: In its normal spelling.
        key: What stands before the colon: the name with its channel or extras.
        version: As typed; empty for any.
        extra: Further keys of a mapping: ``markers``, ``git``, ``url``.
    """

    name: str
    key: str
    version: str
    extra: tuple[tuple[str, str], ...] = ()

    def value(self) -> Any:
        """What the key's value says, as ``envbuild.reading.document.plain`` would."""
        if not self.extra:
            return self.version or None
        return {**({"version": self.version} if self.version else {}), **dict(self.extra)}


def parse_typed(words: str, ecosystem: str) -> TypedRequirement:
    """A requirement of a command line.

    Args:
        words: What was typed.
        ecosystem: ``conda`` or ``pypi``.

    Raises:
        UsageError: ``bad-requirement``.
    """
    found = _WORDS.fullmatch(words.strip())
    if found is None:
        raise UsageError(
            f"{words[:60]!r} is not a requirement", reference="bad-requirement", hint="such as 'numpy>=1.26'"
        )
    version = found["version"].strip()
    try:
        if ecosystem == "conda":
            if found["extras"] or found["url"] or found["markers"]:
                raise UsageError(
                    f"{words[:60]!r} is written for PyPI", reference="bad-requirement", hint="add it with --pypi"
                )
            channel, separator, name = found["name"].rpartition("::")
            name = spelling.conda_name(name)
            spelling.conda_constraint(version)
            key = f"{check_channel_name(channel)}::{name}" if separator else name
            return TypedRequirement(name=name, key=key, version=version)
        name, extras = spelling.pypi_requirement_name(found["name"] + (found["extras"] or ""))
        spelling.pypi_constraint(version)
        extra: list[tuple[str, str]] = []
        if found["url"]:
            extra += _source(found["url"])
        if found["markers"]:
            extra.append(("markers", found["markers"].strip()))
    except InvalidInput as error:
        raise UsageError(error.message, reference="bad-requirement", hint=error.hint) from None
    key = f"{name}[{','.join(extras)}]" if extras else name
    return TypedRequirement(name=name, key=key, version=version, extra=tuple(extra))


def _source(url: str) -> list[tuple[str, str]]:
    """The keys of a source: for ``git+https://host/x@rev#subdirectory=folder`` the three that a recipe has for it."""
    if not url.startswith("git+"):
        return [("url", check_url(url))]
    address, _, fragment = url.partition("#")
    scheme, separator, rest = address.partition("://")
    server, slash, path = rest.partition("/")
    path, sign, rev = path.rpartition("@") if "@" in path else (path, "", "")
    keys = [("git", check_git_url(scheme + separator + server + slash + path))]
    if sign:
        if not spelling.is_revision(rev):
            raise InvalidInput(f"{rev[:60]!r} is not a branch, tag or commit", reference="bad-name")
        keys.append(("rev", rev))
    for item in fragment.split("&") if fragment else ():
        name, _, value = item.partition("=")
        if name == "subdirectory":
            keys.append(("subdirectory", value))
        elif name != "egg":
            raise InvalidInput(
                f"#{item[:40]} means nothing here", reference="bad-url", hint="write #subdirectory=folder"
            )
    return keys
