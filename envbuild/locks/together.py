"""Locks in the making share one run: each recipe is locked once, bases before what extends them, equal work once.

A lock in the making is a generator. It asks for the locks of its bases and is sent them; then it gives the graph that
it needs solved (``envbuild.locks.locking.make_lock``) and is sent the fragments. What all of them wait for is one run,
which grows as bases are done: a recipe begins as soon as its own bases are locked, whatever else is under way.

A recipe that fails keeps those back that extend it. Without ``keep_going`` it keeps back all that has not begun; what
has begun is finished, so there are whole locks only.

Rules of the file: decides the order only; solving is the caller's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from envbuild.errors import EnvbuildError
from envbuild.graph import Graph
from envbuild.parts import End, Parted, Parts
from envbuild.value import dataclass

if TYPE_CHECKING:
    from envbuild.digest import Digest
    from envbuild.locks.locking import Locked
    from envbuild.projects.project import Project
    from envbuild.scheduler import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Bases:
    """What a lock in the making asks for first: the locks of these recipes."""

    recipes: tuple[Path, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NotLocked:
    """A recipe that has no lock now.

    Attributes:
        error: Why; None for one that was not begun.
        base: Of one that was not begun: the recipe that it extends and that failed; None where it was another one.
    """

    error: EnvbuildError | None = None
    base: Path | None = None


Making = Generator["Bases | Graph", "tuple[Locked, ...] | dict[Digest, bytes] | None", "Locked"]
"""A lock in the making."""

Begin = Callable[[Path], "tuple[Project, Making]"]
Run = Callable[["Project", Parted], None]
"""Runs parts as a project is configured."""

Read = Callable[["Project", Graph, "Outcome"], "dict[Digest, bytes]"]
"""The fragments of a lock graph that was run, by key."""

Told = Callable[[Path, "Locked | NotLocked"], None]


class Family(Parted):
    """Recipes and all that they extend, being locked.

    Args:
        begin: Begins a lock.
        read: Reads what solves gave.
        keep_going: After a failure, still lock what does not need it.
        told: Told what became of each recipe, bases that nobody named too.
    """

    def __init__(self, begin: Begin, read: Read, *, keep_going: bool, told: Told) -> None:
        self.stopped = False
        self.ended_with: dict[Path, Locked | NotLocked] = {}
        self._begin = begin
        self._read = read
        self._keep_going = keep_going
        self._told = told
        self._making: dict[Path, tuple[Project, Making]] = {}
        self._users: dict[Path, list[Path]] = {}
        self._bases: dict[Path, tuple[Path, ...]] = {}
        self._left: dict[Path, int] = {}
        self._graphs: dict[Path, dict[Path, Graph]] = {}
        self._order: list[tuple[Path, Graph]] = []
        self._root = Path()
        self._agenda: deque[Callable[[], None]] = deque()

    def lock(self, recipes: Collection[Path], run: Run) -> Mapping[Path, Locked | NotLocked]:
        """Lock recipes.

        Args:
            recipes: In any order.
            run: Runs parts.

        Returns:
            What became of each, and of what they extend.
        """
        try:
            for recipe in recipes:
                self._want(recipe)
                self._go_on()
            while self._graphs:
                self._root = next(iter(self._graphs))
                self._order = []
                project = self._making[next(iter(self._graphs[self._root]))][0]
                run(project, self)
            for recipe in list(self._making):  # what nothing can come of any more
                self._end(recipe, NotLocked())
            self._go_on()
        finally:
            for _, making in self._making.values():
                making.close()
        return self.ended_with

    def more(self) -> Parts:
        """What is to be solved for the project whose turn it is."""
        graphs = self._graphs.pop(self._root, {})
        parts = list(graphs.items())
        if self.stopped:
            for recipe, _ in parts:
                self._end(recipe, NotLocked())
            self._go_on()
            return ()
        self._order += parts
        return parts

    def ended(self, number: int, end: End) -> None:
        """Go on with a lock, or end it."""
        recipe, graph = self._order[number]
        if end.error is not None:
            if not isinstance(end.error, EnvbuildError):
                raise end.error
            self._throw(recipe, end.error)
        elif end.outcome is None:
            self._end(recipe, NotLocked())
        else:
            try:
                fragments = self._read(self._making[recipe][0], graph, end.outcome)
            except EnvbuildError as error:
                self._throw(recipe, error)
            else:
                self._send(recipe, fragments)
        self._go_on()

    def _want(self, recipe: Path) -> None:
        """Begin a lock, unless it has begun."""
        if recipe in self._making or recipe in self.ended_with:
            return
        if self.stopped:
            self._end(recipe, NotLocked())
            return
        try:
            self._making[recipe] = self._begin(recipe)
        except EnvbuildError as error:
            self._end(recipe, NotLocked(error=error))
        else:
            self._send(recipe, None)

    def _send(self, recipe: Path, value: tuple[Locked, ...] | dict[Digest, bytes] | None) -> None:
        self._step(recipe, lambda making: making.send(value))

    def _throw(self, recipe: Path, error: EnvbuildError) -> None:
        self._step(recipe, lambda making: making.throw(error))  # it may have more to say of it

    def _step(self, recipe: Path, step: Callable[[Making], Bases | Graph]) -> None:
        project, making = self._making[recipe]
        try:
            asked = step(making)
        except StopIteration as end:
            self._end(recipe, end.value)
        except EnvbuildError as error:
            self._end(recipe, NotLocked(error=error))
        else:
            if isinstance(asked, Graph):
                self._graphs.setdefault(project.root, {})[recipe] = asked
            else:
                self._await(recipe, asked.recipes)

    def _await(self, recipe: Path, bases: Sequence[Path]) -> None:
        """Let a lock wait for those of its bases."""
        self._bases[recipe] = tuple(bases)
        self._left[recipe] = len(set(bases)) + 1
        for base in dict.fromkeys(bases):
            self._users.setdefault(base, []).append(recipe)
            self._agenda.append(lambda base=base: self._meet(base))  # type: ignore[misc]
        self._agenda.append(lambda: self._count(recipe))

    def _meet(self, base: Path) -> None:
        """Begin a base; one that has ended already tells those that wait for it."""
        if base in self.ended_with:
            self._tell(base)
        else:
            self._want(base)

    def _count(self, recipe: Path) -> None:
        """One thing less to wait for."""
        self._left[recipe] -= 1
        if not self._left[recipe] and recipe in self._making:
            locks = [self.ended_with[base] for base in self._bases.pop(recipe)]
            self._send(recipe, tuple(lock for lock in locks if not isinstance(lock, NotLocked)))

    def _end(self, recipe: Path, end: Locked | NotLocked) -> None:
        made = self._making.pop(recipe, None)
        if made is not None:
            made[1].close()
        self.ended_with[recipe] = end
        if isinstance(end, NotLocked) and end.error is not None and not self._keep_going:
            self.stopped = True
        self._told(recipe, end)
        self._tell(recipe)

    def _tell(self, recipe: Path) -> None:
        """Let those go on who wait for a recipe, or end them with it."""
        end = self.ended_with[recipe]
        for user in self._users.pop(recipe, ()):
            if not isinstance(end, NotLocked):
                self._agenda.append(lambda user=user: self._count(user))  # type: ignore[misc]
            elif user in self._making:
                base = recipe if end.error is not None else end.base
                self._agenda.append(lambda user=user, base=base: self._lose(user, base))  # type: ignore[misc]

    def _lose(self, recipe: Path, base: Path | None) -> None:
        if recipe in self._making:
            self._end(recipe, NotLocked(base=base))

    def _go_on(self) -> None:
        while self._agenda:
            self._agenda.popleft()()
