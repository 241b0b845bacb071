"""What became of several recipes: values that cross from a session to the screen.

Rules of the file: no effects.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from envbuild.errors import EnvbuildError, gravest, several
from envbuild.value import dataclass

if TYPE_CHECKING:
    from envbuild.environments.realized import Realized
    from envbuild.locks.locking import Locked
    from envbuild.reporter import Reporter

State = Literal["done", "unchanged", "failed", "not-begun"]
STATES: tuple[State, ...] = ("done", "unchanged", "failed", "not-begun")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What became of one recipe.

    Attributes:
        recipe: Its file; of another source what was typed.
        locked: Its lock, where there is one that fits.
        realized: Its environment, where that was wanted and is there.
        error: Why it failed.
        base: Of one that was not begun: the recipe that failed and that it extends; None where it was another one.
    """

    recipe: Path
    state: State
    locked: Locked | None = None
    realized: Realized | None = None
    error: EnvbuildError | None = None
    base: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """One failure, and all recipes that it is of."""

    error: EnvbuildError
    recipes: tuple[Path, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Many:
    """What became of several recipes.

    Attributes:
        ended: Those that were named, in this order.
        beside: What these extend, where that failed.
    """

    ended: tuple[Ended, ...]
    beside: tuple[Ended, ...] = ()

    def count(self, state: State) -> int:
        """How many of those that were named ended so."""
        return sum(item.state == state for item in self.ended)

    def failures(self) -> tuple[Failed, ...]:
        """Each failure once: equal words are one, whoever met them first."""
        found: dict[object, tuple[EnvbuildError, list[Path]]] = {}
        for item in (*self.beside, *self.ended):
            if item.error is not None:
                what = (type(item.error), item.error.message, item.error.all_issues())
                found.setdefault(what, (item.error, []))[1].append(item.recipe)
        return tuple(Failed(error=error, recipes=tuple(recipes)) for error, recipes in found.values())

    def not_begun(self) -> tuple[tuple[Path | None, tuple[Path, ...]], ...]:
        """What was not begun, by the base that failed; None for what another failure kept back."""
        found: dict[Path | None, list[Path]] = {}
        for item in self.ended:
            if item.state == "not-begun":
                found.setdefault(item.base, []).append(item.recipe)
        return tuple((base, tuple(recipes)) for base, recipes in found.items())

    def error(self) -> EnvbuildError | None:
        """The one error that stands for all failures: the gravest, the others in its ``issues``; None without one."""
        errors = [item.error for item in self.failures()]
        if not errors:
            return None
        worst = gravest(errors)
        return worst if len(errors) == 1 else several([worst, *(error for error in errors if error is not worst)])

    def check(self) -> None:
        """Raise the one error that stands for all failures, if there is one."""
        error = self.error()
        if error is not None:
            raise error


class Losing:
    """Recipes that fall out on the way of a verb, one after the other.

    Args:
        keep_going: Whether the others go on; without it the first failure is raised.

    Attributes:
        lost: Why, by recipe.
    """

    def __init__(self, *, keep_going: bool = False) -> None:
        self.keep_going = keep_going
        self.lost: dict[Path, EnvbuildError] = {}

    def lose(self, recipe: Path, error: BaseException) -> None:
        """A recipe has failed.

        Raises:
            EnvbuildError: The same, unless the others go on; a defect always.
        """
        if not self.keep_going or not isinstance(error, EnvbuildError):
            raise error
        self.lost.setdefault(recipe, error)

    def failures(self) -> tuple[Failed, ...]:
        """Each failure once, with its recipes."""
        ended = (Ended(recipe=path, state="failed", error=error) for path, error in self.lost.items())
        return Many(ended=tuple(ended)).failures()


class Tally:
    """Tells a reporter which of several recipes have ended; of one alone, nothing.

    Args:
        recipes: All of them.
        reporter: Told.
    """

    def __init__(self, recipes: Iterable[Path], reporter: Reporter) -> None:
        self._left = set(recipes)
        self._total = len(self._left)
        self._reporter = reporter

    def end(self, recipe: Path, state: State) -> None:
        """A recipe has ended; once for each."""
        if recipe in self._left and self._total > 1:
            self._left.remove(recipe)
            self._reporter.recipe_ended(str(recipe), state, self._total - len(self._left), self._total)
