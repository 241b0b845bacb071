"""How names of a store differ from what recipes declare: decisions.

Rules of the file: decides; reads and writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from envbuild.names import Name
from envbuild.review.publishing import TAGS, Declared, Difference
from envbuild.store.generation import Generation, Named


def differences(
    declared: Sequence[Declared], meant: Mapping[Name, Generation | None], shown: Callable[[Path], str]
) -> list[Difference]:
    """How the names that recipes declare are not what their locks say."""
    found = []
    for item in declared:
        for tag in TAGS:
            name = Name(path=item.name, tag=tag)
            now = meant[name]
            how = _difference(tag, now, item.named)
            if how is not None:
                found.append(
                    Difference(
                        name=str(name),
                        how=how,
                        store=str(now.named) if now is not None else "nothing",
                        git=str(item.named),
                        recipe=shown(item.recipe),
                        commit=now.published.commit if now is not None and now.published is not None else None,
                    )
                )
    return found


def _difference(
    tag: str, now: Generation | None, wanted: Named
) -> Literal["absent", "removed", "differs", "by-hand", "behind"] | None:
    if tag == "stable":
        if now is None or now.named.removed or now.named == wanted:
            return None
        return "behind" if now.published is not None else "by-hand"
    if now is None:
        return "absent"
    if now.named.removed:
        return "removed"
    return None if now.named == wanted else "differs"


def undeclared(
    declared: Iterable[str], listed: Iterable[Generation], is_ours: Callable[[str], bool]
) -> list[Difference]:
    """Names beside those that recipes declare, that no recipe declares.

    A name is looked at where a declared name stands in the same folder, or above. What was published from a commit that
    this repository does not have is another project's.

    Args:
        declared: Names of every recipe of the project.
        listed: What the store has.
        is_ours: Whether a commit is of this repository.
    """
    known = set(declared)
    folders = {folder for name in known if (folder := name.rpartition("/")[0])}
    beside: dict[str, list[Generation]] = {}
    for item in listed:
        path = item.name.path
        if path not in known and any(path.startswith(f"{folder}/") for folder in folders):
            beside.setdefault(path, []).append(item)
    found = []
    for path, several in sorted(beside.items()):
        published = [item.published for item in several if item.published is not None]
        if published and not any(is_ours(item.commit) for item in published):
            continue
        last = published[-1] if published else None
        found.append(
            Difference(
                name=path,
                how="undeclared",
                store=", ".join(item.name.tag for item in several),
                git="nothing",
                recipe=last.recipe if last is not None else None,
                commit=last.commit if last is not None else None,
            )
        )
    return found
