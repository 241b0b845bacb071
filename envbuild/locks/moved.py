"""A name that was locked from one place does not come from another one without a word.

That is how dependency confusion begins: somebody registers the name of a private package on an index, or in a channel,
that is asked first, and the next lock takes it. So a new lock is held against the one before: a name whose index,
find-links or channel differs is refused, with both places, unless somebody has said that it may move:

- the recipe itself says where the name comes from (``index:``, ``channel::name``, an address, a folder);
- the recipe does not ask the old place any more, so that nothing could come from there;
- a base pins it;
- ``--upgrade-package NAME``.

``--upgrade`` alone is no such word: it means newer versions, not other sources.
Rules of the file: pure; values in, an error out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from envbuild.errors import IntegrityError, Issue, Where
from envbuild.lock import Lock, LockedEnvironment
from envbuild.package import CondaPackage, Platform, SourcePackage, Wheel, normalize_pypi_name
from envbuild.request import PlatformRequest, Request
from envbuild.value import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One name that would come from elsewhere.

    Attributes:
        kind: ``conda`` or ``pypi``.
        before: The place as the old lock writes it; ``after``: as the new one would.
        where: The recipe's line that asks for it, if one does.
    """

    name: str
    kind: str
    before: str
    after: str
    where: Where | None

    @property
    def reference(self) -> str:
        """What the error is called."""
        return "channel-moved" if self.kind == "conda" else "index-moved"

    def __str__(self) -> str:
        return f"{self.name} was locked from {self.before}, and would come from {self.after} now"


def check_moves(
    old: Lock | None,
    new: Mapping[Platform, LockedEnvironment],
    request: Request,
    allowed: Collection[str],
    bases: Mapping[str, Lock],
) -> None:
    """Refuse a new lock in which a name has silently changed its index or channel.

    Args:
        old: The lock before; None when there was none.
        new: What was solved, by platform.
        request: What the recipe asks for now.
        allowed: Names (normalized) that may move.
        bases: The bases' locks by path.

    Raises:
        IntegrityError: ``index-moved`` or ``channel-moved``, with every such name.
    """
    if old is None:
        return
    pinned = {_key(item) for base in bases.values() for env in base.platforms for item in _packages(env)}
    found: dict[str, Move] = {}
    for environment in new.values():
        before = old.environment(environment.platform)
        olds = (before,) if before is not None else old.platforms
        for move in _moves(olds, environment, request.platform(environment.platform), pinned):
            if normalize_pypi_name(move.name) not in allowed:
                found.setdefault(move.name, move)
    if found:
        raise _refusal([found[name] for name in sorted(found)])


def _moves(
    olds: tuple[LockedEnvironment, ...], environment: LockedEnvironment, part: PlatformRequest, pinned: set[object]
) -> Iterator[Move]:
    known: dict[tuple[str, str], list[str]] = {}
    for old in olds:
        for item in _packages(old):
            if (place := _place(item)) is not None:
                known.setdefault((_kind(item), item.name), []).append(place)
    asked = _asked_places(part)
    said = _said(part)
    lines = {("conda", item.name): item.where for item in part.conda}
    lines |= {("pypi", item.name): item.where for item in part.pypi}
    for item in _packages(environment):
        name, place = (_kind(item), item.name), _place(item)
        before = [old for old in known.get(name, ()) if old in asked]
        if place is None or not before or place in before or name in said or _key(item) in pinned:
            continue
        yield Move(name=item.name, kind=name[0], before=before[0], after=place, where=lines.get(name))


def _packages(environment: LockedEnvironment) -> tuple[CondaPackage | Wheel | SourcePackage, ...]:
    return (*environment.conda, *environment.wheels, *environment.sources, *environment.build_inputs.packages)


def _kind(item: CondaPackage | Wheel | SourcePackage) -> str:
    return "conda" if isinstance(item, CondaPackage) else "pypi"


def _key(item: CondaPackage | Wheel | SourcePackage) -> object:
    return (_kind(item), item.name, item.sha256)


def _place(item: CondaPackage | Wheel | SourcePackage) -> str | None:
    """The channel, index or find-links that a package came from; None for what the recipe names by address."""
    if item.url is not None:
        return None
    if isinstance(item, CondaPackage):
        return item.channel
    return item.index or item.find_links


def _asked_places(part: PlatformRequest) -> set[str]:
    """Every place that a request still looks at; ``default`` is the machine's own index."""
    index = () if part.no_index else (part.index.name if part.index else "default",)
    extra = () if part.no_index else tuple(item.name for item in part.extra_indices)
    own = tuple(item.channel for item in part.conda if item.channel)
    return {*part.channels, *own, *index, *extra, *part.find_links}


def _said(part: PlatformRequest) -> set[tuple[str, str]]:
    """The names whose place the recipe itself says."""
    conda = {("conda", item.name) for item in part.conda if item.channel or item.url}
    return conda | {("pypi", item.name) for item in part.pypi if item.index is not None or item.source is not None}


def _refusal(moves: list[Move]) -> IntegrityError:
    first, more = moves[0], moves[1:]
    words = " ".join(f"--upgrade-package {move.name}" for move in moves[:4])
    own = f"{{channel: {first.after}}}" if first.kind == "conda" else f"{{index: {first.after}}}"
    error = IntegrityError(
        str(first),
        reference=first.reference,
        where=first.where,
        hint=f"if that is meant: envbuild lock {words}, or say `{first.name}: {own}` in the recipe",
    )
    issues = [Issue(message=str(move), reference=move.reference, where=move.where) for move in more]
    if issues:
        own_issue = Issue(message=str(first), reference=first.reference, where=first.where, hint=error.hint)
        error.issues = (own_issue, *issues)
    return error
