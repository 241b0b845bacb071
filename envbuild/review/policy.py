"""A lock held against a policy: what breaks it, package by package.

Rules of the file: opens nothing; the clock is an argument. A breach says which package it is about; where
that stands in the file is found by whoever tells it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from envbuild.durations import span
from envbuild.errors import EnvbuildError, InvalidInput
from envbuild.lock import Lock, LockedEnvironment
from envbuild.package import CondaPackage, Platform, SourcePackage, Wheel
from envbuild.policy import Policy, hours
from envbuild.review.licenses import LicenseBook
from envbuild.value import dataclass

if TYPE_CHECKING:
    from envbuild.environments.affected import Asked

Package = CondaPackage | Wheel | SourcePackage
_NOT = ", which the policy does not allow"
_SHOWN = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """One thing in a lock that a rule is about.

    Attributes:
        rule: As in ``envbuild.review.findings``.
        package: None for what is about the whole environment.
        level: ``error`` or ``warning``; None for what is usual of the rule.
    """

    rule: str
    message: str
    platform: Platform
    package: Package | None = None
    level: str | None = None
    hint: str | None = None


class PolicyBook:
    """A policy, made ready to be held against many locks.

    Args:
        policy: What is allowed.
        now: The time at which ages are counted, with its zone.

    Raises:
        InvalidInput: ``bad-package``, when no engine knows the versions of what is forbidden, at its line.
    """

    def __init__(self, policy: Policy, now: datetime) -> None:
        self._policy = policy
        self._now = now
        self._licenses = LicenseBook(policy.licenses)
        self._forbidden = tuple(_asked(policy))
        self._names = {name for asked in self._forbidden for name in (asked.conda, asked.pypi)}
        checks: list[tuple[str, Callable[[Package, Mapping[str, str]], tuple[str, str, str | None] | None]]] = [
            ("channels", self._channel),
            ("indices", self._index),
            ("forbidden", self._forbids),
            ("min-age", self._age),
            ("source-builds", self._source),
        ]
        self._checks = tuple((rule, check) for rule, check in checks if rule in policy.rules)
        self._asks_licenses = "licenses" in policy.rules

    def breaches(self, lock: Lock) -> Iterator[Breach]:
        """What a lock breaks, platform by platform."""
        indices = {index.name: index.url for index in lock.indices}
        for environment in lock.platforms:
            yield from self._environment(environment, indices)

    def _environment(self, environment: LockedEnvironment, indices: Mapping[str, str]) -> Iterator[Breach]:
        own: tuple[Package, ...] = (*environment.conda, *environment.wheels, *environment.sources)
        built: tuple[Package, ...] = (*environment.build, *environment.build_sources)
        for package in (*own, *built) if self._checks else ():
            for rule, check in self._checks:
                said = check(package, indices)
                if said is not None and not self._policy.excepted(rule, package.name):
                    name, message, level = said
                    yield Breach(
                        rule=name, message=message, platform=environment.platform, package=package, level=level
                    )
        if self._asks_licenses:
            for package in own:
                yield from self._license(package, environment.platform)
        if self._policy.max_size is not None:
            yield from self._size(environment, own)

    def _channel(self, package: Package, _: Mapping[str, str]) -> tuple[str, str, str | None] | None:
        if not isinstance(package, CondaPackage):
            return None
        allowed = self._policy.channels or ()
        if package.channel is not None:
            if package.channel.rstrip("/") in allowed:
                return None
            return "forbidden-channel", f"{package.name} comes from the channel {package.channel}{_NOT}", None
        if package.url is not None and not _below(package.url, allowed):
            return (
                "forbidden-channel",
                f"{package.name} comes from {package.url}, in no channel that the policy allows",
                None,
            )
        return None

    def _index(self, package: Package, indices: Mapping[str, str]) -> tuple[str, str, str | None] | None:
        if isinstance(package, CondaPackage):
            return None
        allowed = self._policy.indices or ()
        if package.index is not None:
            address = indices.get(package.index, package.index).rstrip("/")
            if address in allowed:
                return None
            named = package.index if address == package.index.rstrip("/") else f"{package.index} ({address})"
            return "forbidden-index", f"{package.name} comes from the index {named}{_NOT}", None
        git = package.git if isinstance(package, SourcePackage) else None
        place = package.url or package.find_links or git
        if place is None or place.rstrip("/") in allowed or _below(place, allowed) or place.startswith("./"):
            return None
        return "forbidden-index", f"{package.name} comes from {place}, below no index that the policy allows", None

    def _forbids(self, package: Package, _: Mapping[str, str]) -> tuple[str, str, str | None] | None:
        if package.name not in self._names:
            return None
        kind = "conda" if isinstance(package, CondaPackage) else "pypi"
        for asked in self._forbidden:
            if asked.holds(kind, package.name, package.version):
                return (
                    "forbidden-package",
                    f"{package.name} {package.version} is forbidden by the policy ({asked.text})",
                    None,
                )
        return None

    def _age(self, package: Package, _: Mapping[str, str]) -> tuple[str, str, str | None] | None:
        if isinstance(package, SourcePackage) and (package.path is not None or package.git is not None):
            return None  # a folder of the project, or a commit, is no release
        released = released_at(package)
        if released is None:
            return "unknown-age", f"nobody says when {package.name} {package.version} was released", None
        wanted = hours(self._policy.min_age or "0h")
        age = (self._now - released).total_seconds()
        if age >= wanted * 3600:
            return None
        since = f"{span(age)} ago" if age >= 0 else "in the future, by its own word"
        return (
            "too-young",
            f"{package.name} {package.version} was released {since}, and the policy wants {self._policy.min_age}",
            None,
        )

    def _source(self, package: Package, _: Mapping[str, str]) -> tuple[str, str, str | None] | None:
        from fnmatch import fnmatchcase

        if not isinstance(package, SourcePackage):
            return None
        if any(fnmatchcase(package.name, pattern) for pattern in self._policy.source_builds or ()):
            return None
        return "source-build", f"{package.name} {package.version} is built from source ({package.form}){_NOT}", None

    def _license(self, package: Package, platform: Platform) -> Iterator[Breach]:
        if isinstance(package, SourcePackage) and package.path is not None:
            return  # the project's own
        verdict = self._licenses.allowed(package.license) if package.license else None
        if verdict or self._policy.excepted("licenses", package.name):
            return
        if verdict is None:
            unknown = self._policy.licenses.unknown
            if unknown == "allow":
                return
            said = f"is {package.license[:_SHOWN]!r}, no SPDX expression" if package.license else "is not said"
            yield Breach(
                rule="unknown-license",
                message=f"the licence of {package.name} {said}",
                platform=platform,
                package=package,
                level="error" if unknown == "deny" else "warning",
            )
            return
        yield Breach(
            rule="forbidden-license",
            message=f"the licence of {package.name} {package.version} is {(package.license or '')[:_SHOWN]}{_NOT}",
            platform=platform,
            package=package,
        )

    def _size(self, environment: LockedEnvironment, packages: Sequence[Package]) -> Iterator[Breach]:
        known = [item.size for item in packages if item.size is not None]
        if environment.archive is not None and environment.archive.size is not None:
            known.append(environment.archive.size)
        allowed, total = self._policy.max_size or 0, sum(known)
        if total <= allowed:
            return
        silent = sum(item.size is None for item in packages)
        largest = sorted(packages, key=lambda item: -(item.size or 0))[:3]
        yield Breach(
            rule="too-big",
            message=f"the packages of {environment.platform} weigh {_mega(total)}, the policy allows {_mega(allowed)}"
            + (f"; {silent} more say no size" if silent else ""),
            platform=environment.platform,
            hint="the largest are " + ", ".join(f"{item.name} ({_mega(item.size or 0)})" for item in largest),
        )


def released_at(package: Package) -> datetime | None:
    """When a package was released, as its channel or index said; None when it did not."""
    if isinstance(package, CondaPackage):
        stamp = package.timestamp
        if not stamp:
            return None
        seconds = stamp / 1000 if stamp > 10**11 else stamp  # old channels say seconds
        return _moment(lambda: datetime.fromtimestamp(seconds, timezone.utc))
    return moment_of(package.upload_time)


def moment_of(said: str | None) -> datetime | None:
    """A time as an index says it (RFC 3339); None when it says none."""
    return None if said is None else _moment(lambda: _utc(datetime.fromisoformat(_iso(said))))


def _iso(text: str) -> str:
    """RFC 3339 as Python 3.10 reads it: ``Z`` as an offset, and six digits of a second or none."""
    import re

    text = re.sub(r"[Zz]$", "+00:00", text)
    return re.sub(r"\.([0-9]+)", lambda found: f".{found[1][:6]:0<6}", text)


def _utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=timezone.utc)


def _moment(make: Callable[[], datetime]) -> datetime | None:
    try:
        return make()
    except (ValueError, OverflowError, OSError):
        return None


def _asked(policy: Policy) -> Iterator[Asked]:
    from envbuild.environments.affected import asked_package

    for item in policy.forbidden:
        try:
            yield asked_package(item.text)
        except EnvbuildError as error:
            raise InvalidInput(
                error.message, reference="bad-package", where=item.where, hint='write "openssl<3.0.8"'
            ) from None


def _below(address: str, allowed: Sequence[str]) -> bool:
    """Whether an address lies below one that is allowed; a path that goes up lies nowhere."""
    from urllib.parse import unquote

    path = unquote(address.partition("?")[0])
    if ".." in path.split("/") or "\\" in path:
        return False
    return any("://" in item and path.startswith(item.rstrip("/") + "/") for item in allowed)


def _mega(size: int) -> str:
    return f"{size / 10**9:.2f} GB" if size >= 10**9 else f"{size / 10**6:.1f} MB"
