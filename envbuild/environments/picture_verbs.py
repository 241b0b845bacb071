"""``graph`` as a verb of a session: the derivation graph of an environment, as it stands now.

Rules of the file: plans, and does nothing; ``envbuild.pictures`` makes the picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from envbuild.digest import Digest

if TYPE_CHECKING:
    from envbuild.environments.realized import Mode, Wanted
    from envbuild.environments.realizing import Realizer
    from envbuild.graph import Graph
    from envbuild.pictures.picture import Picture
    from envbuild.projects.project import Project
    from envbuild.store.folder import FolderStore


class PictureVerbs:
    """The verbs; ``envbuild.session.Session`` is one of these."""

    _environ: Mapping[str, str]

    if TYPE_CHECKING:

        def recipes(self) -> tuple[Path, ...]: ...  # noqa: D102  it is the session's

        def _wanted(self, source: Path | str, mode: Mode, *, write: bool = True) -> tuple[Project, Wanted]: ...

        def _realizer(self, project: Project) -> Realizer: ...

    def graph(self, source: Path | str | None = None, *, mode: Mode = "auto", closure: str | None = None) -> Picture:
        """The derivation graph of an environment: what is there, what is to do and why, and the last run.

        Args:
            source: Any SOURCE; None for the project's recipe when it has only one.
            mode: What becomes of a lock that does not fit; it is solved, and not written, with ``auto``.
            closure: As in ``realize``.

        Raises:
            UsageError: ``which-recipe``.
            EnvbuildError: As ``plan``.
        """
        from envbuild.environments.only_recipe import only_recipe
        from envbuild.environments.runs import timelines
        from envbuild.pictures.picture import picture

        if source is None:
            source = only_recipe(self.recipes(), "graph")
        project, wanted = self._wanted(source, mode, write=False)
        realizer = self._realizer(project)
        planned, graph = realizer.drawn([wanted], closure=closure)
        workspace = realizer.workspace
        here = workspace.known(graph)  # also of what a plan need not look at
        return picture(planned, graph, timelines(workspace.home.runs), _recorded(workspace.store, graph), here)


def _recorded(store: FolderStore, graph: Graph) -> dict[Digest, int]:
    """How long each result that is here took whoever made it."""
    found = {}
    for derivation in graph:
        result = None if derivation.kind == "fetch" else store.results.get(derivation.kind, derivation.key)
        if result is not None:
            found[derivation.key] = result.milliseconds
    return found
