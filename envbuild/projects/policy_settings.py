"""``policy`` in a configuration: from a node to a policy.

Rules of the file: nothing is opened; a wrong node is an issue with its place. What a range of versions means is asked
only where locks are held against it, for its engine is slow to come.
"""

from __future__ import annotations

from envbuild.errors import InvalidInput
from envbuild.pattern import pattern
from envbuild.policy import EXCEPTIONS, Forbidden, Licenses, Policy
from envbuild.reading import places
from envbuild.reading.cutoff import cut_off_text
from envbuild.reading.document import Mapping, Node, Scalar, entries, items, optional_boolean, text

_SIZE = pattern(r"([0-9]{1,6})(?:\.([0-9]{1,3}))?\s*([kMGT]?)B?")
_FACTORS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_PACKAGE = pattern(r"[A-Za-z0-9_][A-Za-z0-9._-]*\s*(?:[<>=!~*0-9 ].*)?")
_PATTERN = pattern(r"[A-Za-z0-9._*?-]{1,100}")


def read_policy(node: Node) -> Policy:
    """The setting of one file or variable; the schema has said that it is a mapping.

    Raises:
        InvalidInput: ``bad-value``, ``bad-package``, ``bad-time``, ``bad-url``, ``bad-name``.
    """
    assert isinstance(node, Mapping)
    age, size, signed = node.get("min-age"), node.get("max-size"), optional_boolean(node.get("signed-base"))
    return Policy(
        channels=_listed(node, "channels", _channel),
        indices=_listed(node, "indices", _index),
        licenses=_licenses(node.get("licenses")),
        forbidden=tuple(_forbidden(item) for item in items(node.get("forbidden"))),
        max_size=_size(text(size)) if size is not None else None,
        min_age=_age(text(age)) if age is not None else None,
        source_builds=_source_builds(node),
        signed_base=bool(signed),
        exceptions=tuple(
            sorted((key.text, tuple(_pattern(text(name)) for name in items(item))) for key, item in _exceptions(node))
        ),
    )


def _listed(node: Mapping, key: str, one: type[str] | object) -> tuple[str, ...] | None:
    """A list of what is allowed; one that is empty allows nothing, one that is absent everything."""
    found = node.get(key)
    assert callable(one)
    return None if found is None else tuple(dict.fromkeys(one(text(item)) for item in items(found)))


def _channel(word: str) -> str:
    if "://" in word:
        return places.check_url(word, places.WITH_FILES).rstrip("/")
    return word.rstrip("/") if word.startswith(".") else places.check_channel_name(word)


def _index(word: str) -> str:
    if "://" in word:
        return places.check_url(word, places.WITH_FILES).rstrip("/")
    if word == "default" or word.startswith("."):
        return word.rstrip("/")
    raise InvalidInput(
        f"{word[:80]!r} is no address of an index, and a recipe may give any address that name",
        reference="bad-value",
        hint="write its address, or `default` for what machines ask unless told otherwise",
    )


def _licenses(node: Node | None) -> Licenses:
    if node is None:
        return Licenses()
    if not isinstance(node, Mapping):
        return Licenses(allow=tuple(text(item) for item in items(node)))
    allow, unknown = node.get("allow"), node.get("unknown")
    return Licenses(
        allow=tuple(text(item) for item in items(allow)) if allow is not None else None,
        deny=tuple(sorted(text(item) for item in items(node.get("deny")))),
        unknown=text(unknown) if unknown is not None else "warn",
    )


def _forbidden(node: Node) -> Forbidden:
    assert isinstance(node, Scalar)
    if not _PACKAGE.fullmatch(node.text):
        raise InvalidInput(
            f"{node.text[:80]!r} is no package with versions", reference="bad-package", hint='write "openssl<3.0.8"'
        )
    return Forbidden(text=node.text, where=node.where)


def _size(words: str) -> int:
    found = _SIZE.fullmatch(words.strip())
    if found is None:
        raise InvalidInput(f"{words[:40]!r} is no size", reference="bad-value", hint="write for example 2GB or 500MB")
    whole, part, unit = found.groups()
    return int(whole) * _FACTORS[unit] + (int(part) * _FACTORS[unit] // 10 ** len(part) if part else 0)


def _age(words: str) -> str:
    age = cut_off_text(words)
    if age[-1] not in "hdw":
        raise InvalidInput(f"{words[:40]!r} is no age", reference="bad-time", hint="write for example 7d, 48h or 2w")
    return age


def _source_builds(node: Mapping) -> tuple[str, ...] | None:
    found = node.get("source-builds")
    if found is None:
        return None
    if isinstance(found, Scalar) and isinstance(allowed := found.value(), bool):
        return None if allowed else ()
    return tuple(_pattern(text(item)) for item in items(found))


def _exceptions(node: Mapping) -> tuple[tuple[Scalar, Node], ...]:
    found = entries(node.get("except"))
    assert all(key.text in EXCEPTIONS for key, _ in found)  # says the schema
    return found


def _pattern(word: str) -> str:
    if not _PATTERN.fullmatch(word):
        raise InvalidInput(
            f"{word[:80]!r} is no pattern of package names", reference="bad-value", hint='write for example "team-*"'
        )
    return word
