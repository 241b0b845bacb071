"""Sending what this machine may not run: an environment of another platform, whole, and files beside it.

Where a step runs on another machine, nothing of it is linked here: its packages are fetched, built and transmuted, and
go to the store that the other machine will read. It has all of it before anything starts there, or this is an error.

Rules of the file: wires; what a whole environment is, is ``sharing``'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from envbuild.digest import Digest, digest_bytes
from envbuild.environments.realized import Wanted, environment_for
from envbuild.environments.stores import ChosenStore, OpenStores, open_store, signatures_of, signer_of
from envbuild.errors import UnreachableError
from envbuild.package import Platform
from envbuild.value import dataclass

if TYPE_CHECKING:
    from envbuild.environments.realizing import Realizer
    from envbuild.locks.locking import Locked
    from envbuild.projects.project import Project
    from envbuild.reporter import Reporter
    from envbuild.store.deployments import Deployment
    from envbuild.store.shared import SharedStore


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeThere:
    """An environment that a store has whole.

    Attributes:
        name: What people call it.
        closure: The sha256 of what its builds came to.
        engines: What links it: of ``py-rattler``, ``uv`` and ``zstandard``.
        blobs: How many the store did not have; ``size``: their bytes.
    """

    name: str
    platform: Platform
    request: Digest
    environment: Digest
    closure: Digest
    variables: tuple[tuple[str, str], ...]
    engines: frozenset[str]
    packages: int
    blobs: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeHere:
    """The wheels of an environment, on this machine.

    Attributes:
        wheels: The file of each, by its sha256.
        interpreter: Of the interpreter's archive, likewise; None where that is the other machine's own.
    """

    platform: Platform
    python: str
    wheels: Mapping[Digest, Path]
    interpreter: tuple[Digest, Path] | None


class SendVerbs:
    """The verbs; ``envbuild.session.Session`` is one of these."""

    _environ: Mapping[str, str]
    _reporter: Reporter
    _open_stores: dict[Path, OpenStores]

    if TYPE_CHECKING:

        def project(self, recipe: Path | None = None) -> Project: ...  # noqa: D102  it is the session's

        def _realizer(self, project: Project) -> Realizer: ...

        def _named(self, word: str, project: Project | None = None, *, new: bool = False) -> ChosenStore: ...

        def _checked(self, recipe: Path) -> Locked: ...

    def send(self, wanted: Iterable[tuple[Path, Platform]], to: str) -> tuple[WholeThere, ...]:
        """Have environments whole in a store: what is missing here is fetched and built, and nothing is linked.

        Args:
            wanted: Recipes, whose locks must fit, and for which platform; of one project.
            to: The store, by name or address; naming it is word enough.

        Raises:
            StaleError: When a lock does not fit.
            UnreachableError: When the store does not answer, or refuses.
            EnvbuildError: When something cannot be fetched or built.
        """
        from envbuild.environments.own_tools import engines_of
        from envbuild.environments.pulling import packages_of
        from envbuild.environments.sharing import absent, send_whole
        from envbuild.environments.vouching import outputs_here
        from envbuild.graph import Graph
        from envbuild.store.layer import Layer
        from envbuild.store.outputs import outputs_to_bytes

        items = [self._to_send(recipe, platform) for recipe, platform in wanted]
        if not items:
            return ()
        project = self.project(items[0].recipe)
        realizer = self._realizer(project)
        graphs = [realizer.graph(item) for item in items]
        packages = [packages_of(graph) for graph in graphs]
        parts = [(item.recipe, graph) for item, graph in zip(items, packages, strict=True)]
        realizer.run(Graph.union(packages), parts=parts)
        realizer.workspace.settle()
        chosen = self._named(to, project)
        store = self._store_to(chosen, project)
        signer = signer_of(project.config, self._environ, project.root)
        note = self._reporter.note
        layer = Layer(
            store,
            believed=True,
            written=True,
            note=note,
            strict=True,
            signatures=signatures_of(chosen, store, project.config, signer, note),
        )
        found = []
        for item, graph in zip(items, graphs, strict=True):
            sent = send_whole(realizer.workspace, layer, item.lock, item.environment, graph, renew=True, sign=True)
            document = outputs_here(realizer.workspace, graph, item.environment)
            if not sent.whole or document is None:
                lacking = absent(realizer.workspace, graph)
                raise UnreachableError(
                    f"{chosen.name} did not get all of {item.name}" + (f": {lacking[0]} is gone" if lacking else ""),
                    reference="not-in-stores",
                    hint="run it again",
                )
            environment = item.environment
            found.append(
                WholeThere(
                    name=item.name,
                    platform=environment.platform,
                    request=item.lock.request,
                    environment=environment.id,
                    closure=outputs_to_bytes(document)[0],
                    variables=environment.variables,
                    engines=engines_of(environment),
                    packages=len(environment.names()),
                    blobs=sent.blobs,
                    size=sent.size,
                )
            )
        return tuple(found)

    def bring(self, recipe: Path, platform: Platform) -> WholeHere:
        """Have the wheels of an environment that has nothing else, for any platform; nothing is linked.

        Args:
            recipe: Whose lock must fit.
            platform: Of the environment.

        Raises:
            StaleError: When the lock does not fit.
            EnvbuildError: When something cannot be fetched.
        """
        from envbuild.environments.pulling import packages_of

        item = self._to_send(recipe, platform)
        realizer = self._realizer(self.project(recipe))
        graph = packages_of(realizer.graph(item))
        realizer.run(graph, parts=[(recipe, graph)])
        realizer.workspace.settle()
        blobs, environment = realizer.workspace.store.blobs, item.environment
        archive = environment.archive
        assert environment.python is not None
        return WholeHere(
            platform=platform,
            python=environment.python,
            wheels={wheel.sha256: blobs.name(wheel.sha256) for wheel in environment.wheels},
            interpreter=(archive.sha256, blobs.name(archive.sha256)) if archive is not None else None,
        )

    def send_files(self, contents: Iterable[bytes], to: str) -> tuple[Digest, ...]:
        """Have some bytes as blobs in a store; their sha256.

        Raises:
            UnreachableError: When the store does not answer, or refuses.
        """
        from envbuild.store.object_names import blob_name

        project = self.project()
        store = self._store_to(self._named(to, project), project)
        holder, objects = store.holder(), store.objects
        named = {digest_bytes(data): data for data in contents}
        holder.hold(blob_name(digest) for digest in named)
        there = objects.sizes([blob_name(digest) for digest in named])
        for digest, data in named.items():
            if there.get(blob_name(digest)) != len(data):
                objects.put(blob_name(digest), data)
        return tuple(named)

    def deployed(self, deployment: Deployment, to: str) -> None:
        """Have a store keep what nodes will ask for; before anything is started that asks.

        Args:
            deployment: What that is; the store has all of it.
            to: The store.

        Raises:
            UnreachableError: When the store does not answer, or refuses; ``being-collected``.
        """
        from envbuild.store.deployments import to_bytes
        from envbuild.store.object_names import blob_name, closure_name

        project = self.project()
        store = self._store_to(self._named(to, project), project)
        closures = [closure_name(*item) for item in deployment.environments]
        store.holder().hold([*closures, *(blob_name(digest) for digest in deployment.blobs)])
        name, data = to_bytes(deployment)
        store.objects.put(name, data)

    def _store_to(self, chosen: ChosenStore, project: Project) -> SharedStore:
        from envbuild.store.shared import SharedStore

        opening = partial(open_store, chosen, project.config, self._environ, note=self._reporter.note, write=True)
        return SharedStore(chosen.name, opening, chosen.url)

    def _to_send(self, recipe: Path, platform: Platform) -> Wanted:
        lock = self._checked(recipe).lock
        return Wanted(
            recipe=recipe,
            name=recipe.stem,
            lock=lock,
            environment=environment_for(lock, platform, recipe.stem),
            files=(),
            link=None,
        )
