"""``reuse-latest``: what was locked last for the same request, instead of a solve.

::

    requests/<request>/@<user>/<generation, 20 digits>.json

Each lock that is made leaves a generation there, as a move of a name does: in the home for its user, and where
``reuse-latest`` is used also for ``any`` and in the stores that are written. The newest of this user in the home is
the request's default environment. It is somebody's choice and proves nothing: what it leads to are closures, which
prove themselves, and instead of a solve it is taken only when it answers the whole request, holds what the bases pin,
and every folder and file of the project is what it was. What extends an environment by name or id is left out: another
one may have led to it.

Rules of the file: every failure is a note, and means to solve.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from envbuild.digest import Digest
from envbuild.environments.closures import Closures, on
from envbuild.environments.name_stores import NameStore
from envbuild.environments.user_name import called, user_name
from envbuild.errors import EnvbuildError
from envbuild.lock import Lock, LockedEnvironment
from envbuild.locks.staleness import stale_reasons
from envbuild.names import request_name
from envbuild.request import Request
from envbuild.store import names as generations
from envbuild.store.generation import Named
from envbuild.value import dataclass, replace

ANY = "any"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reusable:
    """What was locked before for a request.

    Attributes:
        by: Whose choice it was, in words.
    """

    environments: tuple[LockedEnvironment, ...]
    by: str


class Reuse:
    """The logs of requests.

    Args:
        stores: The home's store, and the shared ones, near to far.
        closures: Where environments are found.
        wanted: The setting: ``mine``, ``any``, or names of users.
        note: Told what went wrong.
    """

    def __init__(
        self, stores: Sequence[NameStore], closures: Closures, wanted: Sequence[str], note: Callable[[str], None]
    ) -> None:
        self._stores = stores
        self._closures = closures
        self._wanted = wanted
        self._note = note

    def find(self, request: Request, pins: Sequence[Lock], own: Mapping[str, Digest]) -> Reusable | None:
        """What was locked last for a request, when it can be used as it is.

        Args:
            request: What is asked for.
            pins: The locks of its bases that are pinned.
            own: What the project's folders and files are now.
        """
        age = request.exclude_newer is not None and request.exclude_newer.endswith(("h", "d", "w"))
        if request.inherits or age:  # an age means another day tomorrow
            return None
        users = [user_name() if word == "mine" else called(word) for word in self._wanted]
        for user in users:
            for store in self._stores:
                try:
                    found = self._of(store, request, user)
                except EnvbuildError as error:
                    self._note(f"what was locked before for this request is not looked for: {error}")
                    continue
                if found is not None and _fits(found, request, pins, own):
                    by = {ANY: "somebody", user_name(): "you"}.get(user, user)
                    return Reusable(environments=found, by=by)
        return None

    def _of(self, store: NameStore, request: Request, user: str) -> tuple[LockedEnvironment, ...] | None:
        log = store.signed.current(request_name(request.id, user))
        if log.lacking:
            self._note(
                f"what was locked before for this request in {store.objects.address} does not count: {log.lacking}"
            )
        newest = log.generation
        if newest is None or newest.named.request != request.id:
            return None
        found: list[LockedEnvironment] = []
        for part in request.platforms:
            identity = on(newest.named, part.platform)
            lock = self._closures.find(identity) if identity is not None else None
            if lock is None:
                return None
            found += lock.platforms
        return tuple(found)

    def remember(self, lock: Lock, *, shared: bool = True) -> None:
        """Let a lock be the newest of its request, in the home and in every shared store that may be written.

        Args:
            lock: Which.
            shared: Also as what anybody locked last.
        """
        named = Named(
            request=lock.request, environments=tuple(sorted((item.platform, item.id) for item in lock.platforms))
        )
        for store in self._stores:
            if not store.writable:
                continue
            try:
                self._closures.keep(lock, None if store.home else store.objects)
                for user in (user_name(), ANY) if shared else (user_name(),):
                    store.signed.sign(generations.move(store.objects, request_name(lock.request, user), named).now)
            except EnvbuildError as error:
                self._note(f"{store.objects.address} does not know of this lock: {error}")


def _fits(
    found: tuple[LockedEnvironment, ...], request: Request, pins: Sequence[Lock], own: Mapping[str, Digest]
) -> bool:
    """Whether environments answer a request now: its bases' packages are in them, its folders are what they were."""
    for environment in found:
        part = request.platform(environment.platform)
        asked = {item.name for item in part.conda} | {item.name for item in part.pypi if item.markers is None}
        same = (environment.interpreter, environment.system, environment.variables)
        if same != (request.interpreter, part.system, request.variables) or asked - environment.names():
            return False
        pinned = (lock.environment(environment.platform) for lock in pins)
        if any(base is not None and _bytes(base) - _bytes(environment) for base in pinned):
            return False
    bare = replace(request, bases=())
    return not stale_reasons(Lock(request=bare.id, platforms=found), bare, {}, own)


def _bytes(environment: LockedEnvironment) -> set[Digest]:
    """The digests of all packages."""
    found = {item.sha256 for item in environment.conda}
    return found | {item.sha256 for item in environment.wheels} | {item.sha256 for item in environment.sources}
