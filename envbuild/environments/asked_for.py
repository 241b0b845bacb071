"""What a verb was asked for: what each source wants, what has become of it, and what is built as soon as it is known.

Rules of the file: book-keeping; finding out is the verb's, making is the realizer's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from envbuild.environments.making import Making
from envbuild.environments.many import Ended, Many
from envbuild.environments.realized import Realized, RealizeOptions, Wanted
from envbuild.errors import EnvbuildError
from envbuild.machine.virtual import check_system
from envbuild.value import replace

if TYPE_CHECKING:
    from envbuild.environments.many import State
    from envbuild.environments.realizing import Realizer
    from envbuild.locks.locking import Locked
    from envbuild.locks.together import NotLocked
    from envbuild.names import Source
    from envbuild.parts import Parted
    from envbuild.projects.project import Project


class Asked:
    """What was asked for, and what has become of it."""

    def __init__(self, sources: Mapping[Path, Source]) -> None:
        self.sources = sources
        self.wanted: dict[Path, tuple[Project, Wanted]] = {}
        self.ended: dict[Path, Ended] = {}
        self.told: Callable[[Path, State], None] = lambda path, state: None
        self.failed = False
        self._beside: list[Ended] = []

    def attempt(self, path: Path, find: Callable[..., tuple[Project, Wanted] | None], *given: object) -> None:
        """Find out what a source wants, and whether this machine can have it."""
        try:
            found = find(*given)
            if found is not None:
                check_system(found[1].environment.platform, found[1].environment.system)
                self.wanted[path] = found
        except EnvbuildError as error:
            self.end(path, error)

    def end(self, path: Path, made: Realized | EnvbuildError | None) -> None:
        """Note what became of a source."""
        if isinstance(made, EnvbuildError):
            self._end(Ended(recipe=path, state="failed", error=made))
        elif made is None:
            self._end(Ended(recipe=path, state="not-begun"))
        else:
            self._end(Ended(recipe=path, state="unchanged" if made.present else "done", realized=made))

    def lost(self, path: Path, end: NotLocked) -> None:
        """Note that a recipe has no lock."""
        state = Ended(recipe=path, state="not-begun", base=end.base)
        self._end(state if end.error is None else replace(state, state="failed", error=end.error))

    def beside(self, path: Path, end: Locked | NotLocked) -> None:
        """Note what became of a base that nobody named."""
        error = getattr(end, "error", None)
        if error is not None:
            self.failed = True
            self._beside.append(Ended(recipe=path, state="failed", error=error))

    def _end(self, item: Ended) -> None:
        self.ended[item.recipe] = item
        self.failed = self.failed or item.error is not None
        self.told(item.recipe, item.state)

    def planned(self) -> tuple[Path, ...]:
        """Note of all that are wanted that they are planned, and which these are."""
        left = tuple(path for path in self.sources if path in self.wanted and path not in self.ended)
        self.ended.update((path, Ended(recipe=path, state="done")) for path in left)
        return left

    def many(self) -> Many:
        """What became of all; what nobody has told of was not begun."""
        ended = tuple(self.ended.get(path, Ended(recipe=path, state="not-begun")) for path in self.sources)
        return Many(ended=ended, beside=tuple(self._beside))


class Building:
    """What is built of what was asked for.

    Args:
        asked: Told what becomes of each source.
        options: Where environments go.
        realizer: That of a project.
    """

    def __init__(self, asked: Asked, options: RealizeOptions, realizer: Callable[[Project], Realizer]) -> None:
        self._asked = asked
        self._options = options
        self._realizer = realizer
        self._projects: dict[Path, tuple[Realizer, Making]] = {}
        self._taken: set[Path] = set()

    def take(self, path: Path) -> None:
        """Let the environment of a source be built, once it is known which that is."""
        if path in self._asked.wanted and path not in self._asked.ended and path not in self._taken:
            self._taken.add(path)
            project, item = self._asked.wanted[path]
            self._of(project)[1].want(item, partial(self._asked.end, path))

    def stop(self) -> None:
        """Begin nothing more."""
        for _, making in self._projects.values():
            making.stopped = True

    def run(self, project: Project, locks: Parted) -> None:
        """Run locks of a project, and beside them build what is taken of it by now, and while that goes on."""
        realizer, making = self._of(project)
        realizer.make(making, locks)

    def finish(self) -> None:
        """Build all that is left."""
        for path in self._asked.wanted:
            self.take(path)
        for realizer, making in self._projects.values():
            if making.waiting() and (realizer.keep_going or not self._asked.failed):
                realizer.make(making)

    def _of(self, project: Project) -> tuple[Realizer, Making]:
        if project.root not in self._projects:
            realizer = self._realizer(project)
            self._projects[project.root] = realizer, Making(realizer, self._options)
        return self._projects[project.root]
