"""``store copy`` as a verb of a session: which stores, and what of the first.

Rules of the file: wires; what is sent is ``envbuild.store.copying``'s.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from envbuild.errors import InvalidInput, UsageError

if TYPE_CHECKING:
    from envbuild.environments.stores import ChosenStore
    from envbuild.lock import Lock
    from envbuild.machine.home import Home
    from envbuild.names import Source
    from envbuild.projects.project import Project
    from envbuild.reporter import Reporter
    from envbuild.store.copying import Copied, Copy


class CopyVerbs:
    """The verb; ``envbuild.session.Session`` is one of these."""

    _environ: Mapping[str, str]
    _reporter: Reporter

    if TYPE_CHECKING:

        def project(self, recipe: Path | None = None) -> Project: ...  # noqa: D102  it is the session's

        def _named(self, word: str, project: Project | None = None, *, new: bool = False) -> ChosenStore: ...

        def _writable(self, word: str, project: Project | None = None) -> ChosenStore: ...

        def _source(self, source: Path | str) -> Source: ...

        def _whole(self, source: Source) -> tuple[str, Lock]: ...

        def _lock_file(self, source: Source) -> tuple[Path, Lock]: ...

        def _home(self) -> Home: ...

    def store_copy(
        self,
        source: str,
        target: str,
        *,
        environment: Path | str | None = None,
        names: bool = False,
        progress: Callable[[int, int], None] = lambda *_: None,
    ) -> Copied:
        """Copy one shared store into another.

        Args:
            source: Its name or address.
            target: Likewise; it must be one that can be written.
            environment: A name, id, recipe or lock: only its environments, and (with ``names``) only that name.
            names: Copy names too; one that means something else in the target stays, and is told.
            progress: Told how many objects are done, and how many bytes were sent.

        Raises:
            UsageError: ``same-store``.
            InvalidInput: ``unknown-name``, ``removed-name`` for a name that the source does not have.
            StaleError: ``store-format``.
            UnreachableError: ``read-only``; when one of them does not answer, or refuses.
        """
        from envbuild.environments.stores import open_store
        from envbuild.store.copying import Copy
        from envbuild.store.copying_names import copy_names
        from envbuild.store.shared import SharedStore

        config, note = self.project().config, self._reporter.note
        first, second = self._named(source), self._writable(target)
        if first.address == second.address:
            raise UsageError(f"{source} and {target} are one store", reference="same-store")
        copy = Copy(
            SharedStore(first.name, lambda: open_store(first, config, self._environ, note=note, write=False)),
            SharedStore(second.name, lambda: open_store(second, config, self._environ, note=note, write=True)),
            self._home().scratch,
            progress,
        )
        if environment is None:
            copy.everything()
            if names:
                copy_names(copy)
        else:
            self._copy_environment(copy, environment, names=names)
        return copy.report()

    def _copy_environment(self, copy: Copy, environment: Path | str, *, names: bool) -> None:
        from envbuild.locks.lockfile import parse_closure
        from envbuild.names import parse_name
        from envbuild.store import names as generations
        from envbuild.store.copying_names import copy_names

        meant = self._source(environment)
        if meant.kind != "name":
            lock = self._lock_file(meant)[1] if meant.kind == "recipe" else self._whole(meant)[1]
            for item in lock.platforms:
                copy.environment(lock, item)
            return
        name = parse_name(meant.text)
        now = generations.current(copy.source.objects, name)
        if now is None:
            raise InvalidInput(f"there is no environment named {name} in {copy.source.name}", reference="unknown-name")
        if now.named.removed:
            raise InvalidInput(f"{name} was removed from {copy.source.name} ({now.created})", reference="removed-name")
        for platform, identity in now.named.environments:
            data = copy.source.closure(platform, now.named.request, identity)
            if data is not None:
                lock = parse_closure(data, str(name))
                copy.environment(lock, lock.platforms[0])
        if names:
            copy_names(copy, [name])
