"""``why-rebuild`` as a verb of a session: two environments or two builds by their key documents.

Rules of the file: finds the two sides and their results; ``envbuild.rebuilds`` compares them. Builds nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from envbuild.compile import build_graph
from envbuild.digest import Digest, short
from envbuild.errors import InvalidInput, UsageError
from envbuild.pattern import pattern
from envbuild.value import dataclass

if TYPE_CHECKING:
    from envbuild.derivations import Derivation
    from envbuild.environments.realized import Mode, Wanted
    from envbuild.environments.realizing import Realizer
    from envbuild.environments.source_verbs import Looked
    from envbuild.graph import Graph
    from envbuild.machine.home import Home
    from envbuild.projects.project import Project
    from envbuild.rebuilds import Rebuild
    from envbuild.store.folder import FolderStore

_KEY = pattern(r"[0-9a-f]{7,64}")
_UNTOLD = frozenset({"milliseconds", "file", "format", "sha256", "python", "interpreter"})
"""What a build's record has beside how it was built: what was built, and what the key says anyway."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WhyRebuild:
    """What differs between two sides.

    Attributes:
        before: What the first side is, in words; ``after``: the second.
        rebuilds: What is another one.
        same: How many derivations both have.
        gone: Of these, what has to be done again all the same, by kind and label: it is not here any more.
    """

    before: str
    after: str
    rebuilds: tuple[Rebuild, ...]
    same: int
    gone: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Side:
    """A graph, and the one derivation of it that was named; None when all of it was."""

    said: str
    graph: Graph
    derivation: Derivation | None = None


class RebuildVerbs:
    """The verbs; ``envbuild.session.Session`` is one of these."""

    _environ: Mapping[str, str]

    if TYPE_CHECKING:

        def project(self, recipe: Path | None = None) -> Project: ...  # noqa: D102  they are the session's

        def _home(self) -> Home: ...

        def _look(self, source: Path | str, platform: str | None) -> Looked: ...

        def _wanted(self, source: Path | str, mode: Mode, *, write: bool = True) -> tuple[Project, Wanted]: ...

        def _realizer(self, project: Project) -> Realizer: ...

    def why_rebuild(self, first: Path | str, second: Path | str | None = None, *, mode: Mode = "auto") -> WhyRebuild:
        """Why the second is not the first: the inputs that differ.

        Args:
            first: A SOURCE, or the key of a derivation by 7 digits or more. Alone: a recipe, which is compared with
                the version of it that was realized last here.
            second: Likewise; a key only beside a key.
            mode: What becomes of a recipe's lock that does not fit, when it is alone.

        Raises:
            UsageError: ``never-realized``; ``not-comparable`` for a key and no key, or two kinds.
            InvalidInput: When there is no such thing.
        """
        if second is None:
            return self._since(first, mode)
        from envbuild.rebuilds import rebuild, rebuilds

        before, after = self._side(first), self._side(second)
        store = self._realizer(self.project()).workspace.store
        if before.derivation is None and after.derivation is None:
            found = rebuilds(before.graph, after.graph, lambda item: _recorded(store, item))
            same = sum(item.key in before.graph for item in after.graph)
            return WhyRebuild(before=before.said, after=after.said, rebuilds=found, same=same)
        old, new = before.derivation, after.derivation
        if old is None or new is None or old.kind != new.kind:
            kinds = [side.derivation.kind if side.derivation else "environment" for side in (before, after)]
            raise UsageError(
                f"{first} is of the kind {kinds[0]}, and {second} of the kind {kinds[1]}",
                reference="not-comparable",
                hint="name two environments, or the keys of two derivations of one kind, as `envbuild plan` shows them",
            )
        if old.key == new.key:
            return WhyRebuild(before=before.said, after=after.said, rebuilds=(), same=1)
        found = (rebuild(old, before.graph, new, after.graph, lambda item: _recorded(store, item)),)
        return WhyRebuild(before=before.said, after=after.said, rebuilds=found, same=0)

    def _since(self, source: Path | str, mode: Mode) -> WhyRebuild:
        """What a recipe wants now, against what was realized of it last."""
        from envbuild.environments.last_realized import last_realized
        from envbuild.rebuilds import rebuilds

        project, wanted = self._wanted(source, mode, write=False)
        realizer = self._realizer(project)
        store = realizer.workspace.store
        last = last_realized(realizer.workspace.home, wanted)
        if last is None:
            raise UsageError(
                f"nothing of {wanted.name} was realized on this machine, so there is nothing to compare with",
                reference="never-realized",
                hint="name a second environment: envbuild why-rebuild A B",
            )
        old = realizer.graph(last.wanted)
        planned, new = realizer.drawn([wanted], price=False)
        todo = {row.key: f"{row.kind} {row.label}" for row in planned.rows if row.state not in {"hit", "not needed"}}
        return WhyRebuild(
            before=f"{wanted.name} as it was realized at {last.when}",
            after=f"{wanted.name} as it is locked now",
            rebuilds=rebuilds(old, new, lambda item: _recorded(store, item)),
            same=sum(item.key in old for item in new),
            gone=tuple(text for key, text in todo.items() if key in old),
        )

    def _side(self, word: Path | str) -> _Side:
        try:
            looked = self._look(word, None)
        except InvalidInput:
            side = self._by_key(str(word)) if _KEY.fullmatch(str(word)) else None
            if side is None:
                raise
            return side
        conda_format = self.project(looked.recipe).config.conda_format
        graph = build_graph(looked.lock, looked.environment, name=looked.name, conda_format=conda_format)
        return _Side(said=f"{looked.name} ({short(looked.environment.id)})", graph=graph)

    def _by_key(self, begin: str) -> _Side | None:
        """The derivation whose key begins so, in the environments that this machine knows.

        Raises:
            UsageError: ``ambiguous-key``.
        """
        from envbuild.derivations.transmute import FORMATS
        from envbuild.store.environments import closures

        found: dict[Digest, _Side] = {}
        for _, lock in closures(self._home().store):
            for environment in lock.platforms:
                for conda_format in ("keep", *FORMATS):
                    graph = build_graph(lock, environment, conda_format=conda_format)
                    for item in graph:
                        if item.key.startswith(begin) and item.key not in found:
                            said = f"{item.kind} {item.label} ({short(item.key)})"
                            found[item.key] = _Side(said=said, graph=graph, derivation=item)
        if len(found) > 1:
            raise UsageError(
                f"{len(found)} derivations begin with {begin}", reference="ambiguous-key", hint="write more digits"
            )
        return next(iter(found.values()), None)


def _recorded(store: FolderStore, derivation: Derivation) -> dict[str, str]:
    """What the result of a derivation that is here says of how it was made."""
    result = None if derivation.kind == "fetch" else store.results.get(derivation.kind, derivation.key)
    if result is None:
        return {}
    told = {"builder": result.builder, "built on": result.platform}
    record = dict(result.outputs).get("record")
    path = None if record is None or derivation.kind != "build-wheel" else store.blobs.path(record.sha256)
    if path is not None:
        with suppress(OSError, ValueError, AttributeError, RecursionError):
            tree = json.loads(path.read_bytes())
            told |= {str(name): str(value) for name, value in tree.items() if value and name not in _UNTOLD}
    return told
