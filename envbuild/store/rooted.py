"""The closures that a shared store's names mean, and that were locked lately: what stays because somebody said so.

Rules of the file: reads only; what cannot be read is never taken for what nobody wants.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import TypeVar

from envbuild.errors import EnvbuildError, IntegrityError, InvalidInput
from envbuild.names import Name, parse_name, request_name
from envbuild.objects import Listed, Objects, Odd
from envbuild.pattern import pattern
from envbuild.store import names as generations
from envbuild.store.generation import Generation
from envbuild.store.object_names import REF, closure_name
from envbuild.store.parallel import in_parallel

_BATCH = 256
_REQUEST = pattern(r"requests/([0-9a-f]{64})/@([^/@]+)/([0-9]{20})\.json")

Item = TypeVar("Item")


def named(objects: Objects, keep: int | None, odd: Odd, step: Callable[[str, int], None]) -> tuple[list[str], int]:
    """The closures that names mean, or meant, and how many generations say so.

    Args:
        objects: The store.
        keep: Of tags that move, how many of the newest generations count; all when None.
        odd: Told of what is no generation.
        step: Told how many were read.

    Raises:
        IntegrityError: When one is missing, or cannot be read.
        UnreachableError: When the store does not answer.
    """
    found: dict[Name, list[int]] = {}
    for item in objects.list("refs/", odd):
        match = REF.fullmatch(item.name)
        try:
            name = parse_name(f"{match[1]}:{match[2]}") if match else None
        except InvalidInput:
            name = None
        if name is None or match is None:
            odd(item.name, "is no generation of a name")
        else:
            found.setdefault(name, []).append(int(match[3]))
    wanted: list[tuple[Name, int]] = []
    for name, numbers in found.items():
        if sorted(numbers) != list(range(1, len(numbers) + 1)):
            missing = min(set(range(1, max(numbers) + 1)) - set(numbers), default=0)
            raise refused(objects, f"generation {missing} of {name} is missing", "bad-generation")
        wanted += [(name, number) for number in sorted(numbers)[-keep if keep and name.movable else None :]]
    closures: dict[Name, list[str]] = {}
    removed: set[Name] = set()
    for batch in batches(wanted):
        for generation in in_parallel(partial(_generation, objects), batch):
            closures.setdefault(generation.name, []).extend(_closures_of(generation))
            if generation.named.removed and generation.number == max(found[generation.name]):
                removed.add(generation.name)  # its past may go: nobody can mean it any more
        step("generations of names", len(batch))
    return [item for name, several in closures.items() if name not in removed for item in several], len(wanted)


def locked(objects: Objects, since: float) -> Iterator[tuple[list[str], float]]:
    """The closures that were locked since then, where ``reuse-latest`` remembers it, each time with when.

    Raises:
        UnreachableError: When the store does not answer.
    """
    young = (item for item in objects.list("requests/") if item.modified >= since)
    for batch in batches(young):
        yield from in_parallel(partial(_of_request, objects), batch)


def refused(objects: Objects, problem: str, reference: str) -> EnvbuildError:
    """Why nothing is collected."""
    return IntegrityError(
        f"nothing in {objects.address} is collected while something that stays cannot be read: {problem}",
        reference=reference,
        hint="have it mended, or deleted, before anything else goes",
    )


def batches(items: Iterable[Item]) -> Iterator[list[Item]]:
    """So many at a time as are asked for side by side."""
    rest = iter(items)
    while batch := list(islice(rest, _BATCH)):
        yield batch


def _generation(objects: Objects, where: tuple[Name, int]) -> Generation:
    name, number = where
    try:
        found = generations.read(objects, name, number)
    except IntegrityError as error:
        raise refused(objects, error.message, error.reference) from error
    if found is None:
        raise refused(objects, f"generation {number} of {name} is gone", "bad-generation")
    return found


def _of_request(objects: Objects, item: Listed) -> tuple[list[str], float]:
    match = _REQUEST.fullmatch(item.name)
    if match is not None:
        with suppress(IntegrityError):  # it is a convenience: nobody's name
            found = generations.read(objects, request_name(match[1], match[2]), int(match[3]))
            if found is not None:
                return _closures_of(found), item.modified
    return [], item.modified


def _closures_of(generation: Generation) -> list[str]:
    meant = generation.named
    return [closure_name(platform, meant.request, environment) for platform, environment in meant.environments]
