"""What a project allows in its locks: a value, made of what configuration files say under ``policy:``.

Theory: a policy only forbids. What several files say of it adds up, so that a project's file cannot loosen what its
reader's own files, or those of a machine that checks, want: lists of what is allowed are cut to what all of them allow,
lists of what is not are joined, and of two bounds the tighter one holds.

Rules of the file: pure; who holds a lock against it is ``envbuild.review.policy``.
"""

from __future__ import annotations

from dataclasses import field
from fnmatch import fnmatchcase

from envbuild.errors import Where
from envbuild.value import dataclass

UNKNOWN = ("allow", "warn", "deny")
"""What becomes of a package whose licence is not known, from loose to tight."""

EXCEPTIONS = ("channels", "indices", "licenses", "forbidden", "min-age", "source-builds")
"""What can have exceptions."""

_UNITS = {"h": 1, "d": 24, "w": 168}


@dataclass(frozen=True, slots=True, kw_only=True)
class Licenses:
    """Which licences are allowed.

    Attributes:
        allow: SPDX identifiers, or wordings as locks have them; None for all.
        deny: Likewise, never allowed.
        unknown: What becomes of a package that says none, or one that is no SPDX expression.
    """

    allow: tuple[str, ...] | None = None
    deny: tuple[str, ...] = ()
    unknown: str = "warn"

    @property
    def says(self) -> bool:
        """Whether anything is wanted."""
        return self.allow is not None or bool(self.deny) or self.unknown == "deny"


@dataclass(frozen=True, slots=True, kw_only=True)
class Forbidden:
    """A package that may not be locked: ``openssl<3.0.8``, and where that is said."""

    text: str
    where: Where | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What is allowed; nothing is forbidden by default.

    Attributes:
        channels: Channels that conda packages may come from; None for any. ``indices`` likewise for wheels and sdists:
            ``default`` or addresses.
        max_size: Bytes that the packages of one environment may have together.
        min_age: ``7d``: how long ago a package must have been released.
        source_builds: False when nothing may be built from source, names that may be, None for all.
        signed_base: Whether environments that recipes extend by name must be signed.
        exceptions: Patterns of package names, by what they are an exception from.
    """

    channels: tuple[str, ...] | None = None
    indices: tuple[str, ...] | None = None
    licenses: Licenses = Licenses()
    forbidden: tuple[Forbidden, ...] = ()
    max_size: int | None = None
    min_age: str | None = None
    source_builds: tuple[str, ...] | None = None
    signed_base: bool = False
    exceptions: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def excepted(self, rule: str, name: str) -> bool:
        """Whether a package is an exception from a rule."""
        return any(fnmatchcase(name, pattern) for key, found in self.exceptions if key == rule for pattern in found)

    def tightened(self, other: Policy) -> Policy:
        """What both of two policies allow. An exception counts where it stands, unless the other has the rule too."""
        mine, theirs = dict(self.exceptions), dict(other.exceptions)
        exceptions = {
            rule: found
            for rule in EXCEPTIONS
            if (found := _exceptions(mine.get(rule, ()), self.rules, theirs.get(rule, ()), other.rules, rule))
        }
        return Policy(
            channels=_both(self.channels, other.channels),
            indices=_both(self.indices, other.indices),
            licenses=Licenses(
                allow=_both(self.licenses.allow, other.licenses.allow),
                deny=tuple(sorted({*self.licenses.deny, *other.licenses.deny})),
                unknown=max(self.licenses.unknown, other.licenses.unknown, key=UNKNOWN.index),
            ),
            forbidden=tuple(dict.fromkeys((*self.forbidden, *other.forbidden))),
            max_size=min((size for size in (self.max_size, other.max_size) if size is not None), default=None),
            min_age=max((age for age in (self.min_age, other.min_age) if age), key=hours, default=None),
            source_builds=_both(self.source_builds, other.source_builds),
            signed_base=self.signed_base or other.signed_base,
            exceptions=tuple(sorted(exceptions.items())),
        )

    @property
    def rules(self) -> frozenset[str]:
        """What it says anything of, among what can have exceptions."""
        said = {
            "channels": self.channels is not None,
            "indices": self.indices is not None,
            "licenses": self.licenses.says,
            "forbidden": bool(self.forbidden),
            "min-age": self.min_age is not None,
            "source-builds": self.source_builds is not None,
        }
        return frozenset(rule for rule, has in said.items() if has)

    def __str__(self) -> str:
        """What it says anything of, for ``config list``."""
        bounds = {"max-size": self.max_size is not None, "signed-base": self.signed_base}
        return ", ".join(sorted({*self.rules, *(name for name, has in bounds.items() if has)})) or "none"


def hours(age: str) -> int:
    """An age such as ``7d`` in hours."""
    return int(age[:-1]) * _UNITS[age[-1]]


def _both(one: tuple[str, ...] | None, other: tuple[str, ...] | None) -> tuple[str, ...] | None:
    if one is None or other is None:
        return other if one is None else one
    return tuple(item for item in one if item in other)


def _exceptions(
    mine: tuple[str, ...], my_rules: frozenset[str], theirs: tuple[str, ...], their_rules: frozenset[str], rule: str
) -> tuple[str, ...]:
    """A rule that only one of both has keeps its exceptions; of a rule that both have, those that both name."""
    if rule in my_rules and rule in their_rules:
        return tuple(item for item in mine if item in theirs)
    return mine if rule in my_rules else theirs if rule in their_rules else ()
