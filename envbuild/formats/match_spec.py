"""One conda requirement in any of the spellings that conda takes, as a recipe's requirement.

``numpy``, ``numpy=1.21``, ``numpy==1.21``, ``numpy 1.21.*``, ``numpy>=1.21,<2``, ``numpy=1.21=py39_0``,
``conda-forge::numpy``, ``numpy[version='>=1.21', build='py39*']``, and a package's own address.

Theory: a spec is a channel before ``::``, a name, a rest in words, and fields in brackets that win over the rest. What
the rest means is ``envbuild.solvers.conda_spec``'s to say, as for a recipe's own lines: ``=1.21`` is the series,
``1.21`` and ``==1.21`` exactly that, and a third part is the build.

Rules of the file: findings go to ``Asked``; a spec that cannot be read asks for nothing.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

from envbuild.digest import Digest, parse_digest
from envbuild.errors import InvalidInput, Where
from envbuild.formats.asked import Asked
from envbuild.pattern import pattern
from envbuild.reading import spelling
from envbuild.reading.places import check_channel_name, check_url
from envbuild.recipe import CondaRequirement

LONGEST_SPEC = 1000
"""Characters that one spec may have."""

_SPEC = pattern(
    r"(?:(?P<channel>[^\s\[\]]*?)::)?(?P<name>[^\s=<>!~\[\]:,|]+)\s*(?P<rest>[^\[\]]*?)\s*(?P<fields>\[.*\])?"
)
_FIELD = pattern(r"\s*([a-z_][a-z0-9_]*)\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^,\s\"'\[\]]+))\s*(?:,|$)")
_FILE = pattern(r"(?P<name>.+)-(?P<version>[^-]+)-(?P<build>[^-]+)\.(?:conda|tar\.bz2)")
_SYSTEM = pattern(r"(__[a-z0-9_]+)\s*(?P<sign>===?|=|>=)?\s*(?P<version>[^\s=<>!~,|]*)\s*(?:[=\s]\s*(?P<build>\S+))?")


def read_match_spec(text: str, where: Where, asked: Asked) -> CondaRequirement | None:
    """A conda requirement, or None after a finding.

    Args:
        text: One spec.
        where: Its place.
        asked: Where findings and notes go.
    """
    asked.more(where)
    text = text.strip()
    try:
        if len(text) > LONGEST_SPEC:
            raise InvalidInput("this is too long for a conda package", reference="too-large")
        if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", text) and "::" not in text:
            return _file(text, where)
        found = _SPEC.fullmatch(text)
        if found is None:
            raise _bad(text)
        if "*" in found["name"] or found["name"].startswith("^"):
            raise InvalidInput(
                f"{found['name'][:60]!r} is a pattern, and a requirement names one package", reference="bad-name"
            )
        fields = _fields(found["fields"], text, where, asked)
        channel = _channel(fields.get("channel") or found["channel"], text)
        if "url" in fields:
            return _file(fields["url"], where, fields.get("sha256"))
        version, build = conda_words(fields.get("version") or found["rest"])
        return CondaRequirement(
            name=spelling.conda_name(found["name"]),
            version=version,
            build=_build(fields["build"]) if "build" in fields else build,
            channel=channel,
            where=where,
        )
    except InvalidInput as error:
        asked.refused(error, where)
        return None


def conda_words(text: str) -> tuple[str, str | None]:
    """What stands behind a name, as (version, build).

    Raises:
        InvalidInput: ``bad-version``.
    """
    text = text.strip()
    # `=1.2.*=py*_0` and `==1.2=0`: a build behind a version that has an operator or a star of its own.
    if found := re.fullmatch(r"(={0,2})\s*([0-9A-Za-z][^=<>!~,|\s]*\*?)\s*=\s*([0-9A-Za-z_.+*-]+)", text):
        version, _ = spelling.conda_constraint(found[2])
        return version, None if found[3] == "*" else found[3]
    if found := re.fullmatch(r"=\s*\*\s*=\s*([0-9A-Za-z_.+*-]+)|\*\s+([0-9A-Za-z_.+*-]+)", text):
        return "", found[1] or found[2]
    if text in {"=", "=="}:
        raise InvalidInput(f"{text!r} is not a version constraint of conda", reference="bad-version")
    return spelling.conda_constraint(text)


def read_system(text: str, where: Where, asked: Asked) -> None:
    """A virtual package with its version, such as ``__cuda==12.4`` or ``__glibc=2.28=0``: what machines are to have."""
    found = _SYSTEM.fullmatch(text.strip())
    if found is None or not found["version"]:
        asked.issue(
            where,
            "bad-value",
            f"{text[:60]!r} does not say which version of a virtual package is assumed",
            'write for example: __cuda==12.4 (in a recipe `system: {__cuda: "12.4"}`)',
        )
        return
    version = found["version"].removesuffix("*").rstrip(".")
    if found[1] == "__archspec" and found["build"]:
        version = found["build"]
    name = asked.take(found[1], spelling.system_name, where)
    value = asked.take(version, spelling.system_version, where)
    if name is None or value is None:
        return
    if asked.system.get(name, value) != value:
        asked.issue(
            where, "requirements-disagree", f"{name} is {asked.system[name]} in one line and {value} here", "keep one"
        )
    asked.system[name] = value


def _bad(text: str) -> InvalidInput:
    return InvalidInput(
        f"{text[:60]!r} is not a conda requirement",
        reference="bad-requirement",
        hint="write for example: numpy=1.26, numpy>=1.26,<2, conda-forge::numpy",
    )


def _fields(text: str | None, whole: str, where: Where, asked: Asked) -> dict[str, str]:
    """What stands in brackets."""
    fields: dict[str, str] = {}
    inside, position = (text or "[]")[1:-1].strip(), 0
    while position < len(inside):
        found = _FIELD.match(inside, position)
        if found is None:
            raise _bad(whole)
        fields[found[1]] = next(group for group in found.groups()[1:] if group is not None)
        position = found.end()
    for name in fields:
        if name == "md5":
            asked.note(where, "lost", "an md5 proves nothing and is left out: the lock holds the sha256")
        elif name == "sha256" and "url" not in fields:
            asked.note(where, "lost", "a sha256 without an address is left out: name the file with `url=`")
        elif name not in {"version", "build", "channel", "url", "sha256"}:
            raise InvalidInput(
                f"`{name}` in brackets cannot be asked for",
                reference="not-available",
                hint="version, build, channel, url and sha256 can",
            )
    return fields


def _channel(text: str | None, whole: str) -> str | None:
    """The channel before ``::``."""
    if text is None or not text.strip(":"):
        return None
    text = text.rstrip(":")
    if "://" in text:
        return check_url(text).rstrip("/")
    if re.search(r"/(?:noarch|(?:linux|osx|win)-[a-z0-9_]+)$", text):
        raise InvalidInput(
            f"{whole[:60]!r} names a platform's folder of a channel",
            reference="not-available",
            hint="name the channel alone; what is for one platform goes under `targets:`",
        )
    return check_channel_name(text)


def _build(text: str) -> str | None:
    if not re.fullmatch(r"[0-9A-Za-z_.+*-]+", text):
        raise InvalidInput(f"{text[:60]!r} is not a build string", reference="bad-version", hint="such as py39*_0")
    return None if text == "*" else text


def _file(text: str, where: Where, sha256: str | None = None) -> CondaRequirement:
    """A package by its address; ``#`` begins its sha256 (or an md5, as explicit files have it)."""
    address, _, fragment = text.partition("#")
    url = check_url(address)
    found = _FILE.fullmatch(unquote(url.rpartition("/")[2]))
    if found is None:
        raise InvalidInput(
            "this is no conda package",
            reference="bad-url",
            hint="the address ends in name-version-build.conda or .tar.bz2",
        )
    digest = sha256 or (fragment.removeprefix("sha256:") if len(fragment.removeprefix("sha256:")) == 64 else None)
    return CondaRequirement(
        name=spelling.conda_name(found["name"]),
        url=url,
        sha256=None if digest is None else Digest(parse_digest(digest)),
        where=where,
    )
