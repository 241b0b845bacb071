"""``audit`` as a verb of a session."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from envbuild.errors import UnreachableError, UsageError

if TYPE_CHECKING:
    from envbuild.environments.realizing import Realizer
    from envbuild.lock import Lock
    from envbuild.names import Source
    from envbuild.projects.project import Project
    from envbuild.review.auditing import Audited


class AuditVerbs:
    """The verb; ``envbuild.session.Session`` is one of these."""

    _offline: bool

    if TYPE_CHECKING:

        def project(self, recipe: Path | None = None) -> Project: ...  # noqa: D102  it is the session's

        def recipes(self) -> tuple[Path, ...]: ...  # noqa: D102

        def _realizer(self, project: Project) -> Realizer: ...

        def _source(self, source: Path | str) -> Source: ...

        def _whole(self, source: Source) -> tuple[str, Lock]: ...

    def audit(self, *sources: Path | str, database: str | None = None, ignore: Sequence[str] = ()) -> Audited:
        """Known vulnerabilities of what is locked.

        Args:
            sources: Recipes, locks, names, ids or prefixes; every lock of the project when none is named. No recipe is
                solved: what its lock holds is looked up.
            database: OSV's service, or a zip or folder of its documents; its public service by default.
            ignore: Ids or aliases of advisories that are known and accepted.

        Raises:
            UsageError: ``no-locks`` when the project has none.
            UnreachableError: ``offline``, or when the service does not answer.
        """
        from envbuild.review.advisory_sources import SERVICE, from_file, from_service
        from envbuild.review.auditing import judged, places

        found, unknown = [], []
        for said, lock in self._audited(sources):
            for environment in lock.platforms:
                here, lacking = places(said, environment)
                found += here
                unknown += lacking
        address = database or SERVICE
        if "://" not in address:
            advisories = from_file(Path(os.path.abspath(address)), {item.project for item in found})
        elif self._offline:
            raise UnreachableError(
                f"advisories are asked of {address}, and no network is used",
                reference="offline",
                hint="--database takes a zip of OSV's documents, too",
            )
        else:
            asked = sorted({(item.project, item.known_as) for item in found})
            read = self._realizer(self.project()).workspace.downloads.read
            advisories = from_service(address, asked, read)
        return judged(found, unknown, advisories, ignore)

    def _audited(self, sources: Sequence[Path | str]) -> list[tuple[str, Lock]]:
        from envbuild.locks.locking import frozen_lock
        from envbuild.locks.place import lock_path

        if not sources:
            locked = [recipe for recipe in self.recipes() if lock_path(recipe).exists()]
            if not locked:
                raise UsageError("no recipe of this project has a lock", reference="no-locks", hint="envbuild lock")
            return [(recipe.stem, frozen_lock(recipe)) for recipe in locked]
        found = []
        for source in sources:
            said = self._source(source)
            if said.kind == "recipe":
                recipe = Path(os.path.abspath(said.text))
                found.append((recipe.stem, frozen_lock(recipe)))
            else:
                found.append(self._whole(said))
        return found
