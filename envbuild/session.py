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
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from envbuild.doctor.verbs import DoctorVerbs
from envbuild.environments.affected_verbs import AffectedVerbs
from envbuild.environments.collect_verbs import CollectVerbs
from envbuild.environments.copy_verbs import CopyVerbs
from envbuild.environments.edit_verbs import EditVerbs
from envbuild.environments.kernel_verbs import KernelVerbs
from envbuild.environments.lock_verbs import LockVerbs
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
from envbuild.errors import EnvbuildError, UsageError, several
from envbuild.exchange.bundle_verbs import BundleVerbs
from envbuild.exchange.image_verbs import ImageVerbs
from envbuild.exchange.verbs import ExchangeVerbs
from envbuild.locks.folders import own_states
from envbuild.locks.locking import (
    Locked,
    LockOptions,
    frozen_lock,
)
from envbuild.locks.place import lock_path
from envbuild.machine.virtual import check_system, current_platform
from envbuild.projects.project import (
    Project,
    find_project,
    make_request,
    project_files,
)
from envbuild.projects.recipe_files import LINKS, link_name, recipes_below
from envbuild.reporter import Reporter
from envbuild.review.audit_verbs import AuditVerbs
from envbuild.review.check_verbs import CheckVerbs
from envbuild.review.diff_verbs import DiffVerbs
from envbuild.review.lock_history import LockHistoryVerbs
from envbuild.review.publish_verbs import PublishVerbs

if TYPE_CHECKING:
    from envbuild.environments.asking import Before
    from envbuild.environments.stores import Clouds


class Session(
    LockVerbs,
    EditVerbs,
    DiffVerbs,
    ExchangeVerbs,
    ImageVerbs,
    BundleVerbs,
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
        executor: Where work is sent: an address as of the setting, a pool of ``concurrent.futures`` or what looks
            like one, or a client of Dask's. It stays open, and the caller's own. As configured by default.
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
        executor: object = None,
    ) -> None:
        self._start = Path(start) if start is not None else Path.cwd()
        self._before = before
        self._clouds = clouds
        self._reporter = reporter or Reporter()
        self._offline = offline
        self._jobs = jobs
        self._keep_going = keep_going
        self._stores = tuple(stores)
        self._flags = {**(flags or {}), **({"executor": executor} if isinstance(executor, str) else {})}
        self._executor = None if isinstance(executor, str) else executor
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
                executor=self._executor,
            )
        return self._realizers[project.root]


def _absolute(recipe: Path | str) -> Path:
    return Path(os.path.abspath(recipe))
