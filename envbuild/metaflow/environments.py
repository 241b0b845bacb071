"""The distinct environments of a flow: steps that ask for the same share one recipe.

Rules of the file: pure, but for the names of the files that are there, which the caller gives.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from envbuild.metaflow.asked import Asked
from envbuild.metaflow.collecting import Flow, Step
from envbuild.value import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Needed:
    """One environment that a flow needs.

    Attributes:
        name: What its recipe is called: after a step.
        steps: The steps that run in it.
        platforms: What it is needed for, sorted.
    """

    name: str
    asked: Asked
    steps: tuple[str, ...]
    platforms: tuple[str, ...]

    @property
    def said(self) -> str:
        """The steps, in words."""
        return f"step{'s' if len(self.steps) > 1 else ''} {', '.join(self.steps)}"


def needed(flow: Flow, here: str, recipes: Iterable[str] = ()) -> tuple[Needed, ...]:
    """The environments of a flow, but for those that are looked up when a task starts.

    Args:
        flow: What its steps ask for.
        here: This machine's platform.
        recipes: Names of the recipes that are there already: a step that has one of its own uses it, and so do steps
            without one that ask for the same.
    """
    there = frozenset(recipes)
    groups: dict[Asked, list[Step]] = {}
    for step in flow.steps:
        if step.asked is not None and not step.asked.late:
            groups.setdefault(step.asked, []).append(step)
    return tuple(
        _needed(name, asked, steps, here)
        for asked, group in groups.items()
        for name, steps in _by_recipe(group, there).items()
    )


def _by_recipe(group: Sequence[Step], there: frozenset[str]) -> dict[str, list[Step]]:
    """Steps that ask for the same, by the recipe that they use."""
    leader = next((step.name for step in group if step.name in there), group[0].name)
    found: dict[str, list[Step]] = {}
    for step in group:
        found.setdefault(step.name if step.name in there else leader, []).append(step)
    return found


def _needed(name: str, asked: Asked, steps: Sequence[Step], here: str) -> Needed:
    return Needed(
        name=name,
        asked=asked,
        steps=tuple(step.name for step in steps),
        platforms=tuple(sorted({step.platform or here for step in steps})),
    )
