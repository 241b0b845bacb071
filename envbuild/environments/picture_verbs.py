"""``graph`` as a verb of a session: the derivation graph of an environment, as it stands now.

Rules of the file: plans, and does nothing; ``envbuild.pictures`` makes the picture.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from envbuild.digest import Digest

if TYPE_CHECKING:
    from envbuild.environments.realized import Mode, Wanted
    from envbuild.environments.realizing import Realizer
    from envbuild.environments.source_verbs import Looked
    from envbuild.graph import Graph
    from envbuild.locks.locking import Locked
    from envbuild.names import Source
    from envbuild.package import Platform
    from envbuild.pictures.picture import Picture
    from envbuild.projects.project import Project
    from envbuild.recipe import Tests
    from envbuild.store.folder import FolderStore


class PictureVerbs:
    """The verbs; ``envbuild.session.Session`` is one of these."""

    _environ: Mapping[str, str]

    if TYPE_CHECKING:

        def recipes(self) -> tuple[Path, ...]: ...  # noqa: D102  it is the session's

        def _wanted(self, source: Path | str, mode: Mode, *, write: bool = True) -> tuple[Project, Wanted]: ...

        def _realizer(self, project: Project) -> Realizer: ...

        def _source(self, source: Path | str) -> Source: ...

        def _look(self, source: Path | str, platform: str | None) -> Looked: ...

        def _checked(self, recipe: Path) -> Locked: ...

        def lock(self, *recipes: Path | str, write: bool = True) -> tuple[Locked, ...]: ...  # noqa: D102

        def project(self, recipe: Path | None = None) -> Project: ...  # noqa: D102  it is the session's

    def graph(
        self,
        source: Path | str | None = None,
        *,
        mode: Mode = "auto",
        closure: str | None = None,
        platforms: Sequence[str] = (),
    ) -> Picture:
        """The derivation graph of an environment: what is there, what is to do and why, and the last run.

        Of a recipe, its test is a part of it, though it is run by ``publish`` alone.

        Args:
            source: Any SOURCE; None for the project's recipe when it has only one.
            mode: What becomes of a lock that does not fit; it is solved, and not written, with ``auto``.
            closure: As in ``realize``.
            platforms: Of these platforms, in one picture; this machine's by default.

        Raises:
            UsageError: ``which-recipe``, ``unknown-platform``.
            EnvbuildError: As ``plan``.
        """
        from envbuild.environments.only_recipe import only_recipe
        from envbuild.environments.runs import timelines
        from envbuild.pictures.picture import picture

        if source is None:
            source = only_recipe(self.recipes(), "graph")
        from envbuild.environments.source_verbs import known_platform

        asked = [known_platform(word) for word in dict.fromkeys(platforms)]
        if asked:
            project, wanted = self._elsewhere(source, mode, asked)
        else:
            project, one = self._wanted(source, mode, write=False)
            wanted = [one]
        realizer = self._realizer(project)
        planned, graph = realizer.drawn(wanted, closure=closure, tests=self._tests_of(source))
        workspace = realizer.workspace
        here = workspace.known(graph)  # also of what a plan need not look at
        return picture(planned, graph, timelines(workspace.home.runs), _recorded(workspace.store, graph), here)

    def _elsewhere(self, source: Path | str, mode: Mode, platforms: Sequence[Platform]) -> tuple[Project, list[Wanted]]:
        """What a source is on some platforms, of which none need be this machine's."""
        from envbuild.environments.realized import Wanted, environment_for
        from envbuild.environments.source_verbs import Looked

        meant = self._source(source)
        if meant.kind == "recipe" and mode != "frozen":
            recipe = Path(os.path.abspath(meant.text))
            lock = (self._checked(recipe) if mode == "locked" else self.lock(recipe, write=False)[0]).lock
            name = recipe.stem
            looked = [
                Looked(name=name, recipe=recipe, lock=lock, environment=environment_for(lock, item, name))
                for item in platforms
            ]
        else:
            looked = [self._look(source, item) for item in platforms]
        return self.project(looked[0].recipe), [
            Wanted(
                recipe=item.recipe or Path(item.name),
                name=item.name,
                lock=item.lock,
                environment=item.environment,
                files=(),
                link=None,
            )
            for item in looked
        ]

    def _tests_of(self, source: Path | str) -> Tests | None:
        """What a recipe says that must hold of its environment."""
        from envbuild.projects.project import load_recipe

        meant = self._source(source)
        if meant.kind != "recipe":
            return None
        recipe = Path(os.path.abspath(meant.text))
        return load_recipe(self.project(recipe), recipe).tests


def _recorded(store: FolderStore, graph: Graph) -> dict[Digest, int]:
    """How long each result that is here took whoever made it."""
    found = {}
    for derivation in graph:
        result = None if derivation.kind == "fetch" else store.results.get(derivation.kind, derivation.key)
        if result is not None:
            found[derivation.key] = result.milliseconds
    return found
