"""What of a derivation graph is another one than in an earlier graph, and in which inputs: ``why-rebuild`` as values.

Keys are compared by their documents, in which inputs have names (``envbuild.misses``). What a result records and no key
holds (the compiler that happened to be there, who built it) is told beside it: it rebuilds nothing, and explains why
two builds of one key may differ.

Rules of the file: pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from envbuild.derivations import Derivation
from envbuild.digest import Digest
from envbuild.graph import Graph
from envbuild.misses import Earlier, differences
from envbuild.value import dataclass
from envbuild.why import Reason

Recorded = Callable[[Derivation], Mapping[str, str]]
"""What the result of a derivation says beside its outputs; empty where there is none here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One thing that results record and no key holds: before and after, None where it is not said."""

    name: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuild:
    """One derivation that is another one.

    Attributes:
        label: After; of what is gone, before.
        before: Its key before; None when it is new. ``after``: its key now; None when it is gone.
        reasons: Where the key documents differ.
        told: Where what the results record differs.
    """

    kind: str
    label: str
    change: Literal["changed", "added", "removed"]
    before: Digest | None = None
    after: Digest | None = None
    reasons: tuple[Reason, ...] = ()
    told: tuple[Told, ...] = ()


def rebuilds(old: Graph, new: Graph, recorded: Recorded = lambda _: {}) -> tuple[Rebuild, ...]:
    """What differs, the environment first and its files last; what is gone stands at the end.

    Args:
        old: Before.
        new: After.
        recorded: What results record.
    """
    earlier = Earlier(old)
    found: list[Rebuild] = []
    met: set[Digest] = set()
    for key in reversed(new.order()):
        if key in old:
            continue
        after = new[key]
        before = earlier.counterpart(after)
        if before is not None and before.key in new:  # it is still there beside this one
            before = None
        if before is None:
            found.append(Rebuild(kind=after.kind, label=after.label, change="added", after=key))
        else:
            met.add(before.key)
            found.append(rebuild(before, old, after, new, recorded))
    gone = [old[key] for key in reversed(old.order()) if key not in new and key not in met]
    found += [Rebuild(kind=each.kind, label=each.label, change="removed", before=each.key) for each in gone]
    return tuple(found)


def rebuild(
    before: Derivation, old: Graph, after: Derivation, new: Graph, recorded: Recorded = lambda _: {}
) -> Rebuild:
    """Two derivations of one kind, compared."""
    first, second = recorded(before), recorded(after)
    names = [*first, *(name for name in second if name not in first)] if first and second else []
    return Rebuild(
        kind=after.kind,
        label=after.label,
        change="changed",
        before=before.key,
        after=after.key,
        reasons=differences(before, old, after, new),
        told=tuple(
            Told(name=name, before=first.get(name), after=second.get(name))
            for name in names
            if first.get(name) != second.get(name)
        ),
    )
