"""One generation of a name: what it means, and how it is stored.

Rules of the file: pure, but for the moment that a new one states; a body is strict JSON and says its own name, tag and
number.
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import field
from typing import Any

from envbuild.digest import Digest, digest_bytes, sealed, unique_names, unsealed
from envbuild.errors import IntegrityError
from envbuild.names import Name
from envbuild.package import PLATFORMS, Platform
from envbuild.pattern import pattern
from envbuild.value import dataclass

GENERATION_VERSION = 1
LARGEST = 64 << 10
"""Bytes that a generation may have."""

_HEX64 = pattern(r"[0-9a-f]{64}")
_NONCE = pattern(r"[0-9a-f]{32}")
_COMMIT = pattern(r"[0-9a-f]{40}|[0-9a-f]{64}")
_FIELDS = {"version", "name", "tag", "generation", "request", "environments", "previous", "nonce", "created"}
_PUBLISHED = {"commit", "by", "recipe", "dirty"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """What a name means: a request, and its environment on each platform; sorted by platform.

    Without an environment: nothing any more, and the request is the one that it meant before.
    """

    request: Digest
    environments: tuple[tuple[Platform, Digest], ...]

    @property
    def removed(self) -> bool:
        """Whether the name means nothing any more."""
        return not self.environments

    def __str__(self) -> str:
        if self.removed:
            return "nothing (removed)"
        return ", ".join(f"{platform} {self.request[:12]}:{digest[:12]}" for platform, digest in self.environments)


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """Where a generation came from that ``publish`` wrote.

    Attributes:
        commit: The commit that the recipe was published from, in hexadecimal digits.
        by: Who did, as this machine calls its user: for people, never for a decision.
        recipe: The recipe's path from the project's root.
        dirty: Whether files of the project differed from the commit.
    """

    commit: str
    by: str
    recipe: str
    dirty: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """One generation of a name.

    Attributes:
        number: From 1.
        previous: sha256 of the generation before; None for the first.
        created: RFC 3339 UTC, by the clock of whoever moved it: for people, never for a decision.
        data: Its own bytes. ``digest``: their sha256.
        published: Where it came from; None for one that was moved by hand, or rolled back.
    """

    name: Name
    number: int
    named: Named
    previous: Digest | None
    nonce: str
    created: str
    data: bytes = field(repr=False)
    digest: Digest
    published: Published | None = None


def object_name(name: Name, number: int) -> str:
    """Where a generation is, or would be."""
    place = f"requests/{name.path[2:]}" if name.of_request else f"refs/{name.path}"
    return f"{place}/@{name.tag}/{number:020}.json"


def to_bytes(
    name: Name, number: int, named: Named, previous: Digest | None, nonce: str, published: Published | None
) -> bytes:
    """A new generation as stored, with this moment in it."""
    tree: dict[str, Any] = {
        "version": GENERATION_VERSION,
        "name": name.path,
        "tag": name.tag,
        "generation": number,
        "request": named.request,
        "environments": dict(sorted(named.environments)),
        "previous": previous,
        "nonce": nonce,
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    if published is not None:
        tree["published"] = {name: getattr(published, name) for name in sorted(_PUBLISHED)}
    return sealed(json.dumps(tree, indent=1).encode() + b"\n")


def parse(data: bytes, name: Name, number: int) -> Generation:
    """A generation from its bytes.

    Raises:
        IntegrityError: ``bad-generation``.
    """
    try:
        tree = json.loads(unsealed(data), object_pairs_hook=unique_names)
        if (
            not isinstance(tree, dict)
            or tree.get("version") != GENERATION_VERSION
            or set(tree) - {"published"} != _FIELDS
        ):
            raise ValueError("it is of no shape that is known here")
        if (tree["name"], tree["tag"], tree["generation"]) != (name.path, name.tag, number):
            raise ValueError("it is that of another name or number")
        environments = tree["environments"]
        if not isinstance(environments, dict) or not set(environments) <= set(PLATFORMS):
            raise ValueError("its platforms are none")
        if not environments and (number == 1 or tree["name"].startswith("_/")):
            raise ValueError("it removes what was never there")
        first = tree["previous"] is None
        if first != (number == 1) or not _NONCE.fullmatch(tree["nonce"]):
            raise ValueError("it does not continue the one before")
        return Generation(
            name=name,
            number=number,
            named=Named(
                request=_hash(tree["request"]),
                environments=tuple(sorted((Platform(key), _hash(value)) for key, value in environments.items())),
            ),
            previous=None if first else _hash(tree["previous"]),
            nonce=tree["nonce"],
            created=_moment(tree["created"]),
            data=data,
            digest=digest_bytes(data),
            published=_published(tree["published"]) if "published" in tree else None,
        )
    except (ValueError, TypeError, RecursionError) as error:
        raise not_believed(name, number, str(error)) from None


def not_believed(name: Name, number: int, problem: str) -> IntegrityError:
    """A generation that is none, or does not continue the one before."""
    return IntegrityError(
        f"generation {number} of {name} cannot be believed: {problem}",
        reference="bad-generation",
        hint="restore that object of the store from a copy; nothing else makes up for it",
    )


def _hash(text: Any) -> Digest:
    if not isinstance(text, str) or not _HEX64.fullmatch(text):
        raise ValueError("it names no digest")
    return Digest(text)


def _published(tree: Any) -> Published:
    if not isinstance(tree, dict) or set(tree) != _PUBLISHED or not isinstance(tree["dirty"], bool):
        raise ValueError("it does not say where it came from")
    for told in ("by", "recipe"):
        if not isinstance(tree[told], str) or len(tree[told]) > 4096 or not tree[told].isprintable():
            raise ValueError("it does not say where it came from")
    if not isinstance(tree["commit"], str) or not _COMMIT.fullmatch(tree["commit"]):
        raise ValueError("it names no commit")
    return Published(commit=tree["commit"], by=tree["by"], recipe=tree["recipe"], dirty=tree["dirty"])


def _moment(text: Any) -> str:
    if not isinstance(text, str) or not re.fullmatch(r"[0-9TZ:-]{1,32}", text):
        raise ValueError("it says no time")
    return text
