"""``realize`` and ``plan`` as verbs of a session: what sources mean, locks that fit, then one graph of all.

Locking is over before anything is built: only then is known which builds are equal, and a store is asked once.

Rules of the file: finds out what is wanted; making it is the realizer's.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from envbuild.environments.many import Ended, Many, Tally
from envbuild.environments.realized import Mode, Planned, Realized, RealizeOptions, Wanted, environment_for
from envbuild.environments.realizing import by_project
from envbuild.errors import EnvbuildError, UsageError
from envbuild.locks.folders import own_states
from envbuild.locks.locking import LockOptions, frozen_lock
from envbuild.locks.place import lock_path
from envbuild.machine.virtual import check_system, current_platform
from envbuild.projects.project import Project, make_request, project_files
from envbuild.projects.recipe_files import LINKS, link_name, shown_path
from envbuild.value import replace

if TYPE_CHECKING:
    from collections.abc import Callable

    from envbuild.environments.many import State
    from envbuild.environments.realizing import Realizer
    from envbuild.lock import Lock
    from envbuild.locks.locking import Locked
    from envbuild.locks.together import NotLocked
    from envbuild.names import Source
    from envbuild.reporter import Reporter


class RealizeVerbs:
    """The verbs; ``envbuild.session.Session`` is one of these."""

    _environ: Mapping[str, str]
    _reporter: Reporter
    _keep_going: bool

    if TYPE_CHECKING:

        def project(self, recipe: Path | None = None) -> Project: ...  # noqa: D102  it is the session's

        def _realizer(self, project: Project) -> Realizer: ...

        def _source(self, source: Path | str) -> Source: ...

        def _wanted_source(self, source: Source) -> tuple[Project, Wanted]: ...

        def _checked(self, recipe: Path) -> Locked: ...

        def _lock_family(
            self,
            recipes: Sequence[Path],
            options: LockOptions,
            *,
            write: bool,
            told: Callable[[Path, Locked | NotLocked], None],
        ) -> None: ...

        def _ask_moved(self) -> None: ...

        def _tell_moved(self, *, online: bool) -> None: ...

    def plan(self, *sources: Path | str, mode: Mode = "auto", closure: str | None = None) -> tuple[Planned, ...]:
        """What ``realize`` would do; locks that do not fit are solved, and not written."""
        asked = _Asked(self._meant_all(sources))
        self._find(asked, mode, write=False)
        asked.many().check()
        self._ask_moved()
        wanted = by_project([asked.wanted[path] for path in asked.sources])
        plans = tuple(self._realizer(project).plan(items, closure=closure) for project, items in wanted)
        self._tell_moved(online=any(row.state not in {"hit", "not needed"} for plan in plans for row in plan.rows))
        return plans

    def realize(
        self, *sources: Path | str, mode: Mode = "auto", options: RealizeOptions | None = None
    ) -> tuple[Realized, ...]:
        """Make environments exist on this machine; see ``envbuild.environments.realizing``.

        Args:
            sources: Recipes, locks, names, ids and prefixes; text is what ``envbuild.names.source_of`` says.
            mode: What becomes of a lock that does not fit; a name and an id have none.
            options: Where they go.

        Raises:
            StaleError: With mode ``locked``, when a lock does not fit.
            UnsatisfiableError: When there is no environment for this machine, or it lacks what the lock assumes.
            UsageError: ``same-link`` when two would have one out-link.
        """
        many = self.realize_each(*sources, mode=mode, options=options)
        many.check()
        made = {item.recipe: item.realized for item in many.ended}
        every = (made[_key(source, self._source(source))] for source in sources)
        return tuple(item for item in every if item is not None)

    def realize_each(self, *sources: Path | str, mode: Mode = "auto", options: RealizeOptions | None = None) -> Many:
        """As ``realize``, and what became of each source; nothing that failed is raised. Each source once.

        With the session's ``keep_going`` all others are made; without it, what had begun when one failed.

        Raises:
            UsageError: ``same-link``.
        """
        chosen = options or RealizeOptions()
        asked = _Asked(self._meant_all(sources))
        if chosen.link and chosen.prefix is None:
            self._refuse_twin_links(asked)
        tally = Tally(asked.sources, self._reporter)
        asked.told = tally.end
        self._find(asked, mode)
        if asked.failed and not self._keep_going:
            return asked.many()
        self._ask_moved()
        for project, items in by_project([item for path, item in asked.wanted.items() if path not in asked.ended]):
            if asked.failed and not self._keep_going:
                break
            places = {id(item): path for path, (_, item) in asked.wanted.items()}

            def told(
                place: int,
                made: Realized | EnvbuildError | None,
                items: Sequence[Wanted] = items,
                places: Mapping[int, Path] = places,
            ) -> None:
                asked.end(places[id(items[place])], made)

            self._realizer(project).realize(items, chosen, told)
        many = asked.many()
        made = [item.realized for item in many.ended if item.realized is not None]
        self._tell_moved(online=any(item.fetched or item.pulled or item.built for item in made))
        return many

    def _meant_all(self, sources: Sequence[Path | str]) -> dict[Path, Source]:
        """What words mean, each once: a recipe by its file, anything else as it was typed."""
        found = {}
        for source in sources:
            meant = self._source(source)
            found[_key(source, meant)] = meant
        return found

    def _find(self, asked: _Asked, mode: Mode, *, write: bool = True) -> None:
        """Find out what each source wants; recipes are locked together."""
        recipes = [path for path, meant in asked.sources.items() if meant.kind == "recipe"]
        for path, meant in asked.sources.items():
            if meant.kind != "recipe" and self._goes_on(asked):
                asked.attempt(path, self._wanted_source, meant)
        if mode == "frozen":
            for path in recipes:
                if self._goes_on(asked):
                    asked.attempt(path, self._wanted_frozen, path)
            return
        known: dict[Path, tuple[tuple[Path, ...], dict[str, str | None]]] = {}
        locked: dict[Path, Locked | NotLocked] = {}
        for path in recipes:  # first: what is edited meanwhile counts
            if self._goes_on(asked):
                try:
                    request, files = make_request(project := self.project(path), path)
                    known[path] = files, own_states(project.root, request, self._environ)
                    if mode == "locked":
                        locked[path] = self._checked(path)
                except EnvbuildError as error:
                    asked.end(path, error)
        if mode == "auto" and self._goes_on(asked):

            def told(recipe: Path, end: Locked | NotLocked) -> None:
                locked[recipe] = end

            self._lock_family(list(known), LockOptions(), write=write, told=told)
        for path, (files, folders) in known.items():
            if path in locked:
                asked.attempt(path, self._wanted_locked, path, locked[path], files, folders, asked)
        for path, end in locked.items():
            if path not in asked.sources:
                asked.beside(path, end)

    def _wanted_frozen(self, recipe: Path) -> tuple[Project, Wanted]:
        return self._wanted_recipe(recipe, frozen_lock(recipe))

    def _goes_on(self, asked: _Asked) -> bool:
        return self._keep_going or not asked.failed

    def _wanted_locked(
        self,
        recipe: Path,
        end: Locked | NotLocked,
        files: tuple[Path, ...],
        folders: dict[str, str | None],
        asked: _Asked,
    ) -> tuple[Project, Wanted] | None:
        """What a recipe wants that was locked; None when it was not, which is noted."""
        from envbuild.locks.locking import Locked

        if not isinstance(end, Locked):
            asked.lost(recipe, end)
            return None
        root = self.project(recipe).root
        for base in end.all_bases():
            folders |= own_states(root, base.request, self._environ)
        return self._wanted_recipe(recipe, end.lock, (*files, *end.files()), folders)

    def _wanted_recipe(
        self, recipe: Path, lock: Lock, files: Iterable[Path] = (), folders: Mapping[str, str | None] | None = None
    ) -> tuple[Project, Wanted]:
        project = self.project(recipe)
        return project, Wanted(
            recipe=recipe,
            name=recipe.stem,
            lock=lock,
            environment=environment_for(lock, current_platform(), recipe.stem),
            files=(*(files or (recipe, lock_path(recipe))), *project.config.files, *project_files(recipe.parent)),
            link=self._link_of(recipe),
            folders=tuple(sorted((folders or {}).items())),
        )

    def _wanted(self, source: Path | str, mode: Mode, *, write: bool = True) -> tuple[Project, Wanted]:
        asked = _Asked(self._meant_all([source]))
        self._find(asked, mode, write=write)
        asked.many().check()
        (wanted,) = asked.wanted.values()
        return wanted

    def _link_of(self, recipe: Path) -> Path:
        project = self.project(recipe)
        return project.root / LINKS / link_name(recipe, project.root, project.config.recipes)

    def _refuse_twin_links(self, asked: _Asked) -> None:
        """Refuse two recipes that would have one out-link, before anything is done.

        Raises:
            UsageError: ``same-link``.
        """
        first: dict[Path, Path] = {}
        for path, meant in asked.sources.items():
            if meant.kind == "recipe" and path.parent.is_dir():
                link = self._link_of(path)
                other = first.setdefault(link, path)
                if other != path:
                    raise UsageError(
                        f"{shown_path(other)} and {shown_path(path)} would both be linked as {shown_path(link)}",
                        reference="same-link",
                        hint="rename one of them, realize them one by one with --out-link, or make no links: "
                        "--no-out-link",
                    )


class _Asked:
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

    def many(self) -> Many:
        """What became of all; what nobody has told of was not begun."""
        ended = tuple(self.ended.get(path, Ended(recipe=path, state="not-begun")) for path in self.sources)
        return Many(ended=ended, beside=tuple(self._beside))


def _key(source: Path | str, meant: Source) -> Path:
    """A recipe's file, and of anything else what was typed."""
    return Path(os.path.abspath(meant.text)) if meant.kind == "recipe" else Path(str(source))
