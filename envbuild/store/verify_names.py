"""Verifying the names of a shared store: each generation continues the one before, and what the newest means is there.

Rules of the file: reads only; what is wrong is told to the verification that it is part of.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from envbuild.errors import IntegrityError, InvalidInput
from envbuild.names import Name, parse_name
from envbuild.store import names as generations
from envbuild.store.findings import Finding
from envbuild.store.generation import Generation, object_name
from envbuild.store.object_names import NAMED, closure_name
from envbuild.store.parallel import in_parallel

if TYPE_CHECKING:
    from envbuild.store.verify_objects import ObjectChecks

THREADS = 24

_RESTORE = "restore it from a copy of the store; until then the name is an error (exit 4)"
_ALIAS = "name it again where its lock is: envbuild alias RECIPE {}"


def numbers(check: ObjectChecks, name: Name) -> list[int]:
    """The generations of a name that are there, without a listing: a web server has none."""
    found: list[int] = []
    low = 1
    while True:
        asked = {object_name(name, number): number for number in range(low, low + 64)}
        there = check.store.sizes(list(asked))
        if not there:
            return sorted(found)
        found += [asked[each] for each in there]
        low += 64


def verify_name(check: ObjectChecks, name: Name, numbers: Iterable[int]) -> tuple[Generation, ...]:
    """Read every generation of a name; gives those that are right.

    Args:
        check: The verification of that store, which counts and tells.
        name: Which.
        numbers: The generations that a listing saw.
    """
    check.count(names=int(not name.of_request))
    every = range(1, max(numbers) + 1)
    read = in_parallel(lambda number: (number, _generation(check, name, number)), every, THREADS)
    past = {number: generation for number, generation in read if generation is not None}
    for number, generation in sorted(past.items()):
        before = past.get(number - 1)
        if before is not None and before.digest != generation.previous:
            message = f"continues another generation {number - 1} than there is"
            _bad_generation(check, name, number, message)
    if not name.of_request:
        _environments(check, past.values())
    return tuple(past.values())


def _generation(check: ObjectChecks, name: Name, number: int) -> Generation | None:
    for last in (False, True):
        where = object_name(name, number)
        try:
            found = check.read(where, lambda: generations.read(check.store.objects, name, number))
        except IntegrityError as error:
            if last:
                _bad_generation(check, name, number, error.message)
            continue
        if found is None and last and not check.unreadable(where):
            message = f"is missing: generation {number} of {name}, which has later ones"
            check.found(Finding(name=where, problem="missing-generation", message=message, todo=_RESTORE))
        if found is not None:
            return found
    return None


def _bad_generation(check: ObjectChecks, name: Name, number: int, message: str) -> None:
    where = object_name(name, number)
    check.found(Finding(name=where, problem="bad-generation", message=message, todo=_RESTORE))


def _environments(check: ObjectChecks, past: Collection[Generation]) -> None:
    """Tell of environments that a name means and whose closures are not there; count those that it meant."""
    newest = max((item.number for item in past), default=0)
    wanted = {
        closure_name(platform, generation.named.request, environment): generation
        for generation in sorted(past, key=lambda item: item.number)
        for platform, environment in generation.named.environments
    }
    there = check.store.sizes(sorted(wanted))
    for where, generation in wanted.items():
        if where in there or (generation.number == newest and check.unreadable(where)):
            continue
        if generation.number != newest:
            check.count(forgotten=1)
        else:
            message = f"is not there, and {generation.name} means it since generation {generation.number}"
            check.found(
                Finding(name=where, problem="absent-environment", message=message, todo=_ALIAS.format(generation.name))
            )


def generation_of(name: str) -> tuple[Name, int] | None:
    """The name and generation that an object is, by how it is called."""
    found = NAMED.fullmatch(name)
    if found is None or int(found[4]) == 0:
        return None
    if found[1] == "requests":
        right = re.fullmatch(r"[0-9a-f]{64}", found[2]) and re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,63}", found[3])
        return (Name(path=f"_/{found[2]}", tag=found[3]), int(found[4])) if right else None
    try:
        return parse_name(f"{found[2]}:{found[3]}"), int(found[4])
    except InvalidInput:
        return None
