"""``remove`` as a verb of a session: names in their store, environments on this machine.

Rules of the file: finds out what a word means, and wires; everything is looked at before anything goes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from envbuild.errors import InvalidInput, UsageError
from envbuild.names import parse_name, split_id
from envbuild.value import dataclass

if TYPE_CHECKING:
    from envbuild.environments.closures import Closures
    from envbuild.environments.naming import Names
    from envbuild.environments.realizing import Realizer
    from envbuild.environments.removing import Removal
    from envbuild.machine.home import Home
    from envbuild.names import Name, Source
    from envbuild.projects.project import Project
    from envbuild.reporter import Reporter
    from envbuild.store.names import Moved


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """What was removed, or would be.

    Attributes:
        names: What became of each name; one that is not ``written`` meant nothing already, or it is a dry run.
        environments: What goes from this machine.
    """

    names: tuple[Moved, ...]
    environments: tuple[Removal, ...]


class RemoveVerbs:
    """The verb; ``envbuild.session.Session`` is one of these."""

    _reporter: Reporter
    _start: Path
    _environ: Mapping[str, str]
    _realizers: dict[Path, Realizer]

    if TYPE_CHECKING:

        def project(self, recipe: Path | None = None) -> Project: ...  # noqa: D102  it is the session's

        def _home(self) -> Home: ...

        def _names(self, home: Home) -> Names: ...

        def _closures(self, home: Home) -> Closures: ...

        def _source(self, source: Path | str) -> Source: ...

    def remove(self, *sources: str, expect: int | None = None, dry_run: bool = False) -> Removed:
        """Remove names from the store that has them, and environments from this machine.

        A name means nothing from then on: a further generation says so, and its past stays. An id or a prefix is
        removed with all links to it; a link with its prefix, unless another link points there.

        Args:
            sources: Names, ids, prefixes or links to them.
            expect: The generation that the one name is believed to be at.
            dry_run: Say what would go; remove nothing.

        Raises:
            InvalidInput: ``unknown-name``, ``unknown-id``, ``ambiguous-id``.
            UsageError: ``not-realized`` for an environment that is not on this machine; ``not-removed`` for recipes.
            LockTimeoutError: ``in-use``.
            NameConflictError: ``name-moved``.
            UnreachableError: When the names' store does not answer, or may not be written.
        """
        from envbuild.environments.removing import check_unused, remove

        home = self._home()
        found: list[Name] = []
        removals: list[Removal] = []
        for source in sources:
            meant = self._meant_to_go(home, source)
            found += [meant] if not isinstance(meant, list) else []
            removals += [item for item in (meant if isinstance(meant, list) else ()) if item not in removals]
        check_unused(home, removals)
        names = self._names(home) if found else None
        looked = [names.remove(name, dry_run=True) for name in found] if names is not None else []
        if dry_run:
            return Removed(names=tuple(looked), environments=tuple(removals))
        moved = tuple(names.remove(name, expect=expect) for name in found) if names is not None else ()
        if removals:
            for realizer in self._realizers.values():
                realizer.workspace.close()  # a user of the home keeps everybody's lock
            self._realizers.clear()
            remove(home, removals, lock_timeout=self.project().config.lock_timeout, note=self._reporter.note)
        return Removed(names=moved, environments=tuple(removals))

    def _meant_to_go(self, home: Home, text: str) -> Name | list[Removal]:
        """The name that a word is, or what goes from this machine."""
        from envbuild.environments.inventory import present
        from envbuild.environments.removing import by_link, whole

        path = self._start / text
        if os.path.islink(path):  # noqa: PTH114  also one that leads nowhere
            removal = by_link(home, Path(os.path.abspath(path)))
            if removal is None:
                raise InvalidInput(
                    f"{text} is a link that envbuild did not make", reference="unknown-prefix", hint=f"rm {text}"
                )
            return [removal]
        if text.startswith((".", "/", "~")) and not os.path.lexists(path):  # no name or id begins so
            raise InvalidInput(
                f"there is no {text}", reference="unknown-prefix", hint="`envbuild list` shows prefixes and their links"
            )
        source = self._source(text)
        if source.kind == "name":
            return parse_name(source.text)
        if source.kind == "prefix":
            real = os.path.realpath(source.text)
            items = [item for item in present(home.path) if os.path.realpath(item.prefix) == real]
            if not items:
                raise InvalidInput(
                    f"{text} is an environment that no record of envbuild names",
                    reference="unknown-prefix",
                    hint="what made it can remove it",
                )
            return [whole(home, item) for item in items]
        if source.kind == "step":
            raise UsageError(
                f"{source.text} is a step of a run, which is Metaflow's",
                reference="not-removed",
                hint=f"name its environment, as `envbuild get {source.text}` shows it",
            )
        if source.kind != "id":
            raise UsageError(
                f"{text} is a {source.kind}, which is a file of yours",
                reference="not-removed",
                hint="name its environment: a name, an id, or its link below .envs",
            )
        request, environment = split_id(source.text)
        items = [
            item
            for item in present(home.path)
            if item.environment.startswith(environment) and item.request.startswith(request)
        ]
        if len({item.environment for item in items}) > 1 or not items:
            known = self._closures(home).begin(source.text)  # raises for what is unknown or several
            raise UsageError(f"{known[0]} is not realized on this machine", reference="not-realized")
        return [whole(home, item) for item in items]
