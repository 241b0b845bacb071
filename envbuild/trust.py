"""Whom results and names are believed: the keys that may sign, and how many of them must have signed what.

Theory: a signature is a key's word for the exact bytes of a record or of a generation of a name. A key is known by its
digest; the name beside it in a configuration is a label for people and decides nothing. What is wanted of a subject
(``results/build-wheel``, ``names/prod/train:stable``, ``requests/ann``) says the longest pattern of ``scopes`` that
fits, else the policy itself. What a project says is a policy beside the reader's own: of both, more signatures are
wanted, so that no project can loosen anything, whatever its patterns are.

A key that has a ``not-after`` counts until then by the reader's own clock: whoever stole a key could date a signature
back, so when something was signed is nowhere asked.

Rules of the file: pure; the clock is an argument.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import field
from datetime import datetime, timezone
from functools import cache
from typing import Literal

from envbuild.names import Name
from envbuild.pattern import pattern
from envbuild.value import dataclass, replace

MODES = ("hash", "signed", "strict")
"""From loose to tight."""

Mode = Literal["hash", "signed", "strict"]

_ALGORITHM = "ed25519"
_LABEL = pattern(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_PATTERN = pattern(r"(?:results|names|requests)(?:/(?:\*\*|[a-z0-9._:*-]+)){1,10}|\*\*")


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicKey:
    """An ed25519 public key: 32 bytes, in one line ``ed25519:<base64>``."""

    raw: bytes = field(repr=False)

    @property
    def keyid(self) -> str:
        """What it is known by: the sha256 of its bytes, 64 hexadecimal digits."""
        return hashlib.sha256(self.raw).hexdigest()

    def __str__(self) -> str:
        return f"{_ALGORITHM}:{base64.b64encode(self.raw).decode()}"


def parse_public_key(text: str) -> PublicKey:
    """A public key from its line.

    Raises:
        ValueError: What is wrong, in words.
    """
    algorithm, colon, encoded = text.strip().partition(":")
    if not colon or algorithm != _ALGORITHM:
        raise ValueError(f"a public key begins with {_ALGORITHM}:")
    try:
        raw = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != 32 or base64.b64encode(raw).decode() != encoded:
        raise ValueError("what follows is not 32 bytes in base64")
    return PublicKey(raw=raw)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedKey:
    """A key that may sign.

    Attributes:
        name: What people call it; decides nothing.
        not_after: RFC 3339 UTC, whole seconds: from then on it does not count. None: it counts until it is removed.
    """

    name: str
    public: PublicKey
    not_after: str | None = None

    def counts(self, now: float) -> bool:
        """Whether it counts at a moment, in seconds since 1970."""
        if self.not_after is None:
            return True
        end = datetime.strptime(self.not_after, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
        return now < end.timestamp()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What is wanted of subjects that fit a pattern; None: what the policy says.

    Attributes:
        pattern: Of a subject: ``*`` is a part of a segment, ``**`` any segments.
        keys: Names of the only keys that count there.
    """

    pattern: str
    threshold: int | None = None
    keys: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is wanted of one subject: so many signatures, by different ones of these keys."""

    threshold: int
    keys: tuple[TrustedKey, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """The setting ``trust``.

    Attributes:
        said: The mode, where somebody said one.
        threshold: Signatures that are wanted, where somebody said how many.
        keys: By name, sorted.
        scopes: By pattern, sorted.
        project: What a project wants beside it; it has no keys.
    """

    said: Mode | None = None
    threshold: int | None = None
    keys: tuple[TrustedKey, ...] = ()
    scopes: tuple[Scope, ...] = ()
    project: Trust | None = None

    @property
    def mode(self) -> Mode:
        """``hash``, ``signed`` or ``strict``."""
        return self.said or "hash"

    def wanted(self, subject: str, now: float) -> Wanted:
        """What is wanted of a subject at a moment.

        Args:
            subject: See ``result_subject`` and ``name_subject``.
            now: Seconds since 1970, by this machine's clock.
        """
        scope = self.scope(subject)
        labels = scope.keys if scope is not None else None
        keys: dict[str, TrustedKey] = {}
        for key in self.keys:
            if (labels is None or key.name in labels) and key.counts(now):
                keys.setdefault(key.public.keyid, key)  # two labels of one key are one key
        threshold = self.signatures(subject)
        if self.project is not None:
            threshold = max(threshold, self.project.signatures(subject))
        return Wanted(threshold=threshold, keys=tuple(keys.values()))

    def scope(self, subject: str) -> Scope | None:
        """The longest pattern that fits."""
        fitting = [scope for scope in self.scopes if fits(scope.pattern, subject)]
        return max(fitting, key=lambda scope: (len(scope.pattern), scope.pattern), default=None)

    def signatures(self, subject: str) -> int:
        """How many are wanted of a subject, by this policy alone."""
        scope = self.scope(subject)
        if scope is not None and scope.threshold is not None:
            return scope.threshold
        return self.threshold or 1

    def over(self, below: Trust) -> Trust:
        """This, where it says something, and what stands below it elsewhere: keys and patterns are joined by name."""
        keys = {key.name: key for key in (*below.keys, *self.keys)}
        scopes = {scope.pattern: scope for scope in (*below.scopes, *self.scopes)}
        return Trust(
            said=self.said or below.said,
            threshold=self.threshold or below.threshold,
            keys=tuple(keys[name] for name in sorted(keys)),
            scopes=tuple(scopes[pattern] for pattern in sorted(scopes)),
            project=self.project or below.project,
        )

    def tightened(self, project: Trust) -> Trust:
        """This, with what a project wants beside it. Who calls has refused what would loosen."""
        return replace(self, said=project.said or self.said, project=replace(project, said=None, keys=()))

    def __str__(self) -> str:
        parts: list[str] = [self.mode]
        if self.threshold is not None:
            parts.append(f"threshold {self.threshold}")
        for key in self.keys:
            until = f" until {key.not_after}" if key.not_after else ""
            parts.append(f"{key.name} {key.public.keyid[:12]}{until}")
        for scope in (*self.scopes, *(self.project.scopes if self.project else ())):
            words = [f"threshold {scope.threshold}"] if scope.threshold is not None else []
            words += [f"keys {' '.join(scope.keys)}"] if scope.keys is not None else []
            parts.append(f"{scope.pattern}: {' '.join(words) or 'as everywhere'}")
        if self.project is not None and self.project.threshold is not None:
            parts.append(f"the project: threshold {self.project.threshold}")
        return ", ".join(parts)


def result_subject(kind: str) -> str:
    """What patterns of results are held against."""
    return f"results/{kind}"


def name_subject(name: Name) -> str:
    """What patterns of names are held against; the log of a request is ``requests/<user>``."""
    return f"requests/{name.tag}" if name.of_request else f"names/{name}"


def is_label(text: str) -> bool:
    """Whether a key may be called so."""
    return _LABEL.fullmatch(text) is not None


def is_pattern(text: str) -> bool:
    """Whether a text is a pattern of a scope."""
    return _PATTERN.fullmatch(text) is not None


def fits(pattern: str, subject: str) -> bool:
    """Whether a subject is one of those that a pattern means."""
    return _compiled(pattern).fullmatch(subject) is not None


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    text = ""
    segments = pattern.split("/")
    for number, segment in enumerate(segments):
        last = number == len(segments) - 1
        if segment == "**":
            text += ".+" if last else "(?:[^/]+/)*"
        else:
            text += "[^/]*".join(map(re.escape, segment.split("*"))) + ("" if last else "/")
    return re.compile(text)
