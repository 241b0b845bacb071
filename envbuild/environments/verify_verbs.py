"""``verify --store`` as a verb of a session: which store, what of it, and where right bytes come from.

Right bytes come from the home, then from the other configured stores, then from where the file came from: the addresses
that were kept for it, and the closures of the store itself, which name the origin of every package. What was transmuted
is transmuted again: it gives the same bytes. A build need not, so its record goes instead, and it is built again.

Rules of the file: wires; finding is ``envbuild.store.verify_shared``'s, mending ``envbuild.store.mending``'s.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from envbuild.digest import Digest
from envbuild.errors import EnvbuildError, IntegrityError, InvalidInput, StaleError, UnreachableError

if TYPE_CHECKING:
    from envbuild.derivations import Derivation
    from envbuild.derivations.fetch import Fetch
    from envbuild.environments.realizing import Realizer
    from envbuild.environments.stores import ChosenStore
    from envbuild.lock import Lock
    from envbuild.machine.home import Home
    from envbuild.machine.workspace import Workspace
    from envbuild.names import Source
    from envbuild.package import Platform
    from envbuild.projects.project import Project
    from envbuild.reporter import Reporter
    from envbuild.store.findings import Finding, StoreReport
    from envbuild.store.shared import SharedStore
    from envbuild.store.verify_parts import Parts
    from envbuild.store.verify_shared import Verification


class VerifyVerbs:
    """The verb; ``envbuild.session.Session`` is one of these."""

    _environ: Mapping[str, str]
    _reporter: Reporter
    _offline: bool

    if TYPE_CHECKING:

        def project(self, recipe: Path | None = None) -> Project: ...  # noqa: D102  it is the session's

        def _realizer(self, project: Project) -> Realizer: ...

        def _named(self, word: str, project: Project | None = None, *, new: bool = False) -> ChosenStore: ...

        def _writable(self, word: str, project: Project | None = None) -> ChosenStore: ...

        def _source(self, source: Path | str) -> Source: ...

        def _whole(self, source: Source) -> tuple[str, Lock]: ...

        def _lock_file(self, source: Source) -> tuple[Path, Lock]: ...

        def _home(self) -> Home: ...

    def verify_store(
        self,
        store: str,
        source: Path | str | None = None,
        *,
        repair: bool = False,
        sample: float = 1.0,
        resume: bool = False,
        progress: Callable[[int, int], None] = lambda *_: None,
        tell: Callable[[Finding], None] = lambda _: None,
    ) -> StoreReport:
        """Verify a shared store, or what it has of one environment.

        Args:
            store: Its name or address.
            source: A recipe, lock, name or id: only its environments, on all their platforms, and whether they are
                whole there.
            repair: Mend what is wrong; see ``envbuild.store.mending``.
            sample: The share of blobs that are hashed, 0 to 1.
            resume: Of a whole store: go on where an interrupted verification ended, which was asked for likewise.
            progress: Told how many objects and bytes are done.
            tell: Told each finding as it is found; perhaps from several threads.

        Raises:
            UnreachableError: When it does not answer; ``read-only`` for a repair where nothing may be written;
                ``no-listing`` for a whole web server.
            StaleError: ``store-format`` for a store that we do not know.
            InvalidInput: When there is no such source.
        """
        from envbuild.environments.stores import open_store
        from envbuild.store.sent import forget_sent
        from envbuild.store.shared import SharedStore
        from envbuild.store.verify_parts import Parts
        from envbuild.store.verify_shared import Verification

        project = self.project()
        chosen = self._writable(store, project) if repair else self._named(store, project)
        if self._offline and not chosen.near:
            raise UnreachableError(f"{chosen.name} needs a network", reference="offline", hint="leave --offline out")
        note = self._reporter.note
        objects = SharedStore(
            chosen.name, lambda: open_store(chosen, project.config, self._environ, note=note, write=repair)
        )
        if (use := objects.use()) == "none" or (repair and use != "write"):
            raise StaleError(
                f"another version of envbuild made the store {chosen.name}: what is not known is not judged"
                if use == "none"
                else f"the store {chosen.name} is of a newer format: it is read, and not repaired",
                reference="store-format",
                hint="use that version",
            )
        keys = {key.public.keyid: key.public for key in project.config.trust.keys}
        check = partial(Verification, objects, share=sample, keys=keys, progress=progress)
        parts = Parts(self._home().cache / "verifying", chosen.url) if resume else None
        if not repair:
            return self._verified(check(tell=_told(tell)), source, parts)
        forget_sent(self._home().sent, chosen.url)
        with self._realizer(project).workspace as workspace:
            for layer in workspace.shared.layers.layers if workspace.shared is not None else ():
                layer.standing.gone |= layer.name == chosen.name  # what is wrong there is no help
            act = _mending(objects, workspace)
            told = _told(tell)
            return self._verified(check(tell=lambda finding: told(act(finding))), source, parts)

    def _verified(self, check: Verification, source: Path | str | None, parts: Parts | None) -> StoreReport:
        if source is None:
            try:
                return check.everything(parts)
            except UnreachableError as error:
                if error.reference != "no-listing":
                    raise
                raise UnreachableError(
                    error.message,
                    reference=error.reference,
                    hint="say what of it: a name, an id, a recipe, after --store ADDRESS",
                ) from None
        meant = self._source(source)
        if meant.kind == "name":
            self._verify_name(check, meant.text)
            return check.report()
        from envbuild.store.verify_environment import verify_environment

        lock = self._lock_file(meant)[1] if meant.kind == "recipe" else self._whole(meant)[1]
        for environment in lock.platforms:
            verify_environment(check, lock, environment)
        return check.report()

    def _verify_name(self, check: Verification, text: str) -> None:
        """Verify all generations of a name in that store, and what it means now."""
        from envbuild.locks.lockfile import parse_closure
        from envbuild.names import parse_name
        from envbuild.store.verify_environment import verify_environment
        from envbuild.store.verify_names import numbers, verify_name

        name = parse_name(text)
        there = numbers(check, name)
        if not there:
            raise InvalidInput(
                f"there is no environment named {name} in {check.store.name}",
                reference="unknown-name",
                hint="`envbuild list` shows what there is",
            )
        past = verify_name(check, name, there)
        now = max(past, key=lambda item: item.number, default=None)
        if now is None or now.number != max(there):
            return
        for platform, environment in now.named.environments:
            try:
                data = check.store.closure(platform, now.named.request, environment)
            except IntegrityError:
                data = check.closure(platform, now.named.request, environment)  # it is told, and perhaps mended
            if data is not None:
                lock = parse_closure(data, str(name))
                verify_environment(check, lock, lock.platforms[0])


def _told(tell: Callable[[Finding], None]) -> Callable[[Finding], Finding]:
    def told(finding: Finding) -> Finding:
        tell(finding)
        return finding

    return told


def _mending(store: SharedStore, workspace: Workspace) -> Callable[[Finding], Finding]:
    """What is done about findings: with what this machine has, and can get."""
    from envbuild.store.environments import Identity, read
    from envbuild.store.mending import Mending

    known = _Known(store, workspace.home.store)

    def bring(digest: Digest) -> Path | None:
        if (path := workspace.blobs.path(digest)) is not None:
            return path
        if not workspace.mend(digest):
            fetch = known.fetch(digest)
            if fetch is None or _run(fetch, workspace) is None:
                return None
        return workspace.blobs.path(digest)

    def remake(kind: str, key: Digest, digest: Digest) -> Path | None:
        derivation = known.work(key) if kind == "transmute" else None
        if derivation is None or bring(known.input(derivation)) is None or _run(derivation, workspace, known) is None:
            return None
        return workspace.blobs.path(digest)

    def closure(platform: Platform, request: Digest, environment: Digest) -> bytes | None:
        from envbuild.locks.lock_writing import closure_bytes

        lock = read(workspace.home.store, Identity(platform=platform, request=request, environment=environment))
        return closure_bytes(lock, lock.platforms[0]) if lock is not None else None

    return Mending(store, bring=bring, remake=remake, record=workspace.store.results.get, closure=closure)


class _Known:
    """What the closures of a store, and of the home, say of files and of what is made of them; read when asked for."""

    def __init__(self, store: SharedStore, home: Path) -> None:
        self._store = store
        self._home = home
        self._fetches: dict[Digest, Fetch] | None = None
        self._work: dict[Digest, Derivation] = {}
        self._guard = threading.Lock()

    def fetch(self, digest: Digest) -> Fetch | None:
        """How a file is fetched."""
        return self._read().get(digest)

    def work(self, key: Digest) -> Derivation | None:
        """A transmute by its key."""
        self._read()
        return self._work.get(key)

    def input(self, derivation: Derivation) -> Digest:
        """The file that a transmute reads."""
        return self.fetch_by_key(derivation).sha256

    def fetch_by_key(self, derivation: Derivation) -> Fetch:
        """The fetch that a transmute reads."""
        from envbuild.derivations.fetch import Fetch

        (key,) = derivation.inputs
        found = self._work[key]
        assert isinstance(found, Fetch)
        return found

    def _read(self) -> dict[Digest, Fetch]:
        with self._guard:
            if self._fetches is None:
                from envbuild.derivations.fetch import Fetch

                self._fetches = {}
                for item in self._derivations():
                    if isinstance(item, Fetch):
                        self._fetches.setdefault(item.sha256, item)
                    self._work.setdefault(item.key, item)
            return self._fetches

    def _derivations(self) -> Iterator[Derivation]:
        from envbuild.compile import build_graph
        from envbuild.derivations.transmute import FORMATS

        for lock in self._locks():
            for conda_format in FORMATS:
                graph = build_graph(lock, lock.platforms[0], conda_format=conda_format)
                yield from (each for each in graph if each.kind in {"fetch", "transmute"})

    def _locks(self) -> Iterator[Lock]:
        from envbuild.locks.lockfile import LIMIT, parse_closure
        from envbuild.store.environments import closures

        for item in self._store.objects.list("environments/"):
            with suppress(EnvbuildError):  # what is wrong with it is said by whoever verifies it
                data = self._store.objects.read(item.name, LIMIT)
                if data is not None:
                    yield parse_closure(data, item.name)
        yield from (lock for _, lock in closures(self._home))


def _run(derivation: Derivation, workspace: Workspace, known: _Known | None = None) -> object:
    """Do a fetch or a transmute here; None when it cannot be done."""
    from envbuild import worker
    from envbuild.derivations import Output
    from envbuild.job import Job

    inputs, derivations = {}, {}
    if known is not None:
        fetch = known.fetch_by_key(derivation)
        inputs[fetch.key] = {"out": Output(sha256=fetch.sha256, size=fetch.size or 0)}
        derivations[fetch.key] = fetch
    task = worker.Task(job=Job(key=derivation.key, derivation=derivation), inputs=inputs, derivations=derivations)
    try:
        return worker.run(task, workspace, workspace.store.results if derivation.kind != "fetch" else None)
    except EnvbuildError:
        return None
