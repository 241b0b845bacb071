"""``verify`` and ``gc`` as verbs of a session; the work is done in the modules beside it and in the store."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from envbuild.machine.home import find_home, open_home

if TYPE_CHECKING:
    from envbuild.environments.realizing import Realizer
    from envbuild.environments.upkeep import Verified
    from envbuild.projects.project import Project
    from envbuild.reporter import Reporter
    from envbuild.store.collect import Garbage


class UpkeepVerbs:
    """The verbs; ``envbuild.session.Session`` is one of these."""

    _environ: Mapping[str, str]
    _reporter: Reporter
    _realizers: dict[Path, Realizer]

    if TYPE_CHECKING:

        def project(self, recipe: Path | None = None) -> Project: ...  # noqa: D102  it is the session's

        def _realizer(self, project: Project) -> Realizer: ...

    def verify(self, *, repair: bool = False) -> Verified:
        """Check every blob and every prefix; with ``repair``, make them whole again."""
        from envbuild.environments.upkeep import verify

        return verify(self._realizer(self.project()).workspace, repair=repair)

    def gc(self, *, dry_run: bool = False, keep_days: int = 14, caches: bool = False) -> Garbage:
        """Remove what nothing points to; see ``envbuild.store.collect``."""
        from envbuild.store.collect import collect

        for realizer in self._realizers.values():
            realizer.workspace.close()  # a user of the home keeps its collector out
        self._realizers.clear()
        home = open_home(find_home(self._environ))
        return collect(
            home,
            dry_run=dry_run,
            keep_days=keep_days,
            caches=caches,
            lock_timeout=self.project().config.lock_timeout,
            note=self._reporter.note,
        )
