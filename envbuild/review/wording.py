"""A comparison in words: the phrases that the terminal and a pull request share.

Rules of the file: pure; plain text, which its user escapes or colours.
"""

from __future__ import annotations

from collections.abc import Sequence

from envbuild.review.comparison import Compared, HeadChange, PackageChange, Sizes
from envbuild.review.reasons import Reason
from envbuild.review.requests import RequestChange

LONGEST_CHAIN = 5
"""Packages of a chain that are all shown."""


def version_words(change: PackageChange) -> str:
    """The versions of a change: ``1.26.4 -> 2.0.1``, ``1.2 py311_0 -> 1.2 py311_1``."""
    before, after = change.before, change.after
    if before is None or after is None:
        held = after or before
        assert held is not None
        return held.version
    if change.how in {"upgraded", "downgraded"}:
        return f"{before.version} -> {after.version}"
    if change.how != "rebuilt":
        return before.version
    inputs = change.on[0].inputs
    for_ = f" for a changed {', '.join(inputs)}" if inputs else ""
    builds = {(item.before.build, item.after.build) for item in change.on if item.before and item.after}
    if len(builds) == 1:
        ((old, new),) = builds
        if old != new:
            return f"{before.version} {old or 'another form'} -> {new or 'another form'}{for_}"
        if inputs and before.digest == after.digest:
            return f"{before.version}{for_}"
        return f"{before.version}, other bytes{for_}"
    return f"{before.version}, other builds{for_}"


def facets(change: PackageChange) -> list[str]:
    """What else of a package changed, beside its version and size."""
    found = []
    if change.origin is not None:
        found.append(f"from {change.origin[0]} to {change.origin[1]}")
    if change.license is not None:
        found.append(f"licence {change.license[0]} -> {change.license[1]}")
    before, after = change.before, change.after
    if before and after and before.asked != after.asked:
        found.append("now asked for by name" if after.asked else "no longer asked for by name")
    if change.how == "changed":
        told = [word for word in change.on[0].details if word not in {"license", "asked"}]
        if told:
            found.append(f"other {', '.join(told)}")
    return found


def reason_words(change: PackageChange, reason: Reason | None) -> str | None:
    """Why, in one phrase; None where there is nothing to say."""
    if reason is None:
        return None
    chain = _chain(reason.chain)
    cause = f" ({reason.changed} was {reason.cause})" if reason.changed and reason.cause else ""
    user = reason.chain[-2] if len(reason.chain) > 1 else None
    if reason.because == "asked":
        return _request_reason(reason.request)
    if reason.because == "constrained" and reason.request is not None:
        return f"the recipe: {request_words(reason.request)}"
    if reason.because == "needed":
        return f"needed by {chain}{cause}" if user else "nothing in the lock asks for it"
    if reason.because == "unneeded":
        return f"was needed by {chain}{cause}" if user else "nothing asked for it"
    if reason.because == "wanted":
        return f"{user} asks for {reason.spec or change.name} now: {chain}{cause}"
    if reason.because == "follows":
        return f"below {chain}{cause}"
    if reason.because == "python":
        return "for another Python"
    return "solved again: nothing that asks for it changed"


def _chain(names: Sequence[str]) -> str:
    """A chain that fits on a line: of a long one both ends."""
    shown = names if len(names) <= LONGEST_CHAIN else (*names[:2], "…", *names[-2:])
    return " -> ".join(shown)


def _request_reason(request: RequestChange | None) -> str | None:
    if request is None or (request.before is None) != (request.after is None):
        return None
    return f"the recipe: {request_words(request)}"


def request_words(request: RequestChange) -> str:
    """A line of the recipe that changed: ``conda numpy: 1.26.* -> >=2``."""
    where = f" ({request.platform})" if request.platform else ""
    what = f"{request.what} {request.name}".strip() + where
    if request.before is None:
        return f"{what}: {request.after}"
    return f"{what}: {request.before} -> {request.after if request.after is not None else 'not any more'}"


def request_sign(request: RequestChange) -> str:
    """``+``, ``-`` or ``~``."""
    return "+" if request.before is None else "-" if request.after is None else "~"


def head_words(head: HeadChange, platforms: Sequence[str]) -> str:
    """Something of the environment that is no package."""
    where = on_platforms(head.platforms, platforms)
    return f"{head.what}: {head.before or 'none'} -> {head.after or 'none'}{where}"


def on_platforms(some: Sequence[str], every: Sequence[str]) -> str:
    """`` (linux-64)`` where not all platforms agree."""
    return "" if not some or set(some) == set(every) else f" ({', '.join(some)})"


def counts_words(item: Compared) -> str:
    """``2 added, 3 upgraded``."""
    return ", ".join(f"{number} {way}" for way, number in item.counts().items())


def size_sum(sizes: Sequence[Sizes]) -> tuple[int, int] | None:
    """The bytes of all platforms before and after; None where one side is missing."""
    both = [(item.before, item.after) for item in sizes if item.before is not None and item.after is not None]
    return (sum(old for old, _ in both), sum(new for _, new in both)) if both else None
