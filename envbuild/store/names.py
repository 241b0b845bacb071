"""Names in a store: numbered generations that are only ever added, each put create-only.

::

    refs/<name>/@<tag>/<generation, 20 digits>.json

Generations are contiguous from 1 and stay for ever; the highest one is what the name means. It is found without a
listing: gallop from a generation that is known (or from nothing), then between, GETs side by side. A store that shows a
put to whoever asks afterwards makes "the next one is absent" the truth of that moment.

A name is removed by a generation that means nothing: no environment. Its past stays; a later one may follow.

To move a name is to create the next generation. Of all that try, one does; the others look again and try the number
after, or end when they expected another generation than there is. An answer that was lost is no loss: whatever the put
said, the generation is read, and our nonce in it says that it is ours.

Rules of the file: through the six calls of ``envbuild.objects`` alone; a body is ``envbuild.store.generation``.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from operator import itemgetter

from envbuild.errors import EnvbuildError, IntegrityError, InvalidInput, NameConflictError, UnreachableError
from envbuild.faults import reach
from envbuild.names import Name, parse_name
from envbuild.objects import Objects
from envbuild.store.generation import LARGEST, Generation, Named, Published, not_believed, object_name, parse, to_bytes
from envbuild.store.parallel import in_parallel
from envbuild.value import dataclass

_FAR = (1, 4, 16, 64, 256, 1024)
_BETWEEN = 63
"""Generations that are asked for at once: beyond one that is there, and between two that are known."""


def read(objects: Objects, name: Name, number: int) -> Generation | None:
    """One generation, or None when it is not there.

    Raises:
        IntegrityError: ``bad-generation`` when what is there is none of this name, tag and number.
        UnreachableError: When the store does not answer.
    """
    data = objects.read(object_name(name, number), LARGEST)
    return None if data is None else parse(data, name, number)


def current(objects: Objects, name: Name, seen: Generation | None = None) -> Generation | None:
    """The highest generation; None when the name is not there.

    Args:
        objects: The store.
        name: Which.
        seen: The highest that was seen before: the search begins there, and what is found may not contradict it.

    Raises:
        IntegrityError: ``name-rolled-back`` when the store has less than, or other than, what was seen;
            ``bad-generation``, also where one is missing below one that was met.
        UnreachableError: When the store does not answer.
    """
    found, low = seen, seen.number if seen else 0
    # Gallop: low is there, and whatever lies beyond the first absent one is not. What was seen is most likely still
    # the highest; without it, a round trip costs more than reading a few small documents too many.
    steps: Sequence[int] = (1,) if seen is not None else (1, 2)
    high: int | None = None
    while high is None or high - low > 1:
        several = in_parallel(lambda number: (number, read(objects, name, number)), [low + step for step in steps])
        several.sort(key=itemgetter(0))
        for place, (number, known) in enumerate(several):
            generation = known
            if generation is None and any(later is not None for _, later in several[place:]):
                generation = _passed_over(objects, name, number)
            if generation is None:
                high = number
                break
            found, low = generation, number
        if high is None:
            steps = _FAR if len(steps) <= 2 else tuple(step * _FAR[-1] for step in steps)
        else:
            each = max(1, math.ceil((high - low) / (_BETWEEN + 1)))
            steps = range(each, high - low, each)
    if seen is not None and found is not None:
        _check_seen(objects, name, seen, found)
    return found


def _passed_over(objects: Objects, name: Name, number: int) -> Generation:
    """A generation that was absent, while a later one that was asked for beside it was there: both came meanwhile."""
    there = read(objects, name, number)
    if there is None:  # moving the name would make it, and the name would go on meaning the later one
        raise not_believed(name, number, "it is missing, and there is a later one")
    return there


def _check_seen(objects: Objects, name: Name, seen: Generation, found: Generation) -> None:
    """What was seen once is still there; one question, and none when the next generation says so itself."""
    if found.number == seen.number + 1:
        known = found.previous
    else:
        again = read(objects, name, seen.number)
        known = again.digest if again is not None else None
    if known != seen.digest:
        raise IntegrityError(
            f"{name} was at generation {seen.number} in {objects.address}, which has another past now: "
            "it was rolled back, or another store is behind that address",
            reference="name-rolled-back",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """What became of a name.

    Attributes:
        now: Its current generation, the one that was written or the one that said the same already.
        written: Whether this call wrote it.
        before: The generation before, when there is one.
    """

    now: Generation
    written: bool
    before: Generation | None


def move(
    objects: Objects,
    name: Name,
    named: Named,
    *,
    expect: int | None = None,
    seen: Generation | None = None,
    published: Published | None = None,
    again: bool = False,
) -> Moved:
    """Make a name mean some environments: create its next generation.

    Args:
        objects: The store.
        name: Which; one whose tag is not movable is written once.
        named: What it is to mean. When it means that already, nothing is written, whatever was expected; see ``again``.
        expect: The generation that the caller believes to be the current one; 0 for none. None: whatever it is.
        seen: See ``current``.
        published: Where it comes from, when it does not come by hand.
        again: Write a generation also when it means that already, for it comes from somewhere else now.

    Raises:
        NameConflictError: ``name-taken`` for another meaning of a tag that is written once, ``name-moved`` when the
            current generation is not the expected one; both with what the name means.
        IntegrityError: As ``current``; ``store-contradicts`` when the store says that a generation exists and has none.
        UnreachableError: When it is not known to be written.
    """
    nonce = os.urandom(16).hex()
    now = current(objects, name, seen)
    while True:
        if now is not None and now.named == named and not again:  # so that the same call again does no harm
            return Moved(now=now, written=False, before=None)
        if expect is not None and expect != (now.number if now else 0):
            raise _elsewhere(name, now, expect)
        if now is not None and not name.movable and not named.removed:
            _check_taken(objects, name, named, now)
        number = now.number + 1 if now else 1
        data = to_bytes(name, number, named, now.digest if now else None, nonce, published)
        try:
            reach("pre-name-put")
            said = objects.put(object_name(name, number), data)
            reach("post-name-put")
            if said == "created":
                return Moved(now=parse(data, name, number), written=True, before=now)
            there = _winner(objects, name, number)
        except UnreachableError as error:  # the answer was lost, perhaps: the generation itself says whose it is
            there = _after(error, objects, name, number)
        if there.nonce == nonce:
            return Moved(now=there, written=True, before=now)
        now = current(objects, name, there)


def _winner(objects: Objects, name: Name, number: int) -> Generation:
    there = read(objects, name, number)
    if there is None:
        raise IntegrityError(
            f"{objects.address} says that generation {number} of {name} exists, and has none",
            reference="store-contradicts",
            retryable=True,
        )
    return there


def _after(error: UnreachableError, objects: Objects, name: Name, number: int) -> Generation:
    """The generation that is there after a put failed; the failure itself when there is none."""
    try:
        there = read(objects, name, number)
    except EnvbuildError:
        raise error from None
    if there is None:
        raise error
    return there


def _check_taken(objects: Objects, name: Name, named: Named, now: Generation) -> None:
    """A tag that is written once may only mean what it meant; also when it was removed.

    Raises:
        NameConflictError: ``name-taken``.
    """
    meant = read(objects, name, now.number - 1) if now.named.removed else now
    if meant is not None and meant.named == named:
        return
    held = "was removed" if now.named.removed else f"holds {now.named}"
    raise NameConflictError(
        f"{name} {held} since {now.created}, and is written once",
        reference="name-taken",
        hint="choose another tag; only latest, candidate and stable move",
    )


def _elsewhere(name: Name, now: Generation | None, expected: int) -> NameConflictError:
    there = f"is at generation {now.number} ({now.named})" if now else "is not there"
    return NameConflictError(
        f"{name} {there}, and generation {expected} was expected" if expected else f"{name} {there} already",
        reference="name-moved",
        hint=f"envbuild history {name}" if now else None,
    )


def history(objects: Objects, name: Name, now: Generation) -> Iterator[Generation]:
    """Every generation, the newest first; each is held against what the next one says of it.

    Raises:
        IntegrityError: ``bad-generation`` when one is missing or is not what the next one continued.
    """
    yield now
    while now.number > 1:
        before = read(objects, name, now.number - 1)
        if before is None or before.digest != now.previous:
            raise not_believed(
                name, now.number - 1, "it is missing" if before is None else "it is not what was continued"
            )
        yield (now := before)


def listed(objects: Objects, path: str | None = None) -> dict[Name, int]:
    """Every name with its highest generation, by listing: for people, for collecting and for checking.

    Args:
        objects: The store's.
        path: Lists the tags of one name alone.
    """
    from envbuild.store.object_names import REF  # compiles patterns, which reading a name needs none of

    found: dict[Name, int] = {}
    for item in objects.list("refs/" if path is None else f"refs/{path}/"):
        match = REF.fullmatch(item.name)
        if match is None:
            continue
        with suppress(InvalidInput):  # what no name can be is not ours
            name = parse_name(f"{match[1]}:{match[2]}")
            found[name] = max(found.get(name, 0), int(match[3]))
    return dict(sorted(found.items(), key=lambda item: (item[0].path, item[0].tag)))
