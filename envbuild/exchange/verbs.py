"""``import``, ``export`` and ``capture`` as verbs of a session.

Rules of the file: finds the project and opens files; the work is done in the modules beside it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from envbuild.errors import InvalidInput, UsageError, Where
from envbuild.projects.project import Project, shown_path
from envbuild.value import dataclass, replace

if TYPE_CHECKING:
    from envbuild.environments.realizing import Realizer
    from envbuild.exchange.exporting import Exported
    from envbuild.exchange.importing import Imported
    from envbuild.formats import Document
    from envbuild.formats.foreign_lock import Wanted
    from envbuild.lock import Lock
    from envbuild.locks.locking import Locked
    from envbuild.names import Source
    from envbuild.reporter import Reporter


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOptions:
    """What is taken of a foreign file.

    Attributes:
        format: A name in ``envbuild.formats.FORMATS``; None lets the file's name and content say.
        name: The recipe's ``name``.
        platforms: Empty for all that the file names, else for this machine's.
        python: ``X.Y`` for files that do not say it.
        environment: One of several in the file.
        extras: Optional dependencies to take along; ``groups`` likewise.
        force: Replace a recipe and lock that are there.
    """

    format: str | None = None
    name: str | None = None
    platforms: tuple[str, ...] = ()
    python: str | None = None
    environment: str | None = None
    extras: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    force: bool = False


class ExchangeVerbs:
    """The verbs; ``envbuild.session.Session`` is one of these."""

    _offline: bool
    _environ: Mapping[str, str]
    _reporter: Reporter

    if TYPE_CHECKING:

        def project(self, recipe: Path | None = None) -> Project:
            """See ``envbuild.session``."""
            ...

        def lock(self, *recipes: Path | str) -> tuple[Locked, ...]:
            """See ``envbuild.session``."""
            ...

        def _realizer(self, project: Project) -> Realizer:
            """See ``envbuild.session``."""
            ...

        def _source(self, source: Path | str) -> Source: ...

        def _whole(self, source: Source) -> tuple[str, Lock]: ...

    def import_file(
        self, file: Path | str, recipe: Path | str | None = None, *, options: ImportOptions | None = None
    ) -> Imported:
        """A foreign file as a recipe, and a foreign lock as a recipe and its lock; see ``envbuild.exchange.importing``.

        Args:
            file: The foreign file.
            recipe: Where the recipe goes; by default ``<recipes>/<name of the file>.yaml`` of the project.
            options: What is taken.

        Raises:
            NameConflictError: ``file-exists`` when a recipe or lock is there already.
            InvalidInput: When the file is malformed or of no known format.
        """
        from envbuild.exchange.importing import import_lock, refuse_existing
        from envbuild.exchange.work import Work
        from envbuild.formats.foreign_lock import LOCKING, read_lock

        chosen = options or ImportOptions()
        source = Path(os.path.abspath(file))
        document, format_name = _document(source, self.project(source), chosen)
        target = self._recipe_path(recipe, source, chosen)
        refuse_existing(target, force=chosen.force)
        project = self.project(target)
        if format_name not in LOCKING:
            return _import_requirements(format_name, source, target, project, chosen, self._reporter)
        wanted = _wanted(project, chosen)
        foreign = read_lock(format_name, document, wanted)
        for note in foreign.notes:
            self._reporter.note(note)
        workspace = self._realizer(project).workspace
        with Work(workspace, shown_path(source), offline=self._offline) as work:
            return import_lock(foreign, source, target, project, work, name=chosen.name)

    def capture(
        self,
        prefix: Path | str | None = None,
        recipe: Path | str | None = None,
        *,
        name: str | None = None,
        force: bool = False,
    ) -> Imported:
        """A recipe and lock of a conda or virtual environment that is there; see ``envbuild.exchange.installed``.

        Args:
            prefix: The environment; the active one by default.
            recipe: Where the recipe goes; by default ``<recipes>/<name of the prefix>.yaml`` of the project.
            name: The recipe's ``name``.
            force: Replace a recipe and lock that are there.

        Raises:
            UsageError: ``no-prefix`` when none is named and none is active.
            NameConflictError: ``file-exists``.
        """
        from envbuild.exchange.importing import import_lock, refuse_existing
        from envbuild.exchange.installed import installed
        from envbuild.exchange.work import Work
        from envbuild.machine.virtual import current_platform

        named = prefix or self._environ.get("CONDA_PREFIX") or self._environ.get("VIRTUAL_ENV")
        if not named:
            raise UsageError(
                "no environment is active", reference="no-prefix", hint="name one: envbuild capture path/to/environment"
            )
        folder = Path(os.path.abspath(named))
        project = self.project()
        own = folder.parent.name if folder.name in {".venv", "venv", "env", ".env"} else folder.name
        target = (
            _checked_recipe(recipe)
            if recipe is not None
            else project.root / project.config.recipes / f"{_recipe_name(name or own)}.yaml"
        )
        refuse_existing(target, force=force)
        project = self.project(target)
        foreign = installed(folder, project.root, current_platform())
        for note in foreign.notes:
            self._reporter.note(note)
        with Work(self._realizer(project).workspace, shown_path(folder), offline=self._offline) as work:
            anchor = project.root / "capture"
            imported = import_lock(foreign, anchor, target, project, work, name=name, said=f"the environment {own}")
        return replace(imported, file=folder)

    def export(
        self,
        source: Path | str,
        format_name: str,
        file: Path | str | None = None,
        *,
        platforms: Sequence[str] = (),
        pixi_version: int = 6,
        force: bool = False,
    ) -> Exported:
        """A locked environment in another tool's format; see ``envbuild.exchange.exporting``.

        Args:
            source: A recipe, which is locked first when its lock does not fit; a lock, a name, an id or a prefix, each
                as it is.
            format_name: A name in ``envbuild.formats.writing.WRITERS``.
            file: Where it goes; None gives the text alone.
            platforms: Those to write.
            pixi_version: 6 or 7.
            force: Replace a file that is there.

        Raises:
            UsageError: When the format is none, or cannot hold what is asked for.
        """
        from envbuild.exchange.exporting import check_format, export_lock, refuse_existing

        check_format(format_name)
        target = Path(os.path.abspath(file)) if file is not None else None
        if target is not None:
            refuse_existing(target, force=force)
        said = self._source(source)
        if said.kind == "recipe":
            (locked,) = self.lock(said.text)
            name, lock, request, project = locked.recipe.stem, locked.lock, locked.request, self.project(locked.recipe)
        else:
            (name, lock), request = self._whole(said), None
            project = self.project(Path(os.path.abspath(said.text)) if said.kind == "lock" else None)
            if said.kind != "lock":
                self._tell_of_folders(name, lock)
        return export_lock(
            format_name,
            lock,
            request,
            name,
            target,
            self._realizer(project).workspace,
            root=project.root,
            platforms=platforms,
            pixi_version=pixi_version,
            offline=self._offline,
        )

    def _tell_of_folders(self, name: str, lock: Lock) -> None:
        """Say which packages are built of folders of a project that need not be this one."""
        folders = sorted({item.path for part in lock.platforms for item in part.sources if item.path is not None})
        if folders:
            self._reporter.note(
                f"{name} holds what is built of folders of the project where it was locked: {', '.join(folders)}"
            )

    def _recipe_path(self, recipe: Path | str | None, source: Path, options: ImportOptions) -> Path:
        if recipe is not None:
            return _checked_recipe(recipe)
        project = self.project(source)
        name = _recipe_name(options.environment or options.name or _stem(source))
        return project.root / project.config.recipes / f"{name}.yaml"


def _import_requirements(
    format_name: str, source: Path, recipe: Path, project: Project, options: ImportOptions, reporter: Reporter
) -> Imported:
    """A file of requirements as a recipe, which is still to be locked."""
    from envbuild.exchange.importing import Imported, write_recipe
    from envbuild.exchange.required import required_recipe

    label = os.path.relpath(source, project.root).replace(os.sep, "/")
    chosen = (*options.groups, *options.extras)
    folder = os.path.relpath(project.root, recipe.parent).replace(os.sep, "/")
    text, lost = required_recipe(label, format_name, project, folder, name=options.name, chosen=chosen)
    for note in lost:
        reporter.note(f"lost: {note}")
    write_recipe(recipe, text, project)
    return Imported(file=source, format=format_name, recipe=recipe, notes=lost)


def _checked_recipe(recipe: Path | str) -> Path:
    path = Path(os.path.abspath(recipe))
    if path.suffix not in {".yaml", ".yml"} or path.name.endswith(".lock.yaml"):
        raise UsageError(
            f"{path.name} is no name of a recipe",
            reference="bad-path",
            hint=f"-o {path.name.split('.')[0] or 'x'}.yaml",
        )
    return path


def _recipe_name(text: str) -> str:
    """A name as a recipe's file may have it."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text.rpartition("/")[2]).strip("-.") or "imported"


