"""``lock`` and ``check`` as verbs of a session: locks that fit their recipes, bases first, each once.

Rules of the file: finds projects and requests; what a lock becomes is ``envbuild.locks.locking``'s word.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, cast

from envbuild.environments.many import Ended, Many, Tally
from envbuild.errors import EnvbuildError, UnreachableError
from envbuild.locks.folders import own_digests
from envbuild.locks.locking import (
    Locked,
    LockOptions,
    check_lock,
    check_platforms,
    fitting_lock,
    make_lock,
)
from envbuild.locks.place import lock_path
from envbuild.projects.project import Project, cut_off, make_request, request_notes

if TYPE_CHECKING:
    from envbuild.digest import Digest
    from envbuild.environments.realizing import Realizer
    from envbuild.graph import Graph
    from envbuild.lock import LockedEnvironment
    from envbuild.locks.inheriting import NamedBase
    from envbuild.locks.together import Making, NotLocked
    from envbuild.parts import Parted
    from envbuild.reporter import Reporter
    from envbuild.request import Request
    from envbuild.scheduler import Outcome


class LockVerbs:
    """The verbs; ``envbuild.session.Session`` is one of these."""

    _environ: Mapping[str, str]
    _reporter: Reporter
    _keep_going: bool
    _locked: dict[Path, Locked]

    if TYPE_CHECKING:

        def project(self, recipe: Path | None = None) -> Project: ...  # noqa: D102  it is the session's

        def _realizer(self, project: Project) -> Realizer: ...

        def _ask_moved(self) -> None: ...

        def _tell_moved(self, *, online: bool) -> None: ...

        def _expect_bases(self, recipe: Path, request: Request) -> None: ...

        def _upgraded_bases(self, recipe: Path, request: Request) -> dict[str, NamedBase] | None: ...

        def _named_bases(self, recipe: Path, request: Request, *, newest: bool = False) -> dict[str, NamedBase]: ...

        def _reusable(
            self, project: Project, request: Request, bases: tuple[Locked, ...]
        ) -> tuple[LockedEnvironment, ...]: ...

        def _remember_lock(self, project: Project, locked: Locked, *, always: bool) -> None: ...

    def lock(self, *recipes: Path | str, options: LockOptions | None = None, write: bool = True) -> tuple[Locked, ...]:
        """Make locks that fit; see ``envbuild.locks.locking``. What several recipes need solved is one graph.

        Args:
            recipes: Their files.
            options: What may change.
            write: Whether they are written, or only told.

        Raises:
            UnsatisfiableError: When a recipe has no solution.
        """
        many = self.lock_each(*recipes, options=options, write=write)
        many.check()
        by_recipe = {item.recipe: item.locked for item in many.ended}
        files = [Path(os.path.abspath(recipe)) for recipe in recipes]
        return tuple(locked for file in files if (locked := by_recipe[file]) is not None)

    def lock_each(self, *recipes: Path | str, options: LockOptions | None = None, write: bool = True) -> Many:
        """As ``lock``, and what became of each recipe; nothing that failed is raised. Each recipe once.

        With the session's ``keep_going`` all others are locked; without it, what had begun when one failed.
        """
        files = tuple(dict.fromkeys(Path(os.path.abspath(recipe)) for recipe in recipes))
        tally = Tally(files, self._reporter)
        ended: dict[Path, Ended] = {}

        def told(recipe: Path, end: Locked | NotLocked) -> None:
            ended[recipe] = _ended(recipe, end)
            tally.end(recipe, ended[recipe].state)

        self._lock_family(files, options or LockOptions(), write=write, told=told)
        named = set(files)
        beside = tuple(item for recipe, item in ended.items() if recipe not in named and item.error is not None)
        return Many(ended=tuple(ended[file] for file in files), beside=beside)

    def check(self, *recipes: Path | str) -> tuple[Locked, ...]:
        """The locks, when all of them fit (else StaleError, with all that do not); without a network."""
        many = self.check_each(*recipes)
        many.check()
        found = {item.recipe: item.locked for item in many.ended}
        every = (found[Path(os.path.abspath(recipe))] for recipe in recipes)
        return tuple(locked for locked in every if locked is not None)

    def check_each(self, *recipes: Path | str) -> Many:
        """As ``check``, and what became of each recipe: all are looked at, whatever is wrong with one."""
        files = dict.fromkeys(Path(os.path.abspath(recipe)) for recipe in recipes)
        return Many(ended=tuple(map(self._looked_at, files)))

    def _looked_at(self, recipe: Path) -> Ended:
        try:
            return Ended(recipe=recipe, state="unchanged", locked=self._checked(recipe))
        except EnvbuildError as error:
            return Ended(recipe=recipe, state="failed", error=error)

    def _lock(self, recipe: Path, options: LockOptions, *, write: bool = True) -> Locked:
        return self.lock(recipe, options=options, write=write)[0]

    def _lock_family(
        self,
        recipes: Sequence[Path],
        options: LockOptions,
        *,
        write: bool,
        told: Callable[[Path, Locked | NotLocked], None],
        run: Callable[[Project, Parted], None] | None = None,
    ) -> None:
        """Lock recipes and what they extend; see ``envbuild.locks.together``. What ``run`` does beside is its own."""
        from envbuild.environments.solving import fragments
        from envbuild.locks.together import Family

        named = set(recipes)
        said: set[Digest] = set()

        def begin(recipe: Path) -> tuple[Project, Making]:
            chosen = options if recipe in named else LockOptions()  # what was asked of the others is not of their bases
            return self.project(recipe), self._locking(recipe, chosen, write=write)

        def alone(project: Project, parts: Parted) -> None:
            self._realizer(project).run_parts(parts)

        def read(project: Project, graph: Graph, outcome: Outcome) -> dict[Digest, bytes]:
            return fragments(self._realizer(project).workspace, graph, outcome, self._reporter.note, said)

        Family(begin, read, keep_going=self._keep_going, told=told).lock(recipes, run or alone)

    def _locking(self, recipe: Path, options: LockOptions, *, write: bool) -> Making:
        from envbuild.locks.together import Bases

        if recipe in self._locked:
            return self._locked[recipe]
        project = self.project(recipe)
        request, _ = make_request(project, recipe)
        check_platforms(recipe, options.platforms, request)
        files = _base_files(project, request)
        bases = cast("tuple[Locked, ...]", (yield Bases(recipes=files)) if files else ())
        named = self._upgraded_bases(recipe, request) if options.upgrade_base and request.inherits else None
        if request.inherits and not options.upgrade_base:
            self._expect_bases(recipe, request)
        upgrades = options.upgrades or named is not None
        locked = None if upgrades else fitting_lock(recipe, request, bases, self._own(project, request))
        if locked is None:
            from envbuild.locks.remarks import likely_secrets  # not on the way of a lock that fits

            for note in (*request_notes(project, recipe), *likely_secrets(request)):
                self._reporter.note(note)
            realizer = self._realizer(project)
            age = request.exclude_newer
            self._ask_moved()
            try:
                locked = yield from make_lock(
                    recipe,
                    request,
                    bases,
                    options,
                    cut_off(age, datetime.now(timezone.utc)) if age is not None else None,
                    realizer.workspace.addresses,
                    named=named or self._named_bases(recipe, request),
                    ready=() if upgrades or options.platforms else self._reusable(project, request, bases),
                    write=write,
                )
            except UnreachableError as error:
                from envbuild.locks.unsolved import unsolved

                raise unsolved(error, recipe, request, bases, self._own(project, request)) from error.__cause__
            self._tell_moved(online=True)
        self._tell_moved(online=False)
        if write and (locked.written or options.set_default):
            self._remember_lock(project, locked, always=options.set_default)
        if write or not locked.changes:
            self._locked[recipe] = locked
        return locked

    def _checked(self, recipe: Path) -> Locked:
        if recipe not in self._locked:
            project = self.project(recipe)
            request, _ = make_request(project, recipe)
            bases = tuple(self._checked(path) for path in _base_files(project, request))
            lock = check_lock(recipe, request, bases, self._own(project, request))
            self._locked[recipe] = Locked(
                recipe=recipe, path=lock_path(recipe), request=request, lock=lock, written=False, bases=bases
            )
        return self._locked[recipe]

    def _own(self, project: Project, request: Request) -> dict[str, Digest]:
        """What the folders that a recipe names are now."""
        return own_digests(project.root, request, self._environ)


def _ended(recipe: Path, end: Locked | NotLocked) -> Ended:
    if isinstance(end, Locked):
        return Ended(recipe=recipe, state="done" if end.written or end.changes else "unchanged", locked=end)
    return Ended(recipe=recipe, state="failed" if end.error else "not-begun", error=end.error, base=end.base)


def _base_files(project: Project, request: Request) -> tuple[Path, ...]:
    """The recipes that a request extends."""
    return tuple(project.root / base.path for base in request.bases if base.request is not None)
