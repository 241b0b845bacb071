"""Closures as a session finds them: in the home, then in the shared stores, by ids whole or by their beginning.

A closure proves itself: what is read is held against the id, so any store may have it, also one that nobody trusts
with names. What a shared store gave is kept in the home. The beginning of an id is looked for in the home alone: shared
stores are never listed for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from shlex import quote

from envbuild.digest import Digest, short
from envbuild.errors import EnvbuildError, IntegrityError, InvalidInput, UnreachableError
from envbuild.lock import Lock
from envbuild.locks.lock_writing import closure_bytes
from envbuild.locks.lockfile import LIMIT
from envbuild.machine.publish import Durability
from envbuild.machine.virtual import current_platform
from envbuild.names import split_id
from envbuild.objects import Objects
from envbuild.package import PLATFORMS, Platform
from envbuild.store import environments
from envbuild.store.environments import Identity
from envbuild.store.generation import Named

MOST_SHOWN = 10


class Closures:
    """Where locked environments are found again.

    Args:
        store: The home's store.
        shared: Shared stores, near to far; those that need a network are left out when there is to be none.
        durability: How what they gave is kept.
        asks: Called before shared stores are asked for a closure: they will be asked for packages next.
        told: Told the store and the name of each closure that came from there, and whether it was one.
    """

    def __init__(
        self,
        store: Path,
        shared: Sequence[Objects] = (),
        durability: Durability = "safe",
        asks: Callable[[], None] = lambda: None,
        told: Callable[[Objects, str, bool], None] = lambda objects, name, right: None,
    ) -> None:
        self._store = store
        self._shared = shared
        self._durability = durability
        self._asks = asks
        self._told = told

    def find(self, identity: Identity) -> Lock | None:
        """An environment as a lock of its own; None when no store has it.

        Raises:
            UnreachableError: When a store does not answer, and no other has it.
            IntegrityError: When a store has something else under its name, and no other has it.
        """
        found = environments.read(self._store, identity)
        problem: EnvbuildError | None = None
        if found is None:
            self._asks()
        for objects in self._shared if found is None else ():
            try:
                data = objects.read(identity.object_name, LIMIT)
                if data is not None:
                    found = environments.parse(data, identity)
                    self.keep(found)
                    self._told(objects, identity.object_name, True)
                    return found
            except IntegrityError as error:
                self._told(objects, identity.object_name, False)
                problem = problem or IntegrityError(
                    f"{identity} in {objects.address} is damaged: {error.message}",
                    reference=error.reference,
                    hint=f"whoever has it realized types: envbuild push SOURCE --to {quote(objects.address)}",
                )
            except UnreachableError as error:
                problem = problem or error
        if found is None and problem is not None:
            raise problem
        return found

    def get(self, identity: Identity, chain: str) -> Lock:
        """As ``find``, where somebody says that it is there.

        Args:
            identity: Which.
            chain: Who says so.

        Raises:
            IntegrityError: ``absent-environment`` with the chain.
        """
        found = self.find(identity)
        if found is None:
            raise IntegrityError(
                f"{chain} -> {identity}, which no store here has",
                reference="absent-environment",
                hint=f"where it was realized: envbuild push {identity.environment[:12]}; where its lock is: "
                "envbuild alias RECIPE NAME",
            )
        return found

    def path(self, identity: Identity) -> Path:
        """Where the home has it, or would."""
        return self._store / identity.object_name

    def keep(self, lock: Lock, objects: Objects | None = None) -> None:
        """Have the closures of a lock in the home, and in a store when one is given.

        Raises:
            NoSpaceError, UnreachableError: When they cannot be written.
        """
        for environment in lock.platforms:
            environments.record(self._store, lock, environment, self._durability)
            if objects is not None:
                identity = Identity(platform=environment.platform, request=lock.request, environment=environment.id)
                objects.put(identity.object_name, closure_bytes(lock, environment))

    def joined(self, named: Named, platforms: Iterable[Platform], chain: str) -> Lock:
        """What a name means on some platforms, as far as it has them, as one lock.

        Raises:
            IntegrityError: As ``get``.
        """
        wanted = [identity for platform in platforms if (identity := on(named, platform)) is not None]
        locks = [self.get(identity, chain) for identity in wanted]
        indices = {index.name: index for lock in locks for index in lock.indices}
        return Lock(
            request=named.request,
            platforms=tuple(environment for lock in locks for environment in lock.platforms),
            indices=tuple(indices[name] for name in sorted(indices)),
        )

    def default(self, request: Digest) -> Named:
        """The default environments of a request: what was locked last for it on this machine, or said to be it.

        Raises:
            InvalidInput: ``no-default`` with those that are here.
        """
        from envbuild.environments.user_name import user_name
        from envbuild.names import request_name
        from envbuild.objects.folder import FolderObjects
        from envbuild.store import names as generations

        newest = generations.current(FolderObjects(self._store), request_name(request, user_name()))
        if newest is not None and newest.named.request == request:
            return newest.named
        here = environments.beginning(self._store, request, "")
        raise InvalidInput(
            f"the request {short(request)} has no default: none of its environments was locked on this machine; "
            f"here are {_some(here)}",
            reference="no-default",
            hint=f"say which: {request[:12]}:{here[0].environment[:12]}; or `envbuild lock RECIPE --set-default`",
        )

    def request(self, text: str) -> Digest | None:
        """The request of an id that is one, given whole or by its beginning; None when an environment's begins so.

        Raises:
            InvalidInput: ``bad-id``; ``ambiguous-id`` when several requests begin so, or a request and an environment.
        """
        begin, environment = split_id(text)
        if begin:
            return None
        found = environments.requests(self._store, environment)
        same = environments.beginning(self._store, "", environment) if found else ()
        if len(found) + len({item.environment for item in same}) > 1:
            what = [f"the request {short(item)}" for item in found] + [f"the environment {item}" for item in same]
            raise InvalidInput(
                f"{len(what)} ids begin with {text}: {', '.join(what[:MOST_SHOWN])}",
                reference="ambiguous-id",
                hint="write more digits, or REQUEST:ENVIRONMENT",
            )
        return found[0] if found else None

    def begin(self, text: str) -> tuple[Identity, ...]:
        """The environments of one id, given whole or by its beginning: one environment, of one request or several.

        Raises:
            InvalidInput: ``bad-id``; ``unknown-id``; ``ambiguous-id`` with those that begin so.
        """
        request, environment = split_id(text)
        found = environments.beginning(self._store, request, environment)
        if not found and len(request) == len(environment) == 64:
            found = self._elsewhere(Digest(request), Digest(environment))
        if not found:
            raise InvalidInput(
                f"no environment here has the id {text}",
                reference="unknown-id",
                hint="shared stores are asked for whole ids only: REQUEST:ENVIRONMENT, as `envbuild get NAME` shows",
            )
        if len({item.environment for item in found}) > 1:
            raise InvalidInput(
                f"{len(found)} environments begin with {text}: {_some(found)}",
                reference="ambiguous-id",
                hint="write more digits",
            )
        return found

    def _elsewhere(self, request: Digest, environment: Digest) -> tuple[Identity, ...]:
        """Whole ids in the shared stores: this machine's platform is read at once, the others are asked for."""
        every = [Identity(platform=platform, request=request, environment=environment) for platform in PLATFORMS]
        here = next((identity for identity in every if identity.platform == current_platform()), None)
        if here is not None and self.find(here) is not None:
            return (here,)
        for objects in self._shared:
            there = objects.sizes([identity.object_name for identity in every])
            found = tuple(identity for identity in every if identity.object_name in there)
            if found:
                return found
        return ()


def _some(found: Sequence[Identity]) -> str:
    shown = ", ".join(map(str, found[:MOST_SHOWN]))
    return f"{shown} and {len(found) - MOST_SHOWN} more" if len(found) > MOST_SHOWN else shown


def on(named: Named, platform: Platform) -> Identity | None:
    """What a name means on one platform."""
    return next(
        (
            Identity(platform=name, request=named.request, environment=environment)
            for name, environment in named.environments
            if name == platform
        ),
        None,
    )