def _stem(source: Path) -> str:
    """A recipe's name from a file's name; from its folder's where every such file has the same name."""
    name = source.name
    for suffix in (".lock.yml", ".lock.yaml", ".conda-lock.yml", ".lock", ".yml", ".yaml", ".toml", ".txt"):
        if name.endswith(suffix):
            name = name.removesuffix(suffix)
            break
    if name in {"uv", "pixi", "pylock", "conda-lock", "pyproject", "environment", "requirements"}:
        return source.parent.name or name
    return name.removeprefix("pylock.")


def _document(source: Path, project: Project, options: ImportOptions) -> tuple[Document, str]:
    """A foreign file's bytes, and its format."""
    from envbuild.formats import FORMATS, LARGEST_FILE, Document, detect, nothing_opened, refuse_empty

    shown = shown_path(source)
    try:
        with source.open("rb") as stream:
            data = stream.read(LARGEST_FILE + 1)
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        raise InvalidInput(
            f"there is no file {shown}" if missing else f"{shown} cannot be read: {error.strerror}",
            reference="missing-file" if missing else "bad-path",
            where=Where(file=shown),
            hint=f"of an environment that is installed: envbuild capture {shown}" if source.is_dir() else None,
        ) from None
    if options.format is not None and options.format not in FORMATS:
        raise UsageError(
            f"{options.format[:40]!r} is no format that envbuild reads",
            reference="unknown-format",
            hint=f"one of: {', '.join(FORMATS)}",
        )
    try:
        name = options.format or detect(source.name, data)
    except InvalidInput as error:
        raise InvalidInput(
            error.message, reference=error.reference, where=Where(file=shown), hint=f"--format {'|'.join(FORMATS)}"
        ) from None
    refuse_empty(data, name, Where(file=shown))
    label = os.path.relpath(source, project.root).replace(os.sep, "/")
    return Document(data=data, file=label, opened=nothing_opened, shown=lambda _: shown), name


