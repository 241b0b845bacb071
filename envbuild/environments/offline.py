"""What ``--offline`` refuses: work that would ask a server, before anything starts, all of it named at once.

A folder of the project is no network: its source is packed where it lies.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from envbuild.derivations import Derivation
from envbuild.derivations.fetch import Fetch
from envbuild.digest import Digest
from envbuild.errors import Issue, UnreachableError
from envbuild.package import FolderOrigin, GitOrigin
from envbuild.plan import Plan


def refuse_fetches(plan: Plan, near: Collection[Digest] = frozenset()) -> None:
    """Refuse a plan that needs the network.

    Args:
        plan: Nothing of it has started.
        near: Keys that a shared store on this machine has.

    Raises:
        UnreachableError: ``offline``, with an issue for each thing that is missing.
    """
    if missing := missing_here(plan, near):
        raise not_here([_full_name(item) for item in missing])


def not_here(labels: Sequence[str]) -> UnreachableError:
    """What to say when the network, which may not be used, might have something; ``labels``: what, at least one."""
    what = "1 thing is" if len(labels) == 1 else f"{len(labels)} things are"
    return UnreachableError(
        f"{what} not in the store, and the network may not be used",
        reference="offline",
        hint="run once without --offline",
        issues=tuple(Issue(message=f"{label} is not here", reference="offline") for label in labels),
    )


def missing_here(plan: Plan, near: Collection[Digest]) -> list[Derivation]:
    """What of a plan needs the network."""
    needed = (plan.graph[key] for key in plan.needed if key not in near)
    return [derivation for derivation in needed if _asks_a_server(derivation)]


def _full_name(item: Derivation) -> str:
    """What is missing, with the commit when it is one: a label shows its first digits only."""
    if isinstance(item, Fetch) and isinstance(item.origin, GitOrigin):
        return f"{item.label}, commit {item.origin.commit} of {item.origin.url},"
    return item.label


def _asks_a_server(derivation: Derivation) -> bool:
    if isinstance(derivation, Fetch):
        return not isinstance(derivation.origin, FolderOrigin)
    return derivation.kind == "solve"
