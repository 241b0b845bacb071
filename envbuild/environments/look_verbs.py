"""``show``, ``list``, ``tree``, ``why`` and ``why-depends`` as verbs of a session: looking, at what is there as it is.

Rules of the file: wires; ``source_verbs`` says what a SOURCE is, ``inspection`` and ``why_depends`` look into it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from envbuild.environments.source_verbs import SourceVerbs
from envbuild.errors import UnreachableError
from envbuild.machine.home import find_home
from envbuild.projects.project import make_request
from envbuild.value import dataclass

if TYPE_CHECKING:
    from envbuild.environments.inspection import Shown, Why
    from envbuild.environments.inventory import Present
    from envbuild.environments.source_verbs import Looked
    from envbuild.environments.stores import ChosenStore
    from envbuild.environments.why_depends import WhyDepends
    from envbuild.locks.dependencies import Branch
    from envbuild.reporter import Reporter
    from envbuild.request import Request
    from envbuild.store.environments import Identity


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """One environment in a shared store.

    Attributes:
        since: When its closure was written, seconds since 1970, by the store's clock.
    """

    store: str
    identity: Identity
    since: float


class LookVerbs(SourceVerbs):
    """The verbs; ``envbuild.session.Session`` is one of these."""

    _environ: Mapping[str, str]
    _reporter: Reporter
    _offline: bool
    _stores: tuple[str, ...]

    if TYPE_CHECKING:

        def _named(self, word: str) -> ChosenStore: ...

        def recipes(self) -> tuple[Path, ...]: ...  # noqa: D102  it is the session's

    def show(self, source: Path | str, *, platform: str | None = None) -> Shown:
        """A locked environment as it is, and where it is present."""
        from envbuild.environments.inspection import show

        looked = self._look(source, platform)
        config = self.project(looked.recipe).config
        return show(looked, self._asked(looked), find_home(self._environ), config.conda_format)

    def _asked(self, looked: Looked) -> Request | None:
        """What the recipe that was named asks for now."""
        recipe = looked.recipe
        return None if recipe is None else make_request(self.project(recipe), recipe)[0]

    def environments(self) -> tuple[Present, ...]:
        """The environments on this machine, by name, with their sizes."""
        from envbuild.environments.inventory import present, with_sizes

        home = find_home(self._environ)
        return with_sizes(home, present(home))

    def stored(self) -> tuple[Stored, ...]:
        """The environments in the shared stores that this session was told of, by listing them.

        Raises:
            UnreachableError: When one does not answer, cannot be listed, or may not be asked.
        """
        from envbuild.environments.stores import open_store
        from envbuild.store.environments import listed
        from envbuild.store.shared import SharedStore

        found = []
        for word in self._stores:
            chosen = self._named(word)
            if self._offline and not chosen.near:
                raise UnreachableError(
                    f"listing {chosen.address.shown} needs a network",
                    reference="offline",
                    hint="leave --offline out",
                )
            store = SharedStore(
                chosen.name,
                partial(open_store, chosen, self.project().config, self._environ, note=self._reporter.note),
            )
            store.use()
            found += [
                Stored(store=chosen.name, identity=identity, since=item.modified)
                for identity, item in listed(store.objects)
            ]
        return tuple(found)

    def tree(
        self,
        source: Path | str,
        packages: Sequence[str] = (),
        *,
        platform: str | None = None,
        invert: bool = False,
        depth: int | None = None,
    ) -> list[Branch]:
        """The lines of a dependency tree; see ``envbuild.environments.inspection``."""
        from envbuild.environments.inspection import tree

        return tree(self._look(source, platform).environment, packages, invert=invert, depth=depth)

    def why(self, source: Path | str, package: str, *, platform: str | None = None) -> Why:
        """The chains from what the recipe asked for to a package, and what it counts as on PyPI."""
        from envbuild.environments.inspection import why

        looked = self._look(source, platform)
        return why(looked.environment, package, self._asked(looked))

    def why_depends(
        self,
        package: str,
        needs: str,
        source: Path | str | None = None,
        *,
        platform: str | None = None,
        every: bool = False,
    ) -> WhyDepends:
        """The shortest chain from one package to another, with the files behind each step.

        Args:
            package: Where the chain begins.
            needs: Where it ends.
            source: Whose packages; None for the project's recipe when it has only one.
            platform: As in ``show``.
            every: All that are as short.

        Raises:
            UsageError: ``which-recipe``; as ``envbuild.environments.why_depends``.
        """
        from envbuild.environments.inventory import prefixes_of
        from envbuild.environments.only_recipe import only_recipe
        from envbuild.environments.why_depends import why_depends

        if source is None:
            source = only_recipe(self.recipes(), "why-depends", package, needs)
        looked = self._look(source, platform)
        prefix = looked.prefix or next(iter(prefixes_of(find_home(self._environ), looked.environment.id)), None)
        return why_depends(looked.environment, package, needs, prefix, self._asked(looked), every=every)
