"""How two locks are held against each other: platform by platform, then what platforms share is joined.

Rules of the file: pure; texts that many packages share are kept once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from sys import intern
from typing import Any

from envbuild.lock import Lock, LockedBase, LockedEnvironment
from envbuild.locks.dependencies import origin_words
from envbuild.locks.lockdiff import Package, Pair, pairs
from envbuild.package import CondaPackage, Platform, SourcePackage
from envbuild.review.comparison import Compared, HeadChange, Held, Kind, Occurrence, PackageChange, Sizes, State, Way
from envbuild.review.reasons import Reasons
from envbuild.review.requests import RequestChange


def compare(
    label: str,
    before: Lock | None,
    after: Lock | None,
    *,
    requests: tuple[RequestChange, ...] = (),
    state: State | None = None,
    common: bool = False,
    problems: tuple[str, ...] = (),
) -> Compared:
    """Two locks of one recipe, or two things that hold environments; either may be missing.

    Args:
        label: What they are called.
        before: The old lock.
        after: The new one.
        requests: What changed in the recipe.
        state: Whether the recipe itself came or went; found from the locks when not given.
        common: Only platforms of both sides count, for one side stands for one platform only.
        problems: What could not be read.
    """
    heads = list(_lock_heads(before, after)) if not common else []
    found: list[tuple[Kind, str, Way, Occurrence]] = []
    shared: dict[Any, Any] = {}
    sizes, names = [], []
    for platform, was, now in _platforms(before, after, common=common):
        names.append(platform)
        heads += _heads(platform, was, now)
        reasons = Reasons(was, now, requests)
        several = list(pairs(was, now))
        reasons.begin(several)
        found += [
            (pair.kind, intern(pair.name), pair.how or "changed", _occurrence(platform, pair, reasons, shared))
            for pair in several
        ]
        sizes.append(_sizes(platform, was, now))
    changes = _grouped(found)
    same = not (changes or heads or requests or problems)
    return Compared(
        label=label,
        state=state or ("same" if same else "changed"),
        requests=requests,
        heads=_joined(heads),
        changes=changes,
        sizes=tuple(sizes),
        platforms=tuple(names),
        problems=problems,
    )


def _platforms(
    before: Lock | None, after: Lock | None, *, common: bool
) -> Iterator[tuple[str, LockedEnvironment | None, LockedEnvironment | None]]:
    old = {item.platform: item for item in before.platforms} if before else {}
    new = {item.platform: item for item in after.platforms} if after else {}
    if len(old) == len(new) == 1 and common and old.keys() != new.keys():
        ((one, was),), ((other, now),) = old.items(), new.items()
        yield f"{one} -> {other}", was, now
        return
    shared: set[Platform] = old.keys() & new.keys()
    for platform in sorted(shared if common and shared else {*old, *new}):
        was_there, is_there = old.get(platform), new.get(platform)
        if was_there is None or is_there is None or was_there != is_there:
            yield platform, was_there, is_there


def _lock_heads(before: Lock | None, after: Lock | None) -> Iterator[HeadChange]:
    if before is None or after is None:
        return
    old, new = ({item.platform for item in lock.platforms} for lock in (before, after))
    if old != new:
        yield HeadChange(what="platforms", before=", ".join(sorted(old)), after=", ".join(sorted(new)))
    if before.exclude_newer != after.exclude_newer:
        yield HeadChange(what="cut-off", before=before.exclude_newer, after=after.exclude_newer)
    was = {base.path: base for base in before.bases}
    now = {base.path: base for base in after.bases}
    for path in sorted({*was, *now}):
        if was.get(path) != now.get(path):
            yield HeadChange(what=f"base {path}", before=_base(was.get(path)), after=_base(now.get(path)))
    if before.indices != after.indices:
        texts = [", ".join(f"{item.name} {item.url}" for item in lock.indices) or None for lock in (before, after)]
        yield HeadChange(what="indices", before=texts[0], after=texts[1])


def _base(base: LockedBase | None) -> str | None:
    if base is None:
        return None
    ids = ", ".join(f"{platform} {digest[:12]}" for platform, digest in sorted(base.environments))
    return f"{ids or 'no environment'}{'' if base.pin else ', not pinned'}"


def _heads(platform: str, was: LockedEnvironment | None, now: LockedEnvironment | None) -> Iterator[HeadChange]:
    if was is None or now is None:
        return
    texts = {
        "python": (was.python, now.python),
        "interpreter": (was.interpreter, now.interpreter),
        "system": (_words(was.system), _words(now.system)),
        "variables": (_words(was.variables), _words(now.variables)),
        "bytecode": tuple("compiled ahead" if item.bytecode else None for item in (was, now)),
        "interpreter archive": tuple(
            f"{item.archive.version} {item.archive.build}" if item.archive else None for item in (was, now)
        ),
    }
    for what, (old, new) in texts.items():
        if old != new:
            yield HeadChange(what=what, before=old, after=new, platforms=(platform,))
    if was.build != now.build or was.build_sources != now.build_sources:
        numbers = [str(len(item.build) + len(item.build_sources)) for item in (was, now)]
        yield HeadChange(
            what="packages that only builds see", before=numbers[0], after=numbers[1], platforms=(platform,)
        )


def _words(pairs: Sequence[tuple[str, str]]) -> str | None:
    return ", ".join(f"{name} {value}" for name, value in pairs) or None


def _joined(heads: Sequence[HeadChange]) -> tuple[HeadChange, ...]:
    """Each once, with its platforms."""
    found: dict[tuple[str, str | None, str | None], list[str]] = {}
    for item in heads:
        found.setdefault((item.what, item.before, item.after), []).extend(item.platforms)
    return tuple(
        HeadChange(what=what, before=before, after=after, platforms=tuple(platforms))
        for (what, before, after), platforms in found.items()
    )


def _occurrence(platform: str, pair: Pair, reasons: Reasons, shared: dict[Any, Any]) -> Occurrence:
    """One change on one platform; what is equal on several is kept once, in ``shared``."""
    before, after = (_held(side, digest=pair.how == "rebuilt") for side in (pair.before, pair.after))
    reason = reasons.of(pair)
    return Occurrence(
        platform=platform,
        before=shared.setdefault(before, before),
        after=shared.setdefault(after, after),
        inputs=pair.inputs,
        details=_details(pair) if pair.how is None else (),
        reason=shared.setdefault(reason, reason),
    )


def _held(package: Package | None, *, digest: bool) -> Held | None:
    if package is None:
        return None
    build = package.build if isinstance(package, CondaPackage) else None
    if isinstance(package, SourcePackage):
        build = package.form
    return Held(
        version=intern(package.version),
        build=None if build is None else intern(build),
        origin=intern(origin_words(package)),
        license=None if package.license is None else intern(package.license),
        size=package.size,
        digest=package.sha256[:12] if digest else None,
        asked=package.asked,
    )


_TOLD = ("license", "size", "depends", "constrains", "requires", "extras", "asked", "timestamp", "upload_time", "purls")


def _details(pair: Pair) -> tuple[str, ...]:
    """What differs of a package that is the same: in the words of its fields."""
    found = []
    for word in _TOLD:
        was, now = getattr(pair.before, word, None), getattr(pair.after, word, None)
        if was != now:
            found.append(word.replace("_", "-"))
    return tuple(found) or ("metadata",)


def _grouped(found: Sequence[tuple[Kind, str, Way, Occurrence]]) -> tuple[PackageChange, ...]:
    groups: dict[tuple[object, ...], tuple[Kind, str, Way, list[Occurrence]]] = {}
    for kind, name, how, item in found:
        told = (kind, name, how, _face(item.before), _face(item.after), item.inputs, item.details)
        groups.setdefault(told, (kind, name, how, []))[3].append(item)
    changes = []
    for kind, name, how, several in groups.values():
        direct = any(side.asked for item in several for side in (item.before, item.after) if side)
        changes.append(PackageChange(kind=kind, name=name, how=how, direct=direct, on=tuple(several)))
    changes.sort(key=lambda item: (not item.direct, item.kind, item.name, item.platforms))
    return tuple(changes)


def _face(held: Held | None) -> tuple[object, ...] | None:
    """What platforms must share to stand together; builds and sizes each has its own of."""
    return (held.version, held.origin, held.license, held.asked) if held else None


def _sizes(platform: str, was: LockedEnvironment | None, now: LockedEnvironment | None) -> Sizes:
    (before, packages_before), (after, packages_after) = map(_size, (was, now))
    return Sizes(
        platform=platform,
        before=before,
        after=after,
        packages_before=packages_before,
        packages_after=packages_after,
    )


def _size(environment: LockedEnvironment | None) -> tuple[int | None, int]:
    if environment is None:
        return None, 0
    packages: tuple[Package, ...] = (*environment.conda, *environment.wheels, *environment.sources)
    return sum(package.size or 0 for package in packages), len(packages)
