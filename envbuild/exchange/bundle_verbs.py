"""``bundle``, and what its other end does, as verbs of a session.

Rules of the file: finds the environment, what envbuild needs, and the file; ``bundling`` writes, ``unbundling``
installs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from envbuild.errors import NameConflictError, UsageError, Where
from envbuild.value import replace

if TYPE_CHECKING:
    from envbuild.environments.realized import Mode, Realized, RealizeOptions, Wanted
    from envbuild.environments.realizing import Realizer
    from envbuild.environments.send_verbs import WholeHere
    from envbuild.environments.source_verbs import Looked
    from envbuild.exchange.bundling import Bundle, Runner
    from envbuild.exchange.unbundling import Opened
    from envbuild.lock import LockedEnvironment
    from envbuild.locks.locking import Locked, LockOptions
    from envbuild.names import Source
    from envbuild.package import Platform
    from envbuild.projects.project import Project


class BundleVerbs:
    """The verbs; ``envbuild.session.Session`` is one of these."""

    _environ: Mapping[str, str]

    if TYPE_CHECKING:

        def project(self, recipe: Path | None = None) -> Project: ...  # noqa: D102  it is the session's

        def adopt(self, folder: Path, project: Project) -> None: ...  # noqa: D102

        def bring(self, recipe: Path, platform: Platform) -> WholeHere: ...  # noqa: D102

        def close(self) -> None: ...  # noqa: D102

        def realize(  # noqa: D102
            self, *sources: Path | str, mode: Mode = "auto", options: RealizeOptions | None = None
        ) -> tuple[Realized, ...]: ...

        def lock(self, *recipes: Path | str, options: LockOptions | None = None) -> tuple[Locked, ...]: ...  # noqa: D102

        def _realizer(self, project: Project) -> Realizer: ...

        def _source(self, source: Path | str) -> Source: ...

        def _look(self, source: Path | str, platform: str | None) -> Looked: ...

        def _checked(self, recipe: Path) -> Locked: ...

        def _lock(self, recipe: Path, options: LockOptions, *, write: bool = True) -> Locked: ...

    def bundle(
        self,
        source: Path | str,
        file: Path | str | None = None,
        *,
        platform: str | None = None,
        host_python: str | None = None,
        mode: Mode = "auto",
        force: bool = False,
    ) -> Bundle:
        """Write an environment as one file that installs itself without a network; see ``exchange.bundling``.

        Args:
            source: Any SOURCE.
            file: What to write; ``NAME-PLATFORM.sh`` by default.
            platform: For which; this machine's by default.
            host_python: The series of a Python that is there and runs envbuild: then none is brought along.
            mode: What becomes of a lock that does not fit.
            force: Replace a file that is there.

        Raises:
            NameConflictError: ``file-exists``.
            UnsatisfiableError: ``no-bundle``, ``no-platform``.
            EnvbuildError: When the environment cannot be locked, or a package cannot be had.
        """
        from envbuild.exchange.bundling import runner_for, write_bundle
        from envbuild.machine.disk import writing

        if file is not None:
            _refuse_existing(Path(os.path.abspath(file)), force=force)
        project, wanted = self._to_bundle(source, platform, mode)
        environment = wanted.environment
        runner = runner_for(environment, host_python)
        usual = f"{wanted.name.replace('/', '-').replace(':', '-')}-{environment.platform}.sh"
        target = Path(os.path.abspath(file if file is not None else usual))
        _refuse_existing(target, force=force)
        tools = self._install_tools(project, environment, runner)
        beside = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        with writing(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                with beside.open("xb") as out:
                    bundle = write_bundle(self._realizer(project), wanted, runner, tools, _settings(project), out.write)
                    out.flush()
                    os.fsync(out.fileno())
                beside.chmod(0o755)
                _refuse_existing(target, force=force)
                beside.replace(target)
            finally:
                with suppress(FileNotFoundError):
                    beside.unlink()
        return replace(bundle, file=target)

    def install_bundle(
        self,
        bundle: Opened,
        prefix: Path | None = None,
        *,
        check: bool = False,
        say: Callable[[str], None] = lambda _: None,
    ) -> Path | None:
        """Install what a bundle holds, in the home or in a folder; see ``exchange.unbundling``.

        Args:
            bundle: Its index was held against its sha256.
            prefix: The folder; the home's prefixes without one.
            check: Only see whether this machine has what it needs.
            say: Told what people should know meanwhile.

        Returns:
            The folder; None where it was only looked at.

        Raises:
            IntegrityError: ``bad-bundle``.
            UnsatisfiableError: When this machine lacks what is needed.
            NameConflictError: ``prefix-taken``.
            EnvbuildError: When it cannot be linked.
        """
        from envbuild.environments.realized import RealizeOptions
        from envbuild.exchange.unbundling import bring, install_apart, look
        from envbuild.store.environments import record

        lock = look(bundle)
        if check:
            return None
        project = self.project()
        try:
            if prefix is not None:
                install_apart(bundle, lock, prefix, lambda: self._realizer(project), say)
                return prefix
            workspace = self._realizer(project).workspace
            with workspace:
                say(f"installing {len(lock.platforms[0].names())} packages into {workspace.home.path}")
                bring(bundle, workspace)
                record(workspace.home.store, lock, lock.platforms[0], workspace.durability)
            identity = bundle.identity
            options = RealizeOptions(link=False)
            (made,) = self.realize(f"{identity.request}:{identity.environment}", options=options)
            return made.prefix
        finally:
            self.close()

    def _to_bundle(self, source: Path | str, platform: str | None, mode: Mode) -> tuple[Project, Wanted]:
        from envbuild.environments.realized import Wanted, environment_for
        from envbuild.locks.locking import LockOptions, frozen_lock
        from envbuild.machine.virtual import current_platform
        from envbuild.package import PLATFORMS, Platform

        if platform is not None and platform not in PLATFORMS:
            raise UsageError(f"{platform!r} is no platform: {', '.join(PLATFORMS)}", reference="unknown-platform")
        chosen = Platform(platform) if platform is not None else current_platform()
        meant = self._source(source)
        if meant.kind != "recipe":
            looked = self._look(source, chosen)
            place = Path(os.path.abspath(meant.text)) if meant.kind == "lock" else None
            return self.project(place), Wanted(
                recipe=place or Path(looked.name),
                name=looked.name,
                lock=looked.lock,
                environment=looked.environment,
                files=(),
                link=None,
            )
        recipe = Path(os.path.abspath(meant.text))
        if mode == "frozen":
            lock = frozen_lock(recipe)
        else:
            lock = (self._checked(recipe) if mode == "locked" else self._lock(recipe, LockOptions())).lock
        return self.project(recipe), Wanted(
            recipe=recipe,
            name=recipe.stem,
            lock=lock,
            environment=environment_for(lock, chosen, recipe.stem),
            files=(),
            link=None,
        )

    def _install_tools(self, project: Project, environment: LockedEnvironment, runner: Runner) -> WholeHere:
        """What envbuild needs on the other machine, in the versions that are installed here."""
        from envbuild.digest import digest_bytes
        from envbuild.environments.own_tools import engines_of, own_requirements, pinned, recipe_text
        from envbuild.machine.home import find_home, open_home
        from envbuild.projects.checkout import replace_file
        from envbuild.projects.project import Project

        asked = pinned(own_requirements(engines_of(environment), runner.series), runner.series)
        head = "what envbuild needs where a bundle is installed"
        text = recipe_text(head, asked, [environment.platform], runner.series, runner.interpreter)
        folder = open_home(find_home(self._environ)).cache / "bundle-tools"
        self.adopt(folder, Project(root=folder, config=project.config))
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{digest_bytes(text.encode())[:32]}.yaml"
        if not file.is_file():
            replace_file(file, text.encode())
        self.lock(file)
        return self.bring(file, environment.platform)


def _settings(project: Project) -> dict[str, str]:
    """Settings of here that decide what is linked, where they are not the usual ones."""
    said = {"ENVBUILD_CONDA_FORMAT": project.config.conda_format, "ENVBUILD_CLOBBER": project.config.clobber}
    return {name: value for name, value in said.items() if value is not None and value != ".conda"}


def _refuse_existing(target: Path, *, force: bool) -> None:
    from envbuild.exchange.own_files import refuse_own_file
    from envbuild.projects.project import shown_path

    if os.path.lexists(target) and (not force or target.is_dir()):
        raise NameConflictError(
            f"{shown_path(target)} is there already",
            reference="file-exists",
            where=Where(file=shown_path(target)),
            hint="name another with -o" if target.is_dir() else "replace it with --force",
        )
    refuse_own_file(target)
