"""Why: two key documents compared, as reasons.

The keys are digests of documents, so the question "why was it done again" has an exact answer: the places where the
documents differ. Lists whose items name themselves (a ``name``, or a first element that is text and unlike the
others') are compared by name, so that one package more is one reason and not a shift of all that follow.

Rules of the file: pure; no recursion deeper than the documents, whose depth is a handful.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from envbuild.digest import Digest, Json, short
from envbuild.value import dataclass

Change = Literal["added", "removed", "changed", "reordered"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One difference between two key documents.

    Attributes:
        path: Where, such as ``request.conda[numpy].version``; empty for the documents themselves.
        change: What happened there.
        old: The value before; None when it was added (or was null).
        new: The value after; None when it was removed (or is null).
    """

    path: str
    change: Change
    old: Json = None
    new: Json = None

    def __str__(self) -> str:
        place = self.path or "the document"
        if self.change == "added":
            return f"{place} was added: {_shown(self.new)}"
        if self.change == "removed":
            return f"{place} was removed: it was {_shown(self.old)}"
        if self.change == "reordered":
            return f"{place} has the same items in another order"
        return f"{place} changed from {_shown(self.old)} to {_shown(self.new)}"


def compare(old: Json, new: Json) -> tuple[Reason, ...]:
    """The reasons why two key documents have different keys; empty when they are equal.

    Args:
        old: The document of what was there.
        new: The document of what is wanted.
    """
    return tuple(_compare("", old, new))


def _compare(path: str, old: Json, new: Json) -> list[Reason]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        return _mappings(path, old, new)
    if _is_list(old) and _is_list(new):
        assert isinstance(old, Sequence)
        assert isinstance(new, Sequence)
        return _lists(path, old, new)
    if type(old) is type(new) and old == new:  # true is not 1
        return []
    return [Reason(path=path, change="changed", old=old, new=new)]


def _mappings(path: str, old: Mapping[str, Json], new: Mapping[str, Json]) -> list[Reason]:
    prefix = f"{path}." if path else ""
    return _named(old, new, {name: prefix + name for name in {**old, **new}})


def _lists(path: str, old: Sequence[Json], new: Sequence[Json]) -> list[Reason]:
    before, after = _by_name(old), _by_name(new)
    if before is None or after is None:
        return _positions(path, old, new)
    reasons = _named(before, after, {name: f"{path}[{name}]" for name in {**before, **after}})
    kept = [name for name in before if name in after]
    if kept != [name for name in after if name in before]:
        reasons.append(Reason(path=path, change="reordered", old=list(before), new=list(after)))
    return reasons


def _named(old: Mapping[str, Json], new: Mapping[str, Json], paths: Mapping[str, str]) -> list[Reason]:
    reasons: list[Reason] = []
    for name in sorted(paths):
        if name not in old:
            reasons.append(Reason(path=paths[name], change="added", new=new[name]))
        elif name not in new:
            reasons.append(Reason(path=paths[name], change="removed", old=old[name]))
        else:
            reasons.extend(_compare(paths[name], old[name], new[name]))
    return reasons


def _positions(path: str, old: Sequence[Json], new: Sequence[Json]) -> list[Reason]:
    reasons: list[Reason] = []
    for index in range(max(len(old), len(new))):
        place = f"{path}[{index}]"
        if index >= len(old):
            reasons.append(Reason(path=place, change="added", new=new[index]))
        elif index >= len(new):
            reasons.append(Reason(path=place, change="removed", old=old[index]))
        else:
            reasons.extend(_compare(place, old[index], new[index]))
    return reasons


def _by_name(items: Sequence[Json]) -> dict[str, Json] | None:
    """The items by what they call themselves; None when two share a name, or one has none."""
    named: dict[str, Json] = {}
    for item in items:
        name: Json = item
        if isinstance(item, Mapping):
            name = item.get("name")
        elif _is_list(item):
            assert isinstance(item, Sequence)
            name = item[0] if item else None
        if not isinstance(name, str) or name in named:
            return None
        named[name] = item
    return named


def _is_list(value: Json) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _shown(value: Json) -> str:
    """A value in a sentence: digests short, nothing longer than a line."""
    if value is None:
        return "nothing"
    if isinstance(value, str):
        is_digest = len(value) == 64 and set(value) <= set("0123456789abcdef")
        return short(Digest(value)) if is_digest else repr(value)
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."
