"""``realize`` and ``plan`` as verbs of a session: what sources mean, locks that fit, and one graph of all.

Of several recipes each is built as soon as it is locked, in the run that locks the others. Where all that is missing is
named before anything starts (without a network, or where only signatures count), locking is over before.

Rules of the file: finds out what is wanted; making it is the realizer's.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from envbuild.environments.asked_for import Asked, Building
from envbuild.environments.many import Many, Tally
from envbuild.environments.realized import Mode, Planned, Realized, RealizeOptions, Wanted, environment_for
from envbuild.environments.realizing import by_project
from envbuild.errors import EnvbuildError, UsageError
from envbuild.locks.folders import own_states
from envbuild.locks.locking import LockOptions, frozen_lock
from envbuild.locks.place import lock_path
from envbuild.machine.virtual import current_platform
from envbuild.projects.project import Project, make_request, project_files
from envbuild.projects.recipe_files import LINKS, link_name, shown_path

if TYPE_CHECKING:
    from collections.abc import Callable

    from envbuild.environments.realizing import Realizer
    from envbuild.lock import Lock
    from envbuild.locks.locking import Locked
    from envbuild.locks.together import NotLocked
    from envbuild.names import Source
    from envbuild.parts import Parted
    from envbuild.reporter import Reporter


class RealizeVerbs:
    """The verbs; ``envbuild.session.Session`` is one of these."""

    _environ: Mapping[str, str]
    _reporter: Reporter
    _keep_going: bool
    _offline: bool

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
            run: Callable[[Project, Parted], None] | None = None,
        ) -> None: ...

        def _ask_moved(self) -> None: ...

        def _tell_moved(self, *, online: bool) -> None: ...

    def plan(self, *sources: Path | str, mode: Mode = "auto", closure: str | None = None) -> tuple[Planned, ...]:
        """What ``realize`` would do; locks that do not fit are solved, and not written."""
        plans, many = self.plan_each(*sources, mode=mode, closure=closure)
        many.check()
        return plans

    def plan_each(
        self, *sources: Path | str, mode: Mode = "auto", closure: str | None = None
    ) -> tuple[tuple[Planned, ...], Many]:
        """As ``plan``, and what became of each source; nothing that failed is raised.

        With the session's ``keep_going`` all others are planned; without it, none.
        """
        asked = Asked(self._meant_all(sources))
        self._find(asked, mode, write=False)
        if asked.failed and not self._keep_going:
            return (), asked.many()
        self._ask_moved()
        wanted = by_project([asked.wanted[path] for path in asked.planned()])
        plans = tuple(self._realizer(project).plan(items, closure=closure) for project, items in wanted)
        self._tell_moved(online=any(row.state not in {"hit", "not needed"} for plan in plans for row in plan.rows))
        return plans, asked.many()

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
        asked = Asked(self._meant_all(sources))
        if chosen.link and chosen.prefix is None:
            self._refuse_twin_links(asked)
        tally = Tally(asked.sources, self._reporter)
        asked.told = tally.end
        building = Building(asked, chosen, self._realizer)
        self._find(asked, mode, building=building if self._may_begin(asked, chosen) else None)
        if asked.failed and not self._keep_going:
            return asked.many()
        self._ask_moved()
        building.finish()
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

    def _may_begin(self, asked: Asked, options: RealizeOptions) -> bool:
        """Whether what is locked may be built while others are being locked."""
        recipes = [path for path, meant in asked.sources.items() if meant.kind == "recipe"]
        if self._offline or len(recipes) < 2 or options.closure is not None:
            return False
        try:
            return all(self.project(path).config.trust.mode != "strict" for path in recipes)
        except EnvbuildError:  # it is said when its turn comes
            return False

    def _find(self, asked: Asked, mode: Mode, *, write: bool = True, building: Building | None = None) -> None:
        """Find out what each source wants; recipes are locked together, and built beside that where ``building`` is."""
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

        def want(path: Path) -> None:
            if path in known and path in locked:
                files, folders = known.pop(path)
                asked.attempt(path, self._wanted_locked, path, locked[path], files, folders, asked)

        if mode == "auto" and self._goes_on(asked):

            def told(recipe: Path, end: Locked | NotLocked) -> None:
                locked[recipe] = end
                if building is not None:
                    want(recipe)
                    building.take(recipe)
                    if not self._goes_on(asked):
                        building.stop()

            if building is not None:
                for path in asked.wanted:
                    building.take(path)
            run = None if building is None else building.run
            self._lock_family(list(known), LockOptions(), write=write, told=told, run=run)
        for path in list(known):
            want(path)
        for path, end in locked.items():
            if path not in asked.sources:
                asked.beside(path, end)

    def _wanted_frozen(self, recipe: Path) -> tuple[Project, Wanted]:
        return self._wanted_recipe(recipe, frozen_lock(recipe))

    def _goes_on(self, asked: Asked) -> bool:
        return self._keep_going or not asked.failed

    def _wanted_locked(
        self,
        recipe: Path,
        end: Locked | NotLocked,
        files: tuple[Path, ...],
        folders: dict[str, str | None],
        asked: Asked,
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
        asked = Asked(self._meant_all([source]))
        self._find(asked, mode, write=write)
        asked.many().check()
        (wanted,) = asked.wanted.values()
        return wanted

    def _link_of(self, recipe: Path) -> Path:
        project = self.project(recipe)
        return project.root / LINKS / link_name(recipe, project.root, project.config.recipes)

    def _refuse_twin_links(self, asked: Asked) -> None:
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


def _key(source: Path | str, meant: Source) -> Path:
    """A recipe's file, and of anything else what was typed."""
    return Path(os.path.abspath(meant.text)) if meant.kind == "recipe" else Path(str(source))
