"""``push`` and ``pull`` as verbs of a session: an environment goes to shared stores, or comes from them, whole.

These name a store, or want to know what is in one: what goes wrong there is an error, where a realize only says so and
goes on.

Rules of the file: wires; what is sent is decided in ``sharing``, what is brought in ``pulling``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from envbuild.environments.stores import ChosenStore, open_store, signatures_of, signer_of
from envbuild.errors import UsageError
from envbuild.value import dataclass, replace

if TYPE_CHECKING:
    from envbuild.environments.realized import Mode, Wanted
    from envbuild.environments.realizing import Realizer
    from envbuild.projects.project import Project
    from envbuild.reporter import Reporter


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """What a push or pull moved.

    Attributes:
        name: Of the environment; ``environment``: its id.
        stores: Where it went, or came from.
        packages: Of the environment.
        blobs: How many had to be moved; ``size``: their bytes.
        closure: Of a push, the sha256 of what its builds came to, by which others can believe it.
    """

    name: str
    environment: str
    stores: tuple[str, ...]
    packages: int
    blobs: int
    size: int
    closure: str | None = None


class MoveVerbs:
    """The verbs; ``envbuild.session.Session`` is one of these."""

    _environ: Mapping[str, str]
    _reporter: Reporter
    _offline: bool

    if TYPE_CHECKING:

        def _realizer(self, project: Project) -> Realizer: ...

        def _wanted(self, source: Path | str, mode: Mode, *, write: bool = True) -> tuple[Project, Wanted]: ...

        def _chosen(self, project: Project | None = None) -> tuple[ChosenStore, ...]: ...

        def _writable(self, word: str, project: Project | None = None) -> ChosenStore: ...

    def push(self, source: Path | str, to: str | None = None) -> Moved:
        """Send an environment that is whole here to a store, or to all that are written.

        Args:
            source: A recipe, whose lock must fit; a name or an id.
            to: The store, by name or address; naming it is word enough.

        Raises:
            UsageError: ``no-stores``; ``not-realized`` when packages are missing here.
            UnreachableError: ``read-only``; when a store does not answer, or refuses.
        """
        from envbuild.environments.sharing import absent, send_whole
        from envbuild.environments.vouching import outputs_here
        from envbuild.store.layer import Layer
        from envbuild.store.outputs import outputs_to_bytes
        from envbuild.store.shared import SharedStore

        project, wanted = self._wanted(source, "locked")
        chosen = (
            [self._writable(to, project)]
            if to is not None
            else [item for item in self._chosen(project) if item.written]
        )
        if not chosen:
            raise self._no_stores(project)
        realizer = self._realizer(project)
        graph = realizer.graph(wanted)
        if missing := absent(realizer.workspace, graph):
            raise UsageError(
                f"{wanted.name} is not whole here: {missing[0]} is missing" + _more(missing),
                reference="not-realized",
                hint=f"envbuild realize {source}",
            )
        blobs = size = 0
        signer = signer_of(project.config, self._environ, project.root)
        for item in chosen:
            store = SharedStore(
                item.name,
                partial(open_store, item, project.config, self._environ, note=self._reporter.note, write=True),
            )
            layer = Layer(
                store,
                believed=True,
                written=True,
                note=self._reporter.note,
                strict=True,
                signatures=signatures_of(item, store, project.config, signer, self._reporter.note),
            )
            sent = send_whole(realizer.workspace, layer, wanted.lock, wanted.environment, graph, renew=True, sign=True)
            blobs, size = blobs + sent.blobs, size + sent.size
        document = outputs_here(realizer.workspace, graph, wanted.environment)
        closure = outputs_to_bytes(document)[0] if document is not None else None
        return replace(_moved(wanted, chosen, blobs, size), closure=closure)

    def pull(self, source: Path | str, closure: str | None = None) -> Moved:
        """Bring all packages of an environment from the stores, and link nothing.

        Args:
            source: A recipe, whose lock must fit; a name or an id.
            closure: As of ``RealizeOptions``.

        Raises:
            UsageError: ``no-stores``.
            UnreachableError: ``not-in-stores``, with what is missing; ``offline`` when not all stores could be asked.
        """
        project, wanted = self._wanted(source, "locked")
        if not self._chosen(project):
            raise self._no_stores(project)
        pulled, missing = self._realizer(project).pull(wanted, closure)
        if missing:
            from envbuild.environments.offline import not_here
            from envbuild.environments.pulling import not_in_stores

            if self._offline and not all(item.near for item in self._chosen(project)):
                raise not_here(missing)
            raise not_in_stores(missing, f"whoever has it types: envbuild push {source}")
        return _moved(
            wanted, [item for item in self._chosen(project) if item.name in pulled.stores], pulled.blobs, pulled.size
        )

    def _no_stores(self, project: Project) -> UsageError:
        chosen = self._chosen(project)
        if any(not item.written for item in chosen):
            unbelieved = [item for item in chosen if not item.written and item.mode == "read-write"]
            if unbelieved:
                first = unbelieved[0]
                return UsageError(
                    f"{first.name} is named by the project alone, and nobody here said to trust it",
                    reference="no-stores",
                    hint=f"envbuild trust {quote(first.url)}",
                )
            return UsageError(
                f"{', '.join(item.name for item in chosen)} may only be read here",
                reference="no-stores",
                hint="name the bucket or folder behind it: --to ADDRESS",
            )
        return UsageError(
            "no store is configured that could be used for it",
            reference="no-stores",
            hint="name one under `stores:` in envbuild.yaml, or with --to or --store ADDRESS",
        )


def _moved(wanted: Wanted, chosen: Sequence[ChosenStore], blobs: int, size: int) -> Moved:
    return Moved(
        name=wanted.name,
        environment=wanted.environment.id,
        stores=tuple(item.name for item in chosen),
        packages=len(wanted.environment.names()),
        blobs=blobs,
        size=size,
    )


def _more(missing: Sequence[str]) -> str:
    return f", and {len(missing) - 1} more" if len(missing) > 1 else ""
