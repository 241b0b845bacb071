"""Whether a lock still answers its recipe, said without a network, and why not.

The verdict is exact: the request id and the bases' environment ids decide. The reasons are found by holding what the
recipe asks for against what the lock says was asked for; where that shows nothing, one general sentence stands.

Rules of the file: pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from envbuild.digest import Digest
from envbuild.lock import Lock, LockedEnvironment
from envbuild.recipe import ENVIRONMENTS
from envbuild.request import PlatformRequest, Request


def stale_reasons(
    lock: Lock, request: Request, bases: Mapping[str, Lock], own: Mapping[str, Digest] = MappingProxyType({})
) -> tuple[str, ...]:
    """Every reason that can be named why a lock does not fit; empty when it fits.

    Args:
        lock: The lock as it is.
        request: What the recipe asks for now.
        bases: The bases' locks as they are now, by the path under which the request names them.
        own: The digests of the project's own folders and files now, by path; those that are not there say nothing.
    """
    reasons = [*_platforms(lock, request)]
    if lock.request != request.id:
        details = [
            reason
            for item in request.platforms
            for reason in _asked(lock.environment(item.platform), item, inherits=request.inherits)
        ]
        details += _whole(lock, request)
        reasons += list(dict.fromkeys(details)) or ([] if reasons else ["what the recipe asks for has changed"])
    reasons += _bases(lock, request, bases)
    reasons += _edited(lock, own)
    return tuple(reasons)


def _platforms(lock: Lock, request: Request) -> list[str]:
    locked = {item.platform for item in lock.platforms}
    asked = {item.platform for item in request.platforms}
    return [f"{name} is not locked" for name in sorted(asked - locked)] + [
        f"{name} is locked, and the recipe is not for it" for name in sorted(locked - asked)
    ]


def _asked(environment: LockedEnvironment | None, request: PlatformRequest, *, inherits: bool) -> list[str]:
    if environment is None:
        return []
    asked = {item.name for item in request.conda} | {item.name for item in request.pypi}
    was_asked = {item.name for item in environment.conda if item.asked}
    was_asked |= {item.name for item in environment.wheels if item.asked}
    was_asked |= {item.name for item in environment.sources if item.asked}
    found = [f"{name} is asked for, and not locked" for name in sorted(asked - environment.names())]
    if inherits:
        return found
    found += [f"{name} is not asked for any more" for name in sorted(was_asked - asked - {"python"})]
    if dict(environment.system) != dict(request.system):
        found.append("the assumed system changed")
    return found


def _whole(lock: Lock, request: Request) -> list[str]:
    found = []
    for environment in lock.platforms:
        if request.inherits:
            continue  # what is not said here is the base's
        if environment.interpreter != request.interpreter:
            found.append(f"the interpreter was {environment.interpreter}, and is {request.interpreter}")
        if environment.variables != request.variables:
            found.append("the variables changed")
        if environment.bytecode != request.bytecode:
            found.append(f"bytecode was {'on' if environment.bytecode else 'off'}")
    return found


def _edited(lock: Lock, own: Mapping[str, Digest]) -> list[str]:
    """Folders and files of the project that are not what they were."""
    found = []
    for path, digest in own.items():
        name = path.rpartition("/")[2]
        for environment in lock.platforms:
            locked = {item.sha256 for item in environment.sources if item.path == path}
            locked |= {item.sha256 for item in environment.sources if item.find_links and item.file == name}
            locked |= {item.sha256 for item in environment.wheels if item.find_links and item.file == name}
            if locked and digest not in locked:
                found.append(f"{path} was edited since it was locked")
    return list(dict.fromkeys(found))


def _bases(lock: Lock, request: Request, bases: Mapping[str, Lock]) -> list[str]:
    if {base.path for base in lock.bases} != {base.path for base in request.bases}:
        return ["it extends other bases"]
    found = []
    for locked in lock.bases:
        if locked.path.startswith(ENVIRONMENTS):
            continue  # what is recorded stands
        now = bases.get(locked.path)
        if now is None:
            found.append(f"its base {locked.path} has no lock")
        elif locked.pin and any(
            (environment := now.environment(platform)) is None or environment.id != was
            for platform, was in locked.environments
        ):
            found.append(f"its base {locked.path} was locked again")
    return found
