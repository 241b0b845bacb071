"""What every session can do: find projects and recipes, open homes and stores, lock and realize.

Commands that make environments start with this one alone: importing all verbs takes them 10 to 20 ms longer.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from envbuild.environments.lock_verbs import LockVerbs
from envbuild.environments.name_verbs import NameVerbs
from envbuild.environments.realize_verbs import RealizeVerbs
from envbuild.environments.realizing import Realizer
from envbuild.environments.store_verbs import StoreVerbs
from envbuild.errors import UsageError
from envbuild.locks.locking import Locked
from envbuild.projects.config_files import PROJECT_FILE
from envbuild.projects.project import Project, find_project
from envbuild.projects.recipe_files import is_folder, is_there, recipes_below, recipes_of_pattern
from envbuild.reporter import Reporter

if TYPE_CHECKING:
    from envbuild.environments.asking import Before
    from envbuild.environments.stores import Clouds


class BaseSession(LockVerbs, RealizeVerbs, StoreVerbs, NameVerbs):
    """Locking and realizing, with what they need; ``envbuild.session.Session`` has all verbs.

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
        only_stores: Everything comes from shared stores, which must answer; see ``Realizer.open``.
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
        only_stores: bool = False,
    ) -> None:
        self._start = Path(start) if start is not None else Path.cwd()
        self._before = before
        self._clouds = clouds
        self._reporter = reporter or Reporter()
        self._offline = offline
        self._only_stores = only_stores
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

    def recipes(self, *words: Path | str) -> tuple[Path, ...]:
        """Recipes by what stands for them, each once; without a word every recipe of the project.

        Args:
            words: Files, folders, patterns. The folder of a project stands for its folder of recipes.

        Raises:
            UsageError: ``no-recipes`` for a folder or a pattern that leads to none.
        """
        if not words:
            project = self.project()
            return _some(recipes_below(project.root / project.config.recipes), project.root / project.config.recipes)
        return tuple(dict.fromkeys(path for word in words for path in self._recipes_of(word) or (Path(word),)))

    def sources(self, *words: str) -> tuple[Path | str, ...]:
        """Sources, with the recipes of folders and patterns in their place; see ``recipes``."""
        return tuple(
            path for word in words for path in (() if self._is_one(word) else self._recipes_of(word) or ()) or (word,)
        )

    def _is_one(self, word: str) -> bool:
        """Whether a word is a source already, as the folder of an environment is."""
        return is_there(word) and (not is_folder(word) or self._source(word).kind == "prefix")

    def _recipes_of(self, word: Path | str) -> tuple[Path, ...] | None:
        """The recipes of a folder or a pattern; None for anything else."""
        folder = Path(word)
        if not is_folder(word):
            found = recipes_of_pattern(str(word))
            return None if found is None else _some(found, word)
        if (folder / PROJECT_FILE).is_file():
            folder /= self.project(folder).config.recipes
        return _some(recipes_below(folder), folder)

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
                only_stores=self._only_stores,
            )
        return self._realizers[project.root]


def _some(found: tuple[Path, ...], place: Path | str) -> tuple[Path, ...]:
    if not found:
        where = f"in {place}" if isinstance(place, Path) else f"that are called {place}"
        raise UsageError(f"there are no recipes {where}", reference="no-recipes", hint="name one, or `envbuild init`")
    return found
