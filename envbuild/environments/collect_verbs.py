"""``collect`` of a shared store as a verb of a session, and its pins.

Rules of the file: wires; what stays is decided in ``envbuild.store.staying``, what goes in
``envbuild.store.collect_shared``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envbuild.errors import IntegrityError, NoSpaceError, StaleError, UnreachableError, UsageError
from envbuild.names import Source, is_id, parse_name, split_id
from envbuild.value import dataclass, replace

if TYPE_CHECKING:
    from envbuild.digest import Digest
    from envbuild.environments.closures import Closures
    from envbuild.environments.naming import Names
    from envbuild.environments.source_verbs import Meant
    from envbuild.environments.stores import ChosenStore
    from envbuild.locks.locking import Locked
    from envbuild.machine.home import Home
    from envbuild.objects import Listed, Objects
    from envbuild.package import Platform
    from envbuild.projects.project import Project
    from envbuild.reporter import Reporter
    from envbuild.store.collected import Collected, Policy
    from envbuild.store.deployments import Deployment
    from envbuild.store.shared import SharedStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """An environment that a store keeps until it is unpinned.

    Attributes:
        of: What was pinned, as it was said: a name with its tag, an id, a recipe.
    """

    environment: Digest
    of: str


class CollectVerbs:
    """The verbs; ``envbuild.session.Session`` is one of these."""

    _environ: Mapping[str, str]
    _reporter: Reporter
    _start: Path

    if TYPE_CHECKING:

        def project(self, recipe: Path | None = None) -> Project: ...  # noqa: D102  it is the session's

        def _named(self, word: str, project: Project | None = None, *, new: bool = False) -> ChosenStore: ...

        def _writable(self, word: str, project: Project | None = None) -> ChosenStore: ...

        def _source(self, source: Path | str) -> Source: ...

        def _meant(self, source: Source, names: Names, closures: Closures) -> Meant: ...

        def _checked(self, recipe: Path) -> Locked: ...

        def _home(self) -> Home: ...

        def _names(self, home: Home) -> Names: ...

        def _closures(self, home: Home) -> Closures: ...

    def collect(
        self,
        store: str,
        policy: Policy,
        *,
        revisions: Sequence[str] = (),
        dry_run: bool = False,
        tell: Callable[[str, Listed], object] = lambda *_: None,
        step: Callable[[str, int], None] = lambda *_: None,
    ) -> Collected:
        """Delete from a shared store what nobody wants, once it was announced; see ``store.collect_shared``.

        Args:
            store: By name or address; naming it is word enough.
            policy: What stays; the environments of this project's locks are added to it.
            revisions: Of the project's repository, besides the current commit: what their locks hold stays.
            dry_run: Delete nothing.
            tell: Told ``remove`` or ``announce``, with each object.
            step: Told what is looked at, and how many more of it were.

        Raises:
            UsageError: ``no-revision``, ``no-repository``.
            InvalidInput: When a lock of the project cannot be read.
            IntegrityError: When something that stays cannot be read.
            UnreachableError: ``read-only``; when the store does not answer, or refuses.
            NoSpaceError: Where not even that can be written.
        """
        from envbuild.projects.recipe_files import recipes_below
        from envbuild.projects.revisions import committed_locks, environments_in, working_locks
        from envbuild.store.collect_shared import collect_store
        from envbuild.store.sent import forget_sent

        project, note = self.project(), self._reporter.note
        folders = {project.root, self._start}  # and, below the project's own, all that it says are recipes
        beside = [path for folder in sorted(folders) for path in sorted(folder.glob("*.y*ml"))]
        locks = working_locks([*recipes_below(project.root / project.config.recipes), *beside])
        committed = committed_locks(project.root, revisions, self._environ, note)
        environments = policy.environments | environments_in(locks) | environments_in(committed)
        if not environments:
            note(f"no lock is found from {project.root}: only names, pins and age keep what is in {store}")
        if not dry_run:
            forget_sent(self._home().sent, self._named(store, project).url)
        try:
            return collect_store(
                self._shared_store(store),
                replace(policy, environments=environments),
                dry_run=dry_run,
                tell=tell,
                note=note,
                step=step,
            )
        except NoSpaceError as error:
            error.hint = "free some room there first: what a collection announces must be written before anything goes"
            raise

    def pin(self, source: str, store: str) -> tuple[Pin, ...]:
        """Have a store keep an environment, on every platform that it is locked for, until it is unpinned.

        Args:
            source: A name, an id or a recipe, whose lock must fit.
            store: By name or address.

        Raises:
            UnreachableError: ``not-in-stores`` when the store does not have it; ``being-collected``.
        """
        from envbuild.store import pins

        shared = self._shared_store(store)
        if shared.use() != "write":
            raise StaleError(f"another version of envbuild made the store {shared.name}", reference="store-format")
        shared.holder()  # before anything there is relied on
        said, where = self._environments(source)
        found = []
        for platform, request, environment in where:
            data = shared.closure(platform, request, environment)
            if data is None:
                raise UnreachableError(
                    f"{shared.name} has no {said} for {platform}",
                    reference="not-in-stores",
                    hint=f"envbuild push {source} --to {store}",
                )
            shared.hold_closure(platform, request, environment, data)
            found.append(Pin(environment=environment, of=said))
        for pin in found:
            tree = {"version": 1, "environment": pin.environment, "of": pin.of}
            shared.objects.put(pins.pin_name(pin.environment), json.dumps(tree).encode() + b"\n")
        return tuple(found)

    def unpin(self, source: str, store: str) -> tuple[Pin, ...]:
        """Have a store keep an environment no longer than others.

        Args:
            source: What was pinned: the same words, or the beginning of an environment id; what was deployed, such as
                ``argo-workflows/trainflow``.
            store: By name or address.

        Raises:
            UsageError: ``not-pinned``.
        """
        from envbuild.store import pins

        shared = self._shared_store(store)
        if found := self._undeployed(source, shared.objects):
            return found
        begins = split_id(source)[1] if is_id(source) else None
        meant = self._source(source)
        said = source if begins is not None or _is_file(source) else meant.text
        if meant.kind == "name":
            said = str(parse_name(meant.text))
        gone = [
            pin
            for pin in self.pins(store)
            if pin.of == said or (begins is not None and pin.environment.startswith(begins))
        ]
        if not gone:
            raise UsageError(f"{said} is not pinned in {shared.name}", reference="not-pinned")
        for pin in gone:
            shared.objects.delete(pins.pin_name(pin.environment))
        return tuple(gone)

    def pins(self, store: str) -> tuple[Pin, ...]:
        """The environments that are pinned in a store, and those of deployments, which stay as well."""
        from envbuild.store import deployments, pins

        objects = self._shared_store(store).objects
        _, lasting = deployments.newest(objects.list(deployments.AREA))
        found = []
        for name in sorted(lasting):
            with suppress(IntegrityError):  # a collection says so
                deployment = deployments.from_bytes(objects.read(name) or b"", name)
                found.append(Pin(environment=_first(deployment), of=deployment.of))
        for item in objects.list("collect/pins/"):
            environment = pins.pinned(item.name)
            if environment is not None:
                found.append(Pin(environment=environment, of=_pinned_as(objects.read(item.name)) or environment[:12]))
        return tuple(found)

    def _undeployed(self, of: str, objects: Objects) -> tuple[Pin, ...]:
        """Let go of a deployment: all that was ever written of it."""
        from envbuild.store import deployments

        found = {}
        for item in list(objects.list(f"{deployments.AREA}{deployments.folder_of(of)}/")):
            with suppress(IntegrityError):
                first = _first(deployments.from_bytes(objects.read(item.name) or b"", item.name))
                found[first] = Pin(environment=first, of=of)
            objects.delete(item.name)
        return tuple(found.values())

    def _environments(self, source: str) -> tuple[str, list[tuple[Platform, Digest, Digest]]]:
        """What a source is called, and its environments: platform, request and id of each."""
        meant = self._source(source)
        if meant.kind == "recipe":
            lock = self._checked(Path(os.path.abspath(meant.text))).lock
            return source, [(item.platform, lock.request, item.id) for item in lock.platforms]
        home = self._home()
        found = self._meant(meant, self._names(home), self._closures(home))
        return found.said, [(name, found.named.request, item) for name, item in found.named.environments]

    def _shared_store(self, word: str) -> SharedStore:
        from envbuild.environments.stores import open_store
        from envbuild.store.shared import SharedStore

        project = self.project()
        chosen = self._writable(word, project)
        note = self._reporter.note
        return SharedStore(
            chosen.name, lambda: open_store(chosen, project.config, self._environ, note=note, write=True)
        )


def _first(deployment: Deployment) -> Digest:
    """What stands for a deployment among pins: one whose steps have no environment has its program."""
    return (*(item for _, _, item in deployment.environments), *deployment.blobs)[0]


def _is_file(source: str) -> bool:
    return source.endswith((".yaml", ".yml"))


def _pinned_as(data: bytes | None) -> str | None:
    """What a pin says that it is of; it decides nothing."""
    try:
        tree: Any = json.loads(data or b"")
        return str(tree["of"])[:200]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
