"""What a SOURCE is: the one way from a word of a command line to locked environments, for every verb of a session.

::

    recipes/train.yaml          a recipe: its lock, made first where that is asked for
    recipes/train.lock.yaml     a lock as it is, whatever its recipe says now
    team/train:stable           a name
    5f4b4de, 5e210f5:5f4b4de    an environment by its id, whole or its first digits; REQUEST:ENVIRONMENT
    5e210f5                     a request: its default environment
    .envs/train                 a prefix that envbuild made, or a link to one
    Flow/12/train               a step of a past Metaflow run, or a task of one

Rules of the file: finds out and reads; ``naming`` knows names, ``closures`` ids, ``inventory`` prefixes, ``past_runs``
steps.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from envbuild.digest import short
from envbuild.environments.realized import Wanted, environment_for
from envbuild.errors import InvalidInput, UnsatisfiableError, UsageError, Where
from envbuild.locks.locking import frozen_lock
from envbuild.machine.virtual import current_platform
from envbuild.names import Source, parse_name, parse_pathspec, source_of
from envbuild.package import PLATFORMS, Platform
from envbuild.projects.project import Project, load_recipe, project_files
from envbuild.projects.recipe_files import instead_of, recipe_of, shown_path
from envbuild.value import dataclass

if TYPE_CHECKING:
    from envbuild.environments.closures import Closures
    from envbuild.environments.naming import Names
    from envbuild.lock import Lock, LockedEnvironment
    from envbuild.machine.home import Home
    from envbuild.store.environments import Identity
    from envbuild.store.generation import Generation, Named


@dataclass(frozen=True, slots=True, kw_only=True)
class Meant:
    """What a name, an id, a prefix or a step means.

    Attributes:
        said: As people may read it: the name with its tag, the beginning of the id, the path, the pathspec.
        generation: Of a name; None for anything else.
        others: Further requests that led to the environment of an id.
        default_of: The request that was named alone: this is its default.
        prefix: The prefix that was named by its path.
        store: The address of the store that says so, of a name.
        present: Prefixes of this machine that hold its environments; only where that was asked.
        closures: Likewise, by platform: the digest of what the builds of its environment came to, where all are here.
    """

    said: str
    named: Named
    generation: Generation | None = None
    others: tuple[Identity, ...] = ()
    default_of: str | None = None
    prefix: Path | None = None
    store: str | None = None
    present: tuple[Path, ...] = ()
    closures: tuple[tuple[Platform, str], ...] = ()

    @property
    def chain(self) -> str:
        """Who says that the environment is there."""
        return self.said if self.generation is None else f"{self.said}, generation {self.generation.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """A locked environment that somebody looks into.

    Attributes:
        name: What people call it.
        recipe: The recipe's file; None where only a lock, a name, an id or a prefix was named.
        lock: What it stands in: the whole lock of a recipe, else a closure.
        prefix: The prefix that was named by its path.
    """

    name: str
    recipe: Path | None
    lock: Lock
    environment: LockedEnvironment
    prefix: Path | None = None


def known_platform(word: str) -> Platform:
    """A platform by its name.

    Raises:
        UsageError: ``unknown-platform``.
    """
    if word not in PLATFORMS:
        raise UsageError(f"{word!r} is no platform: {', '.join(PLATFORMS)}", reference="unknown-platform")
    return Platform(word)


class SourceVerbs:
    """How sources are found; ``envbuild.session.Session`` is one of these."""

    _environ: Mapping[str, str]
    _start: Path
    _offline: bool

    if TYPE_CHECKING:

        def project(self, recipe: Path | None = None) -> Project: ...  # noqa: D102  it is the session's

        def _home(self) -> Home: ...

        def _names(self, home: Home) -> Names: ...

        def _closures(self, home: Home) -> Closures: ...

    def _source(self, source: Path | str) -> Source:
        """What a word means; a path is a recipe, or a lock by its ending."""
        if isinstance(source, Path):
            return source_of(f"recipe:{source}")
        return source_of(source, os.path.isfile, _is_prefix)

    def _meant(self, source: Source, names: Names, closures: Closures) -> Meant:
        """The environments that a name, an id, a prefix or a step means.

        Raises:
            InvalidInput: ``unknown-name``, ``unknown-id``, ``ambiguous-id``, ``no-default``, ``unknown-prefix``; as
                ``past_runs`` for a step.
        """
        from envbuild.store.generation import Named

        if source.kind == "name":
            generation = names.get(parse_name(source.text))
            return Meant(said=str(generation.name), named=generation.named, generation=generation, store=names.address)
        if source.kind == "prefix":
            prefix, identity = self._held(source)
            named = Named(request=identity.request, environments=((identity.platform, identity.environment),))
            return Meant(said=shown_path(Path(source.text)), named=named, prefix=prefix)
        if source.kind == "id":
            request = closures.request(source.text)
            if request is not None:
                return Meant(said=short(request), named=closures.default(request), default_of=request)
            first, *others = closures.begin(source.text)
            named = Named(request=first.request, environments=((first.platform, first.environment),))
            return Meant(said=short(first.environment), named=named, others=tuple(others))
        if source.kind == "step":
            from envbuild.environments.past_runs import environments_of

            pathspec = parse_pathspec(source.text)
            return Meant(said=str(pathspec), named=environments_of(pathspec, offline=self._offline))
        raise InvalidInput(
            f"{source.text} is a {source.kind}, and a name or an id is needed",
            reference="unknown-name",
            hint=f"envbuild show {source.text}",
        )

    def _meant_here(self, source: Source, closures: Closures) -> Meant:
        """As ``_meant``; when there is nothing of that name, and a path was meant, with what is wrong with the path."""
        try:
            return self._meant(source, self._names(self._home()), closures)
        except InvalidInput:
            self._refuse_path(source)
            raise

    def _wanted_source(self, source: Source) -> tuple[Project, Wanted]:
        """What a lock, a name, an id, a prefix or a step wants realized on this machine.

        Raises:
            UnsatisfiableError: ``no-platform`` with the platforms that it has.
            IntegrityError: ``absent-environment``.
        """
        from envbuild.environments.closures import on

        platform = current_platform()
        if source.kind == "lock":
            path, lock = self._lock_file(source)
            project, name = self.project(path), path.name.removesuffix(".lock.yaml")
            environment = environment_for(lock, platform, name)
            files = (path, *project.config.files, *project_files(path.parent))
            return project, Wanted(recipe=path, name=name, lock=lock, environment=environment, files=files, link=None)
        closures = self._closures(self._home())
        meant = self._meant_here(source, closures)
        identity = on(meant.named, platform)
        if identity is None:
            raise _other_platform(meant, platform)
        lock = closures.get(identity, meant.chain)
        project = self.project()
        path = closures.path(identity)
        return project, Wanted(
            recipe=path,
            name=meant.said,
            lock=lock,
            environment=lock.platforms[0],
            files=(path, *project.config.files, *project_files(self._start)),
            link=None,
        )

    def _look(self, source: Path | str, platform: str | None) -> Looked:
        """The locked environment that a source is, as it is: nothing is solved, and no recipe is read.

        Args:
            source: Any SOURCE.
            platform: Which of its environments; this machine's by default, else the first.

        Raises:
            InvalidInput: When there is no such recipe, lock, name, id or prefix.
            UnsatisfiableError: ``no-platform``. UsageError: ``unknown-platform``.
        """
        from envbuild.environments.closures import on

        chosen = known_platform(platform) if platform is not None else current_platform()
        said = self._source(source)
        if said.kind in {"recipe", "lock"}:
            path, lock = self._lock_file(said)
            name = path.name.removesuffix(".lock.yaml") if said.kind == "lock" else path.stem
            if platform is None and lock.platforms and lock.environment(chosen) is None:
                chosen = lock.platforms[0].platform
            recipe = path if said.kind == "recipe" else None
            return Looked(name=name, recipe=recipe, lock=lock, environment=environment_for(lock, chosen, name))
        closures = self._closures(self._home())
        meant = self._meant_here(said, closures)
        if platform is None and on(meant.named, chosen) is None:
            chosen = meant.named.environments[0][0]
        identity = on(meant.named, chosen)
        if identity is None:
            raise _other_platform(meant, chosen)
        lock = closures.get(identity, meant.chain)
        return Looked(name=meant.said, recipe=None, lock=lock, environment=lock.platforms[0], prefix=meant.prefix)

    def entered(self, source: Path | str) -> Looked | None:
        """The prefix that a source names by its path, to be used as it is; None for any other source.

        Raises:
            InvalidInput: ``unknown-prefix``.
        """
        from envbuild.environments.inventory import touch

        if self._source(source).kind != "prefix":
            return None
        looked = self._look(source, None)
        if looked.prefix is not None:
            touch(self._home().path, looked.prefix)
        return looked

    def _whole(self, source: Source) -> tuple[str, Lock]:
        """What a source that is no recipe holds for all its platforms, as one lock; and what it is called."""
        if source.kind == "lock":
            path, lock = self._lock_file(source)
            return path.name.removesuffix(".lock.yaml"), lock
        closures = self._closures(self._home())
        meant = self._meant_here(source, closures)
        return meant.said, closures.joined(meant.named, PLATFORMS, meant.chain)

    def _lock_file(self, source: Source) -> tuple[Path, Lock]:
        """The file of a recipe or lock, and the lock as it is.

        Raises:
            InvalidInput: ``missing-file`` for a file that is not there, ``no-lock`` for a recipe without one.
        """
        path = Path(os.path.abspath(source.text)) if "\0" not in source.text else Path("/\\0")
        if not path.is_file():
            what, make = ("recipe", "envbuild init") if source.kind == "recipe" else ("lock", "envbuild lock")
            raise InvalidInput(
                f"there is no {what} {shown_path(path)}",
                reference="missing-file",
                where=Where(file=shown_path(path)),
                hint=f"check the path, or `{make}`",
            )
        if source.kind == "lock" and not path.name.endswith(".lock.yaml"):
            raise InvalidInput(
                f"{shown_path(path)} is no lock",
                reference="bad-path",
                where=Where(file=shown_path(path)),
                hint="a lock ends with .lock.yaml",
            )
        try:
            return path, frozen_lock(path if source.kind == "recipe" else Path(recipe_of(str(path))))
        except InvalidInput as error:
            if source.kind == "recipe" and error.reference == "no-lock":
                load_recipe(self.project(path), path)  # what is wrong with the recipe is said first
            raise

    def _held(self, source: Source) -> tuple[Path, Identity]:
        """A prefix, and the environment that it holds.

        Raises:
            InvalidInput: ``unknown-prefix`` when there is none, or envbuild did not make it.
        """
        from envbuild.environments.inventory import held

        home = self._home()
        text = source.text
        prefix = Path(os.path.realpath(text)) if "\0" not in text and _is_prefix(text) else None
        identity = held(home.path, prefix) if prefix is not None else None
        if prefix is None or identity is None:
            what = "is no environment" if prefix is None else "is an environment that no record of envbuild names"
            raise InvalidInput(
                f"{text} {what}",
                reference="unknown-prefix",
                hint="`envbuild list` shows those that are here"
                if prefix is None
                else f"make a recipe and lock of it: envbuild capture {text}",
            )
        return prefix, identity

    def _refuse_path(self, source: Source) -> None:
        """Say what is wrong with a path that was meant, where a folder or a recipe of nearly that name is there."""
        path = Path(os.path.abspath(source.text)) if "\0" not in source.text else None
        if source.kind == "name" and not source.said and path is not None:
            project = self.project()
            if path.is_dir() or instead_of(path, project.root, project.config.recipes) is not None:
                load_recipe(project, path)


def _is_prefix(text: str) -> bool:
    """Whether a folder holds an environment, by what stands in it."""
    return any(os.path.lexists(os.path.join(text, mark)) for mark in ("conda-meta", "pyvenv.cfg"))  # noqa: PTH118


def _other_platform(meant: Meant, platform: Platform) -> UnsatisfiableError:
    have = ", ".join(name for name, _ in meant.named.environments)
    return UnsatisfiableError(
        f"{meant.said} has no environment for {platform}; it is for: {have}",
        reference="no-platform",
        hint=f"lock its recipe for {platform} and name it again",
    )
