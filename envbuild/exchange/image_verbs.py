"""``image`` as a verb of a session.

Rules of the file: finds the environment and the folder; ``imaging`` writes.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from envbuild.errors import NameConflictError, UsageError, Where
from envbuild.value import replace

if TYPE_CHECKING:
    from envbuild.environments.realized import Mode, Wanted
    from envbuild.environments.realizing import Realizer
    from envbuild.exchange.imaging import Image
    from envbuild.projects.project import Project


class ImageVerbs:
    """The verb; ``envbuild.session.Session`` is one of these."""

    if TYPE_CHECKING:

        def _wanted(self, source: Path | str, mode: Mode, *, write: bool = True) -> tuple[Project, Wanted]: ...

        def _realizer(self, project: Project) -> Realizer: ...

    def image(
        self,
        source: Path | str,
        folder: Path | str,
        *,
        base: Path | str | None = None,
        place: str | None = None,
        mode: Mode = "auto",
        force: bool = False,
    ) -> Image:
        """Write an environment as a container image; see ``envbuild.exchange.imaging``.

        Args:
            source: Any SOURCE.
            folder: Where the OCI image layout goes.
            base: The layout of an image to stand on.
            place: Where the environment lies in the image; ``/opt/envbuild`` by default.
            mode: What becomes of a lock that does not fit.
            force: Replace an image layout that is there; never anything else.

        Raises:
            NameConflictError: ``file-exists``.
            UsageError: ``no-image``, ``bad-path``.
            InvalidInput: ``bad-image`` for a base that is none.
            EnvbuildError: When the environment cannot be locked, brought or linked.
        """
        from envbuild.exchange.imaging import PLACE, check_image, check_place, write_image
        from envbuild.machine.disk import writing
        from envbuild.machine.temporary import remove_tree
        from envbuild.machine.virtual import check_system

        inside = check_place(place if place is not None else PLACE)
        target = Path(os.path.abspath(folder))
        _refuse_existing(target, force=force)
        below = Path(os.path.abspath(base)) if base is not None else None
        project, wanted = self._wanted(source, mode)
        check_image(wanted.environment, wanted.name)
        check_system(wanted.environment.platform, wanted.environment.system)
        beside = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        with writing(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                beside.mkdir()
                image = write_image(self._realizer(project), wanted, beside, inside, below)
                if os.path.lexists(target):
                    old = target.with_name(f".{target.name}.{os.getpid()}.old")
                    target.rename(old)
                    beside.rename(target)
                    remove_tree(old)
                else:
                    beside.rename(target)
            finally:
                remove_tree(beside)
        return replace(image, folder=target)


def _refuse_existing(target: Path, *, force: bool) -> None:
    from envbuild.projects.project import shown_path

    if not target.name:
        raise UsageError("an image needs a folder of its own", reference="bad-path", hint="-o image")
    if not os.path.lexists(target):
        return
    is_layout = target.is_dir() and not target.is_symlink() and (target / "oci-layout").is_file()
    if not (force and is_layout):
        raise NameConflictError(
            f"{shown_path(target)} is there already" + ("" if is_layout else ", and it is no image layout"),
            reference="file-exists",
            where=Where(file=shown_path(target)),
            hint="replace it with --force" if is_layout else "name a folder that is not there",
        )
