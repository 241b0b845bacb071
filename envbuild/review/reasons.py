"""Why a package differs between two environments of one platform: from what the locks say of who needs whom.

::

    asked       the recipe asks (or asked) for it by name
    needed      a package asks for it now that did not: the shortest chain from a direct change
    unneeded    who asked for it went, or asks no longer
    wanted      a package asks for another version of it than before (conda packages say which)
    follows     it lies below a direct change; the shortest chain
    python      it is for another Python
    constrained a constraint or an override of the recipe on it changed
    again       nothing that asks for it changed: it was solved again, and the choice was another

A lock knows versions that conda packages ask for, and only names of what wheels ask for: nothing is guessed beyond.

Rules of the file: pure; one walk over each environment, whatever the number of changes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from sys import intern
from typing import Literal

from envbuild.conda_names import project_names
from envbuild.lock import LockedEnvironment
from envbuild.locks.lockdiff import Package, Pair
from envbuild.package import CondaPackage, SourcePackage, Wheel, normalize_pypi_name
from envbuild.pattern import pattern
from envbuild.review.requests import RequestChange
from envbuild.value import dataclass

Because = Literal["asked", "needed", "unneeded", "wanted", "follows", "python", "constrained", "again"]

_NAME = pattern(r"(?:.*::)?([A-Za-z0-9_.-]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why.

    Attributes:
        chain: From the package where it began down to this one; empty where there is none.
        changed: The first of the chain to which anything happened; None when nothing did. ``cause``: what that was:
            ``added``, ``removed``, ``upgraded`` …
        spec: What the last but one asks for, where it says so: ``openssl >=3.3``.
        request: The line of the recipe, for what is asked for.
    """

    because: Because
    chain: tuple[str, ...] = ()
    changed: str | None = None
    cause: str | None = None
    spec: str | None = None
    request: RequestChange | None = None


_AGAIN = Reason(because="again")


class Reasons:
    """The reasons of one platform's changes.

    Args:
        before: The old environment.
        after: The new one.
        requests: What changed in the recipe.
    """

    def __init__(
        self,
        before: LockedEnvironment | None,
        after: LockedEnvironment | None,
        requests: Sequence[RequestChange] = (),
    ) -> None:
        self._before, self._after = before, after
        self._requests = {item.package: item for item in requests if item.package is not None and item.asks}
        self._bounds = {item.package: item for item in requests if item.package is not None and not item.asks}
        self._new_python = bool(before and after and before.python != after.python)
        self._whole = before is None or after is None
        self._old: _Walk | None = None
        self._new: _Walk | None = None
        self._how: dict[str, str] = {}

    def begin(self, changes: Sequence[Pair]) -> None:
        """Take note of everything that differs."""
        if self._whole:
            return
        assert self._before is not None
        assert self._after is not None
        self._how = {item.name: item.how or "changed" for item in changes if item.how is not None}
        if not any(self._direct(item) is False for item in changes):
            return
        direct = sorted({item.name for item in changes if self._direct(item) and item.how is not None})
        self._old, self._new = _Walk(self._before, direct), _Walk(self._after, direct)

    def of(self, pair: Pair) -> Reason | None:
        """The reason of one change."""
        if self._direct(pair):
            request = self._requests.get(normalize_pypi_name(pair.name))
            return Reason(because="asked", chain=(pair.name,), request=request)
        if self._old is None or self._new is None:
            return None
        if pair.after is None:
            return self._gone(pair.name, self._old)
        if pair.before is None:
            return self._came(pair.name, self._new)
        return self._other(pair, self._old, self._new)

    @staticmethod
    def _direct(pair: Pair) -> bool:
        return any(side is not None and side.asked for side in (pair.before, pair.after))

    def _came(self, name: str, new: _Walk) -> Reason:
        chain = new.chain(name)
        return self._made("needed", chain, new.spec(chain[-2], name) if chain[1:] else None)

    def _gone(self, name: str, old: _Walk) -> Reason:
        return self._made("unneeded", old.chain(name))

    def _other(self, pair: Pair, old: _Walk, new: _Walk) -> Reason:
        name = pair.name
        if (bound := self._bounds.get(normalize_pypi_name(name))) is not None:
            return Reason(because="constrained", chain=(name,), request=bound)
        wanted = next(
            (user for user in new.users(name) if (said := new.spec(user, name)) and said != old.spec(user, name)), None
        )
        chain = new.caused(name)
        if wanted is not None and (not chain or chain[-2] != wanted):
            above = new.caused(wanted)
            longer = (*above, name) if above and name not in above else (wanted, name)
            return self._made("wanted", longer, new.spec(wanted, name))
        if chain:
            return self._made("wanted" if wanted else "follows", chain, new.spec(chain[-2], name) if wanted else None)
        if self._new_python and pair.how in {"rebuilt", "upgraded", "downgraded"} and _for_python(pair):
            return Reason(because="python", chain=("python", name))
        return _AGAIN

    def _made(self, because: Because, chain: tuple[str, ...], spec: str | None = None) -> Reason:
        changed = next((name for name in chain[:-1] if name in self._how), None)
        return Reason(
            because=because, chain=chain, changed=changed, cause=self._how[changed] if changed else None, spec=spec
        )