def _wanted(project: Project, options: ImportOptions) -> Wanted:
    from envbuild.formats.foreign_lock import Wanted
    from envbuild.machine.interpreters import list_host_pythons
    from envbuild.machine.virtual import current_platform, default_system
    from envbuild.package import PLATFORMS, Platform, normalize_pypi_name

    unknown = sorted(set(options.platforms) - set(PLATFORMS))
    if unknown:
        raise UsageError(f"{unknown[0]!r} is no platform: {', '.join(PLATFORMS)}", reference="unknown-platform")
    if options.python is not None and not re.fullmatch(r"3\.\d{1,2}", options.python):
        raise UsageError(
            f"{options.python!r} is no series of Python", reference="bad-python", hint="--python-version 3.12"
        )
    pythons = (
        ()
        if options.python is not None
        else tuple(dict.fromkeys(".".join(item.version.split(".")[:2]) for item in list_host_pythons()))
    )
    return Wanted(
        platforms=tuple(Platform(item) for item in options.platforms),
        here=current_platform(),
        python=options.python,
        pythons=pythons,
        environment=options.environment,
        extras=tuple(sorted(normalize_pypi_name(item) for item in options.extras)),
        groups=tuple(sorted(normalize_pypi_name(item) for item in options.groups)),
        systems={platform: default_system(platform, dict(project.config.system)) for platform in PLATFORMS},
    )
