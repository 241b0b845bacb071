"""``kernel install``, ``list`` and ``remove`` as verbs of a session.

Theory: a kernel needs ipykernel in its environment, and an environment never changes. So the kernel gets an environment
of its own, whose recipe extends the one that was named: its packages stay to the build and the hash, and ipykernel and
what that needs come beside. An environment that has ipykernel is taken as it is.

Rules of the file: wires; ``kernels`` knows Jupyter's folders.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from envbuild.errors import InvalidInput, NoSpaceError
from envbuild.value import replace

if TYPE_CHECKING:
    from envbuild.environments.inspection import Shown
    from envbuild.environments.kernels import Kernel
    from envbuild.environments.realized import Mode, Realized, RealizeOptions
    from envbuild.locks.locking import Locked
    from envbuild.names import Source
    from envbuild.projects.project import Project


class KernelVerbs:
    """The verbs; ``envbuild.session.Session`` is one of these."""

    _environ: Mapping[str, str]

    if TYPE_CHECKING:

        def project(self, recipe: Path | None = None) -> Project: ...  # noqa: D102  they are the session's

        def adopt(self, folder: Path, project: Project) -> None: ...  # noqa: D102

        def lock(self, *recipes: Path | str) -> tuple[Locked, ...]: ...  # noqa: D102

        def show(self, source: Path | str, *, platform: str | None = None) -> Shown: ...  # noqa: D102

        def realize(  # noqa: D102
            self, *sources: Path | str, mode: Mode = "auto", options: RealizeOptions | None = None
        ) -> tuple[Realized, ...]: ...

        def _source(self, source: Path | str) -> Source: ...

    def kernel_install(
        self,
        source: Path | str,
        *,
        name: str | None = None,
        display: str | None = None,
        prefix: Path | None = None,
        mode: Mode = "auto",
        search: tuple[str, ...] = (),
        force: bool = False,
    ) -> tuple[Kernel, Realized]:
        """Install a Jupyter kernel that runs in an environment, with ipykernel beside its packages.

        Args:
            source: Any SOURCE.
            name: The kernel's; else after the source.
            display: What Jupyter shows.
            prefix: Not for this user, but for the Jupyter that is installed there.
            mode: What becomes of a lock that does not fit.
            search: Folders that its Python looks for modules in first.
            force: Replace a kernel of that name.

        Raises:
            NameConflictError: ``kernel-exists``.
            InvalidInput: ``bad-kernel-name``; ``no-python`` for an environment without one.
            UnsatisfiableError: When ipykernel does not go with its packages.
        """
        from envbuild.environments.kernels import (
            Kernel,
            check_free,
            kernel_name,
            kernels_folder,
            name_of,
            write_kernel,
        )
        from envbuild.environments.realized import RealizeOptions

        called = kernel_name(name if name is not None else name_of(str(source)))
        folder = kernels_folder(self._environ, prefix) / called
        check_free(folder, force=force)
        (base,) = self.realize(source, mode=mode, options=RealizeOptions(link=False))
        if not (base.prefix / "bin" / "python").exists():
            raise InvalidInput(
                f"{base.name} has no Python, which a kernel needs", reference="no-python", hint="`python: 3.12`"
            )
        identity = f"{base.request}:{base.environment}"
        new = not folder.exists()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            options = RealizeOptions(out_link=folder / "environment")
            wanted = self._with_ipykernel(source, identity, base.platform, folder)
            (realized,) = self.realize(wanted, options=options)
            kernel = Kernel(
                name=called,
                folder=folder,
                display=display or f"{base.name} (envbuild)",
                source=str(source),
                platform=realized.platform,
                request=realized.request,
                environment=realized.environment,
                base=identity,
                prefix=realized.prefix,
            )
            write_kernel(kernel, dict(realized.variables), search)
        except OSError as error:
            raise NoSpaceError(f"{folder}: {error.strerror}", reference="no-kernel") from None
        finally:
            if new and not (folder / "kernel.json").exists():
                shutil.rmtree(folder, ignore_errors=True)
        return kernel, realized

    def _with_ipykernel(self, source: Path | str, identity: str, platform: str, folder: Path) -> Path | str:
        """A recipe with the environment's packages and ipykernel; the environment itself when that has it."""
        from envbuild.locks.place import lock_path
        from envbuild.projects.checkout import replace_file
        from envbuild.projects.project import Project

        environment = self.show(f"id:{identity}").environment
        recipe = folder / "recipe.yaml"
        if "ipykernel" in environment.names():
            for left in (recipe, lock_path(recipe)):
                left.unlink(missing_ok=True)
            return f"id:{identity}"
        meant = self._source(source)
        whose = Path(os.path.abspath(meant.text)) if meant.kind in {"recipe", "lock"} else None
        project = self.project(whose)
        of_conda = environment.interpreter == "conda" and not (environment.wheels or environment.sources)
        lines = [
            f"# the kernel {folder.name}: {source}, and what Jupyter needs to run it",
            f"platforms: [{platform}]",
            f"extends: {{id: '{identity}'}}",
            "",
            f"{'conda' if of_conda else 'pypi'}:",
            "  packages:",
            "    ipykernel:",
        ]
        replace_file(recipe, "".join(f"{line}\n" for line in lines).encode())
        # it lies where Jupyter looks, and belongs to the project of what was named
        self.adopt(folder, Project(root=project.root, config=replace(project.config, allow_outside_paths=True)))
        self.lock(recipe)
        return recipe

    def kernels(self, *, prefix: Path | None = None) -> tuple[Kernel, ...]:
        """The kernels that envbuild installed for this user, or for the Jupyter of a prefix."""
        from envbuild.environments.kernels import kernels_folder, kernels_in

        return kernels_in(kernels_folder(self._environ, prefix))

    def kernel_remove(self, name: str, *, prefix: Path | None = None) -> Kernel:
        """Remove a kernel; its environment goes with the next ``gc`` that nothing else keeps it from.

        Raises:
            InvalidInput: ``unknown-kernel``.
        """
        from envbuild.environments.kernels import kernels_folder, remove_kernel

        return remove_kernel(kernels_folder(self._environ, prefix), name)