class _Walk:
    """One environment: who asks for whom, and the shortest way from the direct changes, and from all that is asked."""

    def __init__(self, environment: LockedEnvironment, causes: Iterable[str]) -> None:
        self._requires, self._specs = _edges(environment)
        self._users: dict[str, list[str]] = {}
        for name, needed in self._requires.items():
            for other in needed:
                self._users.setdefault(other, []).append(name)
        self._environment = environment
        self._from_causes = self._walk([name for name in causes if name in self._requires])
        self._from_asked: dict[str, str | None] | None = None

    def users(self, name: str) -> list[str]:
        """Who asks for a package, sorted."""
        return sorted(self._users.get(name, ()))

    def spec(self, user: str, name: str) -> str | None:
        """What a conda package says of a package that it needs."""
        return self._specs.get((user, name))

    def caused(self, name: str) -> tuple[str, ...]:
        """The shortest chain from a direct change; empty when there is none."""
        return _trail(self._from_causes, name)

    def chain(self, name: str) -> tuple[str, ...]:
        """The shortest chain from a direct change, else from anything that is asked for."""
        if caused := self.caused(name):
            return caused
        if self._from_asked is None:
            one = self._environment
            packages: tuple[Package, ...] = (*one.conda, *one.wheels, *one.sources)
            self._from_asked = self._walk(sorted({item.name for item in packages if item.asked}))
        return _trail(self._from_asked, name)

    def _walk(self, roots: Iterable[str]) -> dict[str, str | None]:
        came: dict[str, str | None] = dict.fromkeys(roots)
        queue = deque(came)
        while queue:
            current = queue.popleft()
            for needed in self._requires.get(current, ()):
                if needed not in came:
                    came[needed] = current
                    queue.append(needed)
        return came


def _trail(came: dict[str, str | None], name: str) -> tuple[str, ...]:
    if came.get(name) is None:
        return ()
    chain: list[str] = []
    step: str | None = name
    while step is not None:
        chain.append(step)
        step = came[step]
    return tuple(map(intern, reversed(chain)))


def _edges(environment: LockedEnvironment) -> tuple[dict[str, list[str]], dict[tuple[str, str], str]]:
    """What each package asks for, sorted, as far as it is there; and in which words, where a lock has them."""
    requires: dict[str, list[str]] = {}
    specs: dict[tuple[str, str], str] = {}
    names = {package.name for package in environment.conda}
    installed: tuple[Wheel | SourcePackage, ...] = (*environment.wheels, *environment.sources)
    providers = {item.name: item.name for item in installed}
    if {name for item in installed for name in item.requires} - providers.keys():
        for package in environment.conda:
            for project in project_names(package):
                providers.setdefault(project, package.name)
    for package in environment.conda:
        needed = []
        for spec in package.depends:
            found = _NAME.match(spec)
            if found and (name := found[1]) in names and name != package.name:
                needed.append(name)
                specs[package.name, name] = spec
        requires[package.name] = sorted(set(needed))
    for item in installed:
        requires[item.name] = sorted({providers[name] for name in item.requires if name in providers} - {item.name})
    return requires, specs


def _for_python(pair: Pair) -> bool:
    """Whether a package is made for one Python."""
    if isinstance(pair.after, CondaPackage):
        return any(spec.split(" ", 1)[0] in {"python", "python_abi"} for spec in pair.after.depends)
    return True
