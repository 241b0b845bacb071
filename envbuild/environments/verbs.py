"""``verify``, ``log`` and ``gc`` as verbs of a session; the work is done in the modules beside it and in the store."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from envbuild.machine.home import find_home, open_home

if TYPE_CHECKING:
    from envbuild.environments.builds import BuildLog
    from envbuild.environments.realizing import Realizer
    from envbuild.environments.rebuilding import Rebuilt
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

    def rebuild(self, name: str) -> Rebuilt:
        """Build a package again and name the files that differ; see ``envbuild.environments.rebuilding``.

        Args:
            name: The package, or 7 digits or more of the build's key.
        """
        from envbuild.environments.rebuilding import rebuild

        return rebuild(self._realizer(self.project()), name)

    def build_log(self, name: str, recipe: Path | str | None = None) -> BuildLog:
        """What the newest build of a package printed, also of one that failed.

        Args:
            name: The package, or 7 digits or more of the build's key.
            recipe: Only builds of this recipe's lock.

        Raises:
            UsageError: ``no-log``.
        """
        from envbuild.environments.builds import build_log
        from envbuild.locks.locking import frozen_lock
        from envbuild.machine.virtual import current_platform
        from envbuild.store.folder import open_store

        home = open_home(find_home(self._environ))
        lock = None if recipe is None else frozen_lock(Path(os.path.abspath(recipe)))
        store = open_store(home.store, note=self._reporter.note)
        return build_log(store, home.path / "logs", name, current_platform(), lock)

    def close(self) -> None:
        """Let go of the home and of connections; what is asked next opens them again.

        Who has a session and lives on closes it: a collection of the home waits for it.
        """
        for realizer in self._realizers.values():
            realizer.workspace.close()
        self._realizers.clear()

    def gc(
        self, *, dry_run: bool = False, keep_days: int = 14, caches: bool = False, largest: int | None = None
    ) -> Garbage:
        """Remove what nothing points to; see ``envbuild.store.collect``.

        Beside the recipes of out-links, what processes that died left of a lock goes too.
        """
        from envbuild.environments.roots import read_roots
        from envbuild.projects.checkout import sweep
        from envbuild.store.collect import collect

        self.close()  # a user of the home keeps its collector out
        home = open_home(find_home(self._environ))
        if not dry_run:
            for folder in {Path(root.recipe).parent for _, root in read_roots(home.roots)}:
                sweep(folder)
        return collect(
            home,
            dry_run=dry_run,
            keep_days=keep_days,
            caches=caches,
            largest=largest,
            lock_timeout=self.project().config.lock_timeout,
            note=self._reporter.note,
        )
