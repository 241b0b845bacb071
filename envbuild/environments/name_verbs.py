"""``alias``, ``get``, ``history`` and ``rollback`` as verbs of a session, and what recipes extend by name or id.

Rules of the file: wires; ``naming`` moves names, ``closures`` finds closures, ``source_verbs`` says what a SOURCE is.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from envbuild.digest import short
from envbuild.environments.source_verbs import Meant, SourceVerbs
from envbuild.errors import InvalidInput
from envbuild.machine.home import Home, find_home, open_home
from envbuild.names import Source, parse_name, source_of
from envbuild.projects.project import Project
from envbuild.projects.recipe_files import shown_path
from envbuild.value import replace

if TYPE_CHECKING:
    from envbuild.environments.closures import Closures
    from envbuild.environments.moved_bases import MovedBases
    from envbuild.environments.name_stores import NameStore
    from envbuild.environments.naming import Names
    from envbuild.environments.reusing import Reuse
    from envbuild.lock import LockedEnvironment
    from envbuild.locks.inheriting import NamedBase
    from envbuild.locks.locking import Locked
    from envbuild.objects import Objects
    from envbuild.package import Platform
    from envbuild.reporter import Reporter
    from envbuild.request import Request
    from envbuild.store.generation import Generation, Named
    from envbuild.store.names import Moved


class NameVerbs(SourceVerbs):
    """The verbs; ``envbuild.session.Session`` is one of these."""

    _environ: Mapping[str, str]
    _reporter: Reporter
    _offline: bool
    _moved: MovedBases | None = None

    if TYPE_CHECKING:

        def project(self, recipe: Path | None = None) -> Project: ...  # noqa: D102  it is the session's

        def _checked(self, recipe: Path) -> Locked: ...

    def alias(self, source: Path | str, name: str, *, expect: int | None = None) -> Moved:
        """Make a name mean what a source is, on every platform that it is locked for.

        Args:
            source: A recipe (its lock must fit), a lock, an id, a prefix, a step of a run, or another name.
            name: ``team/project/name:tag``.
            expect: The generation that the name is believed to be at, 0 for none; None: whatever it is.

        Raises:
            NameConflictError: ``name-taken`` for a tag that is written once, ``name-moved``.
            StaleError: When the recipe's lock does not fit.
        """
        from envbuild.store.generation import Named

        target = parse_name(name)
        home = self._home()
        names, closures = self._names(home), self._closures(home)
        names.check_writable(target)
        meant = self._source(source)
        if meant.kind in {"recipe", "lock"}:
            recipe = Path(os.path.abspath(meant.text))
            lock = self._checked(recipe).lock if meant.kind == "recipe" else self._lock_file(meant)[1]
            closures.keep(lock, names.objects)
            named = Named(
                request=lock.request, environments=tuple(sorted((item.platform, item.id) for item in lock.platforms))
            )
        else:
            found = self._meant(meant, names, closures)
            named = found.named
            if found.others:
                requests = [short(named.request), *(short(item.request) for item in found.others)]
                raise InvalidInput(
                    f"{found.said} was locked for {len(requests)} requests: {', '.join(requests)}",
                    reference="ambiguous-id",
                    hint=f"say which: envbuild alias {requests[0]}:{found.said} {name}",
                )
            self._keep(named, found.chain, closures, names)
        return names.move(target, named, expect=expect)

    def get(self, source: str) -> Meant:
        """What a name, an id, a prefix or a step means.

        Raises:
            InvalidInput: As ``source_verbs``.
        """
        from envbuild.environments.inventory import present

        home = self._home()
        meant = self._meant(self._source(source), self._names(home), self._closures(home))
        ids = {environment for _, environment in meant.named.environments}
        here = tuple(item.prefix for item in present(home.path) if item.environment in ids)
        return replace(meant, present=here, closures=self._closure_digests(home, meant.named))

    def _closure_digests(self, home: Home, named: Named) -> tuple[tuple[Platform, str], ...]:
        """The closure digests of environments that are here, by platform."""
        from envbuild.environments.closure_digest import closure_digest
        from envbuild.environments.closures import on
        from envbuild.store import environments

        found = []
        for platform, _ in named.environments:
            identity = on(named, platform)
            lock = environments.read(home.store, identity) if identity is not None else None
            if lock is not None:
                digest = closure_digest(home.store, lock, lock.platforms[0], self.project().config.conda_format)
                found += [(platform, digest)] if digest is not None else []
        return tuple(found)

    def history(self, name: str) -> tuple[Generation, ...]:
        """Every generation of a name, the newest first.

        Raises:
            InvalidInput: ``unknown-name``.
        """
        return self._names(self._home()).history(parse_name(name))

    def rollback(self, name: str, to: int | None = None) -> Moved:
        """A new generation of a name that means what an earlier one meant; see ``envbuild.environments.naming``.

        Raises:
            IntegrityError: ``absent-environment`` where what it meant is collected.
        """
        home = self._home()
        names, closures = self._names(home), self._closures(home)

        def keep(past: Generation) -> None:
            self._keep(past.named, f"{past.name}, generation {past.number}", closures, names)

        return names.rollback(parse_name(name), to, keep)

    def _keep(self, named: Named, chain: str, closures: Closures, names: Names) -> None:
        """Have what a name is to mean in the store of names, from whoever has it."""
        from envbuild.environments.closures import on

        for platform, _ in named.environments:
            identity = on(named, platform)
            assert identity is not None
            closures.keep(closures.get(identity, chain), names.objects)

    def names(self) -> tuple[Generation, ...]:
        """Every name with what it means."""
        return self._names(self._home()).listed()

    # What recipes extend

    def _named_bases(self, recipe: Path, request: Request, *, newest: bool = False) -> dict[str, NamedBase]:
        """The bases of a request that are environments: as its lock recorded them, else as they are now.

        Args:
            recipe: The recipe's file.
            request: What it asks for.
            newest: As they are now, whatever is recorded.

        Raises:
            InvalidInput: ``unknown-name``, ``unknown-id``. IntegrityError: ``absent-environment``.
        """
        labels = [base.path for base in request.bases if base.request is None]
        if not labels:
            return {}
        from envbuild.locks.inheriting import NamedBase, recorded
        from envbuild.locks.locking import lock_before
        from envbuild.store.generation import Named

        home = self._home()
        names, closures = self._names(home), self._closures(home)
        old = None if newest else lock_before(recipe)
        found = {}
        for label in labels:
            known = recorded(old, label)
            if known is not None:
                named = Named(request=known[0], environments=known[1])
                chain = f"{label} as {recipe.stem}'s lock has it"
            else:
                meant = self._meant(_labelled(label), names, closures)
                if meant.default_of is not None:
                    raise InvalidInput(
                        f"{label} is a request, which may have come to several environments",
                        reference="unknown-id",
                        hint="`envbuild get` shows them: extends: {id: 'REQUEST:ENVIRONMENT'}",
                    )
                named, chain = meant.named, meant.said
            lock = closures.joined(named, [part.platform for part in request.platforms], chain)
            found[label] = NamedBase(request=named.request, environments=named.environments, lock=lock)
        return found

    def _expect_bases(self, recipe: Path, request: Request) -> None:
        """Tell, sooner or later, which named bases mean something else than the lock recorded."""
        from envbuild.environments.moved_bases import MovedBases
        from envbuild.locks.inheriting import recorded
        from envbuild.locks.locking import lock_before

        old = lock_before(recipe)
        for base in request.bases:
            known = recorded(old, base.path) if base.request is None else None
            if known is not None:
                self._moved = self._moved or MovedBases(
                    lambda: self._names(self._home(), silent=True),  # a thread asks, and reporters hear one only
                    online=not self._offline,
                    note=self._reporter.note,
                )
                self._moved.expect(shown_path(recipe), base.path, *known)

    def _ask_moved(self) -> None:
        """Begin to ask what bases mean now, beside work that may use the network."""
        if self._moved is not None:
            self._moved.ask()

    def _tell_moved(self, *, online: bool) -> None:
        """Tell what is known of bases that moved; see ``moved_bases``."""
        if self._moved is not None:
            self._moved.tell(wait=online)

    def _upgraded_bases(self, recipe: Path, request: Request) -> dict[str, NamedBase] | None:
        """The named bases as they are now, when one of them is not what the lock recorded."""
        from envbuild.locks.inheriting import recorded
        from envbuild.locks.locking import lock_before

        found = self._named_bases(recipe, request, newest=True)
        old = lock_before(recipe)
        same = all(recorded(old, label) == (base.request, base.environments) for label, base in found.items())
        return None if same else found

    # What was locked before

    def _reusable(self, project: Project, request: Request, bases: tuple[Locked, ...]) -> tuple[LockedEnvironment, ...]:
        """What was locked last for a request, where ``reuse-latest`` says so."""
        wanted = project.config.reuse_latest
        if wanted == ("none",) or request.inherits:
            return ()
        from envbuild.locks.folders import own_digests

        pins = [base.lock for base, said in zip(bases, request.bases, strict=True) if said.pin] if bases else []
        found = self._reuse(wanted).find(request, pins, own_digests(project.root, request, self._environ))
        if found is None:
            return ()
        self._reporter.note(f"{request.recipe} is locked as {found.by} locked the same request last (`reuse-latest`)")
        return found.environments

    def _remember_lock(self, project: Project, locked: Locked, *, always: bool) -> None:
        """Let a lock be its request's default; for others too where ``reuse-latest`` is used or the user says so."""
        wanted = project.config.reuse_latest
        if locked.request.inherits:
            if always:
                self._reporter.note(
                    f"{locked.request.recipe} extends an environment by name or id: it is no request's default"
                )
        elif not locked.dropped:
            shared = always or wanted != ("none",)
            self._reuse(wanted, shared=shared).remember(locked.lock, shared=shared)

    def _reuse(self, wanted: tuple[str, ...], *, shared: bool = True) -> Reuse:
        from envbuild.environments.reusing import Reuse

        home = self._home()
        far = [store for store in self._shared() if store.near or not self._offline] if shared else []
        return Reuse((self._near(home), *far), self._closures(home), wanted, self._reporter.note)

    # What names and closures are kept in

    def _home(self) -> Home:
        return open_home(find_home(self._environ))

    def _names(self, home: Home, *, silent: bool = False) -> Names:
        from envbuild.environments.name_stores import authority
        from envbuild.environments.naming import Names

        store = authority(self._shared(), self._near(home))
        note = _unsaid if silent else self._reporter.note
        return Names(store, home.names, offline=self._offline, note=note, unbelieved=self._unbelieved())

    def _closures(self, home: Home) -> Closures:
        from envbuild.environments.closures import Closures

        asked = self._having_closures()
        durability = self.project().config.durability
        return Closures(home.store, asked, durability, self._ask_ahead, self._seen)

    def _shared(self) -> Sequence[NameStore]:
        """The shared stores, near to far."""
        return ()

    def _unbelieved(self) -> str:
        """Which configured stores have no say in names, and what to type when they should."""
        return ""

    def _having_closures(self) -> Sequence[Objects]:
        """Every store that may have a closure, near to far, also those whose word counts for nothing."""
        return ()

    def _ask_ahead(self) -> None:
        """Shared stores are going to be asked for packages."""

    def _seen(self, objects: Objects, name: str, right: bool) -> None:
        """A shared store has a closure, or something else in its place."""

    def _near(self, home: Home) -> NameStore:
        """The home's own store."""
        from envbuild.environments.name_stores import NameStore
        from envbuild.objects.folder import FolderObjects

        durability = self.project().config.durability
        objects = FolderObjects(home.store, durability)
        return NameStore(objects=objects, near=True, home=True)


def _labelled(label: str) -> Source:
    """The source that the label of a base is."""
    kind, _, text = label.partition(":")
    return Source(kind="step", text=text, said=True) if kind == "pathspec" else source_of(label)


def _unsaid(_: str) -> None:
    """For what is said elsewhere, or need not be."""
