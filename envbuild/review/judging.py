"""What has to be published: every name that recipes declare, held against what it means and against the commit.

Rules of the file: asks the checkout, which asks git; moves nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from envbuild.environments.many import Losing
from envbuild.errors import EnvbuildError, NameConflictError, several
from envbuild.locks.place import lock_path
from envbuild.names import Name
from envbuild.review.commits import Checkout
from envbuild.review.publishing import Declared, PublishOptions, moves
from envbuild.store.generation import Generation


def name_of(path: str, tag: str) -> Name:
    """A tag of a name that a recipe declares."""
    return Name(path=path, tag=tag)


def is_unsent(
    candidate: Name, wanted: Mapping[Name, bool], looked: Mapping[Name, tuple[int, Generation | None]]
) -> bool:
    """Whether the store may lack what a name is to mean: publishing sends it before it moves the first tag."""
    now = looked[candidate][1]
    return wanted[candidate] or now is None or now.published is None


def judged(
    targets: Sequence[tuple[Declared, Name]],
    looked: Mapping[Name, tuple[int, Generation | None]],
    checkout: Checkout,
    options: PublishOptions,
    overtaken: frozenset[Name],
    losing: Losing,
) -> dict[Name, bool]:
    """Which names have to move; of a recipe that falls out, none.

    Raises:
        NameConflictError: When one may not, with an issue for each.
    """
    found: dict[Name, bool] = {}
    refused: list[EnvbuildError] = []
    for item, name in targets:
        try:
            found[name] = moves(
                name,
                looked[name][1],
                item.named,
                checkout.commit,
                checkout.kinship,
                force=options.force,
                overtaken=name in overtaken,
                hides=checkout.hides,
            )
        except NameConflictError as error:
            found[name] = False
            refused.append(error)
            if losing.keep_going:
                losing.lose(item.recipe, error)
    if refused and not losing.keep_going:
        raise refused[0] if len(refused) == 1 else several(refused)
    return found


def overtaken_names(
    targets: Sequence[tuple[Declared, Name]],
    looked: Mapping[Name, tuple[int, Generation | None]],
    checkout: Checkout,
) -> frozenset[Name]:
    """The names that mean what is declared, and of which a commit in between declared something else."""
    asked: dict[Name, tuple[str, Path]] = {}
    for item, name in targets:
        now = looked[name][1]
        if now is not None and now.named == item.named and now.published is not None:
            asked[name] = (now.published.commit, lock_path(item.recipe))
    found = checkout.overtaken(asked.values()) if asked else frozenset()
    return frozenset(name for name, place in asked.items() if place in found)
