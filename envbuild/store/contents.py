"""What a shared store holds, by one listing: for people, who ask how much there is.

Rules of the file: counts; nothing is read or believed.
"""

from __future__ import annotations

from collections import Counter

from envbuild.store.deployments import DEPLOYMENT
from envbuild.store.object_names import BLOB, CLOSURE, NAMED, RESULT
from envbuild.store.outputs import OUTPUTS
from envbuild.store.shared import SharedStore
from envbuild.value import dataclass

AREAS = (
    "blobs",
    "results",
    "environments",
    "outputs",
    "refs",
    "requests",
    "signatures",
    "packs",
    "deployments",
    "collect",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What there is.

    Attributes:
        counts: Objects by the first part of their name; ``other`` is what is none of envbuild's.
        sizes: Their bytes.
        results: Records by kind.
        names: Names, those that were removed among them.
        generations: Of all names.
    """

    counts: tuple[tuple[str, int], ...]
    sizes: tuple[tuple[str, int], ...]
    results: tuple[tuple[str, int], ...]
    names: int
    generations: int


def contents(store: SharedStore) -> Contents:
    """Count what a store holds.

    Raises:
        UnreachableError: When it does not answer; ``no-listing`` for a web server.
    """
    counts: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    names: set[str] = set()
    for item in store.objects.list(""):
        area = item.name.partition("/")[0]
        if area == "format.json":
            continue
        if area not in AREAS or not _is_named_so(area, item.name):
            area = "other"
        counts[area] += 1
        sizes[area] += item.size
        if area == "results":
            kinds[item.name.split("/")[1]] += 1
        elif area == "refs":
            names.add(item.name.rpartition("/")[0])
    return Contents(
        counts=tuple(sorted(counts.items())),
        sizes=tuple(sorted(sizes.items())),
        results=tuple(sorted(kinds.items())),
        names=len(names),
        generations=counts["refs"],
    )


def _is_named_so(area: str, name: str) -> bool:
    pattern = {
        "blobs": BLOB,
        "results": RESULT,
        "environments": CLOSURE,
        "outputs": OUTPUTS,
        "refs": NAMED,
        "requests": NAMED,
        "deployments": DEPLOYMENT,
    }.get(area)
    return pattern is None or pattern.fullmatch(name) is not None
