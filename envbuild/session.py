"""The session: every verb as a function on values. The command line is a shell on it, and so is any Python program.

::

    from envbuild.session import Session

    (train,) = Session().realize("recipes/train.yaml")
    print(train.prefix, train.environment)

A session finds the project of each recipe from the recipe's folder upwards, reads configuration and environment
variables, opens the home, and wires solver, scheduler, store and reporter. Nothing here prints.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from envbuild.doctor.verbs import DoctorVerbs
from envbuild.environments.affected_verbs import AffectedVerbs
from envbuild.environments.collect_verbs import CollectVerbs
from envbuild.environments.copy_verbs import CopyVerbs
from envbuild.environments.kernel_verbs import KernelVerbs
from envbuild.environments.look_verbs import LookVerbs
from envbuild.environments.move_verbs import MoveVerbs
from envbuild.environments.name_verbs import NameVerbs
from envbuild.environments.picture_verbs import PictureVerbs
from envbuild.environments.realized import Mode, Planned, Realized, RealizeOptions, Wanted, environment_for
from envbuild.environments.realizing import Realizer, by_project
from envbuild.environments.rebuild_verbs import RebuildVerbs
from envbuild.environments.remove_verbs import RemoveVerbs
from envbuild.environments.send_verbs import SendVerbs
from envbuild.environments.state_verbs import StateVerbs
from envbuild.environments.store_verbs import StoreVerbs
from envbuild.environments.trust_verbs import TrustVerbs
from envbuild.environments.verbs import UpkeepVerbs
from envbuild.environments.verify_verbs import VerifyVerbs
from envbuild.errors import EnvbuildError, UnreachableError, UsageError, several
from envbuild.exchange.image_verbs import ImageVerbs
from envbuild.exchange.verbs import ExchangeVerbs
from envbuild.locks.folders import own_digests, own_states
from envbuild.locks.locking import (
    Locked,
    Locking,
    LockOptions,
    check_lock,
    check_platforms,
    fitting_lock,
    frozen_lock,
    make_lock,
    read_lock,
)
from envbuild.locks.place import lock_path
from envbuild.machine.virtual import check_system, current_platform
from envbuild.projects.checkout import edited
from envbuild.projects.project import (
    Project,
    cut_off,
    find_project,
    make_request,
    project_files,
    request_notes,
    shown_path,
)
from envbuild.projects.recipe_files import LINKS, link_name, recipes_below
from envbuild.reporter import Reporter
from envbuild.request import INHERITED
from envbuild.review.audit_verbs import AuditVerbs
from envbuild.review.check_verbs import CheckVerbs
from envbuild.review.diff_verbs import DiffVerbs
from envbuild.review.lock_history import LockHistoryVerbs
from envbuild.review.publish_verbs import PublishVerbs

if TYPE_CHECKING:
    from envbuild.digest import Digest
    from envbuild.environments.asking import Before
    from envbuild.environments.stores import Clouds
    from envbuild.graph import Graph
    from envbuild.request import Request


class Session(
    DiffVerbs,
    ExchangeVerbs,
    ImageVerbs,
    CheckVerbs,
    StoreVerbs,
    MoveVerbs,
    SendVerbs,
    NameVerbs,
    LockHistoryVerbs,
    LookVerbs,
    AffectedVerbs,
    CopyVerbs,
    KernelVerbs,
    PictureVerbs,
    PublishVerbs,
    RebuildVerbs,
    RemoveVerbs,
    StateVerbs,
    CollectVerbs,
    VerifyVerbs,
    TrustVerbs,
    UpkeepVerbs,
    AuditVerbs,
    DoctorVerbs,
):
    """All verbs; further ones stand in ``exchange.verbs``, ``environments.store_verbs``, ``.name_verbs``, ``.verbs``.

    Args:
        start: Where projects are looked for when no recipe says; the working folder by default.
        reporter: Told everything that happens.
        offline: Use no network.
        jobs: Jobs that compute at once; the machine's processors by default.
        keep_going: After a failure, still do what does not need it.
        stores: Addresses of shared stores, asked before those that are configured.
        flags: Settings that override variables and configuration files.
        environ: Environment variables; this process's by default.
        before: Told what each recipe needs done, before any of it starts; see ``environments.asking``.
        clouds: Opens stores in S3, Google's and Azure's where their libraries are not; as of ``open_objects``.
    """

    def __init__(
        self,
        start: Path | str | None = None,
        *,
        reporter: Reporter | None = None,
        offline: bool = False,
        jobs: int | None = None,
        keep_going: bool = False,
        stores: Sequence[str] = (),
        flags: Mapping[str, str] | None = None,
        environ: Mapping[str, str] | None = None,
        before: Before | None = None,
        clouds: Clouds | None = None,
    ) -> None:
        self._start = Path(start) if start is not None else Path.cwd()
        self._before = before
        self._clouds = clouds
        self._reporter = reporter or Reporter()
        self._offline = offline
        self._jobs = jobs
        self._keep_going = keep_going
        self._stores = tuple(stores)
        self._flags = dict(flags or {})
        self._environ = os.environ if environ is None else environ
        self._projects: dict[Path, Project] = {}
        self._realizers: dict[Path, Realizer] = {}
        self._open_stores = {}
        self._locked: dict[Path, Locked] = {}

    # Projects

    def project(self, recipe: Path | None = None) -> Project:
        """The project of a recipe, or of the folder in which the session started."""
        start = self._start if recipe is None else recipe
        folder = start if start.is_dir() else start.parent
        if folder not in self._projects:
            self._projects[folder] = find_project(start, self._environ, self._flags)
            for warning in self._projects[folder].config.warnings:
                self._reporter.note(warning)
        return self._projects[folder]

    def adopt(self, folder: Path, project: Project) -> None:
        """Let the recipes of a folder belong to a project, also where no ``envbuild.yaml`` says so."""
        self._projects[folder] = project

    def recipes(self) -> tuple[Path, ...]:
        """Every recipe of the project, bases before what extends them where names do not say otherwise.

        Raises:
            UsageError: ``no-recipes`` when its recipe folder holds none.
        """
        project = self.project()
        folder = project.root / project.config.recipes
        found = recipes_below(folder)
        if not found:
            raise UsageError(
                f"there are no recipes in {folder}", reference="no-recipes", hint="name one, or `envbuild init`"
            )
        return found

    # Locks

    def lock(self, *recipes: Path | str, options: LockOptions | None = None, write: bool = True) -> tuple[Locked, ...]:
        """Make locks that fit; see ``envbuild.locks.locking``. What several recipes need solved is one graph.

        Args:
            recipes: Their files.
            options: What may change.
            write: Whether they are written, or only told.

        Raises:
            UnsatisfiableError: When a recipe has no solution.
        """
        chosen = options or LockOptions()
        return tuple(self._lock_together([_absolute(recipe) for recipe in recipes], chosen, write=write))

    def check(self, *recipes: Path | str) -> tuple[Locked, ...]:
        """The locks, when all of them fit (else StaleError); without a network."""
        return tuple(self._checked(_absolute(recipe)) for recipe in recipes)

    def _lock(self, recipe: Path, options: LockOptions, *, write: bool = True) -> Locked:
        return self._lock_together([recipe], options, write=write)[0]

    def _lock_together(self, recipes: Sequence[Path], options: LockOptions, *, write: bool = True) -> list[Locked]:
        from envbuild.locks.together import together

        def solve(project: Project, graphs: Mapping[int, Graph]) -> dict[Digest, bytes]:
            return self._realizer(project).solve([(recipes[number], graph) for number, graph in graphs.items()])

        return together(
            [(self.project(recipe), self._locking(recipe, options, write=write)) for recipe in recipes], solve
        )

    def _locking(self, recipe: Path, options: LockOptions, *, write: bool) -> Locking:
        if recipe in self._locked:
            return self._locked[recipe]
        project = self.project(recipe)
        request, _ = make_request(project, recipe)
        check_platforms(recipe, options.platforms, request)
        bases = tuple(self._lock(path, LockOptions(), write=write) for path in _base_files(project, request))
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

    # Environments

    def plan(self, *sources: Path | str, mode: Mode = "auto", closure: str | None = None) -> tuple[Planned, ...]:
        """What ``realize`` would do; locks that do not fit are solved, and not written."""
        wanted = [self._wanted(source, mode, write=False) for source in sources]
        self._ask_moved()
        plans = tuple(self._realizer(project).plan(items, closure=closure) for project, items in by_project(wanted))
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
        """
        wanted, failures = [], []
        for source in sources:
            try:
                wanted.append(self._wanted(source, mode))
            except EnvbuildError as error:
                if not self._keep_going:
                    raise
                failures.append(error)
        for _, item in wanted:
            check_system(item.environment.platform, item.environment.system)
        self._ask_moved()
        made: dict[Path, Realized] = {}
        for project, items in by_project(wanted):
            for realized in self._realizer(project).realize(items, options or RealizeOptions()):
                made[realized.recipe] = realized
        self._tell_moved(online=any(item.fetched or item.pulled or item.built for item in made.values()))
        if failures:
            raise failures[0] if len(failures) == 1 else several(failures)
        return tuple(made[item.recipe] for _, item in wanted)

    def _wanted(self, source: Path | str, mode: Mode, *, write: bool = True) -> tuple[Project, Wanted]:
        meant = self._source(source)
        if meant.kind != "recipe":
            return self._wanted_source(meant)
        recipe = _absolute(meant.text)
        project = self.project(recipe)
        files: tuple[Path, ...] = (recipe, lock_path(recipe))
        folders: dict[str, str | None] = {}
        if mode == "frozen":
            lock = frozen_lock(recipe)
        else:
            request, asked = make_request(project, recipe)
            folders = own_states(project.root, request, self._environ)  # first: what is edited meanwhile counts
            locked = self._checked(recipe) if mode == "locked" else self._lock(recipe, LockOptions(), write=write)
            lock = locked.lock
            files = (*asked, *locked.files())
            for base in locked.all_bases():
                folders |= own_states(project.root, base.request, self._environ)
        return project, Wanted(
            recipe=recipe,
            name=recipe.stem,
            lock=lock,
            environment=environment_for(lock, current_platform(), recipe.stem),
            files=(*files, *project.config.files, *project_files(recipe.parent)),
            link=project.root / LINKS / link_name(recipe, project.root, project.config.recipes),
            folders=tuple(sorted(folders.items())),
        )

    def _realizer(self, project: Project) -> Realizer:
        if project.root not in self._realizers:
            self._realizers[project.root] = Realizer.open(
                project,
                self._reporter,
                environ=self._environ,
                offline=self._offline,
                jobs=self._jobs,
                keep_going=self._keep_going,
                stores=self._stores,
                opened=self._opened(project),
                before=self._before,
            )
        return self._realizers[project.root]

    # Recipes

    def add(
        self,
        recipe: Path | str,
        requirements: Sequence[str],
        *,
        section: str | None = None,
        target: str | None = None,
        lock: bool = True,
    ) -> Locked | None:
        """Add requirements to a recipe's text and lock it; see ``envbuild.editing``. None when nothing was locked."""
        from envbuild.reading.edit import add_requirements

        path = _absolute(recipe)
        chosen = section or ("conda" if self._interpreter(path) == "conda" else "pypi")
        return self._edit(
            path,
            lambda text: add_requirements(text, requirements, ecosystem=chosen, platform=target, file=shown_path(path)),
            target,
            lock=lock,
        )

    def _interpreter(self, recipe: Path) -> str:
        """Where a recipe's Python comes from; of one that takes it from a named base, as its lock has it."""
        interpreter = make_request(self.project(recipe), recipe)[0].interpreter
        if interpreter != INHERITED:
            return interpreter
        lock = read_lock(recipe)
        return lock.platforms[0].interpreter if lock is not None and lock.platforms else interpreter

    def remove_package(
        self,
        recipe: Path | str,
        names: Sequence[str],
        *,
        section: str | None = None,
        target: str | None = None,
        lock: bool = True,
    ) -> Locked | None:
        """Remove requirements from a recipe's text and lock it. None when nothing was locked."""
        from envbuild.reading.edit import remove_requirements

        path = _absolute(recipe)
        return self._edit(
            path,
            lambda text: remove_requirements(text, names, ecosystem=section, platform=target, file=shown_path(path)),
            None,
            lock=lock,
        )

    def _edit(self, recipe: Path, change: Callable[[str], str], target: str | None, *, lock: bool) -> Locked | None:
        """Change a recipe's text and lock it. When that fails, the recipe is what it was."""
        with edited(recipe, change):
            self._projects.clear()
            self._locked.clear()
            try:
                locked = self._lock(recipe, LockOptions()) if lock else None
            except EnvbuildError:
                self._reporter.note(
                    f"{shown_path(recipe)} is as it was before; the lines named below are what was tried"
                )
                raise
        if (
            target is not None
            and locked is not None
            and target not in {part.platform for part in locked.lock.platforms}
        ):
            self._reporter.note(f"{shown_path(recipe)} is not for {target}: what was added there has no effect")
        return locked


def _base_files(project: Project, request: Request) -> tuple[Path, ...]:
    """The recipes that a request extends."""
    return tuple(project.root / base.path for base in request.bases if base.request is not None)


def _absolute(recipe: Path | str) -> Path:
    return Path(os.path.abspath(recipe))
