"""Verifying the names of a shared store: each generation continues the one before, and what the newest means is there.

Rules of the file: reads only; what is wrong is told to the verification that it is part of.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from envbuild.errors import IntegrityError
from envbuild.names import Name
from envbuild.store import names as generations
from envbuild.store.findings import Finding
from envbuild.store.names import Generation
from envbuild.store.object_names import closure_name
from envbuild.store.parallel import in_parallel

if TYPE_CHECKING:
    from envbuild.store.verify_shared import Verification

THREADS = 24

_RESTORE = "restore it from a copy of the store; until then the name is an error (exit 4)"
_ALIAS = "name it again where its lock is: envbuild alias RECIPE {}"


def numbers(check: Verification, name: Name) -> list[int]:
    """The generations of a name that are there, without a listing: a web server has none."""
    found: list[int] = []
    low = 1
    while True:
        asked = {generations.object_name(name, number): number for number in range(low, low + 64)}
        there = check.store.sizes(list(asked))
        if not there:
            return sorted(found)
        found += [asked[each] for each in there]
        low += 64


def verify_name(check: Verification, name: Name, numbers: Iterable[int]) -> tuple[Generation, ...]:
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


def _generation(check: Verification, name: Name, number: int) -> Generation | None:
    for last in (False, True):
        try:
            found = generations.read(check.store.objects, name, number)
        except IntegrityError as error:
            if last:
                _bad_generation(check, name, number, error.message)
            continue
        if found is None and last:
            where = generations.object_name(name, number)
            message = f"is missing: generation {number} of {name}, which has later ones"
            check.found(Finding(name=where, problem="missing-generation", message=message, todo=_RESTORE))
        if found is not None:
            return found
    return None


def _bad_generation(check: Verification, name: Name, number: int, message: str) -> None:
    where = generations.object_name(name, number)
    check.found(Finding(name=where, problem="bad-generation", message=message, todo=_RESTORE))


def _environments(check: Verification, past: Collection[Generation]) -> None:
    """Tell of environments that a name means and whose closures are not there; count those that it meant."""
    newest = max((item.number for item in past), default=0)
    wanted = {
        closure_name(platform, generation.named.request, environment): generation
        for generation in sorted(past, key=lambda item: item.number)
        for platform, environment in generation.named.environments
    }
    there = check.store.sizes(sorted(wanted))
    for where, generation in wanted.items():
        if where in there:
            continue
        if generation.number != newest:
            check.count(forgotten=1)
        else:
            message = f"is not there, and {generation.name} means it since generation {generation.number}"
            check.found(
                Finding(name=where, problem="absent-environment", message=message, todo=_ALIAS.format(generation.name))
            )
