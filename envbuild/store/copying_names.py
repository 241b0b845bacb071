"""Copying names from one shared store into another: generation after generation, as they are, and never one replaced.

A name is copied when the other store has none of that name, or less of the same past: then what is missing is put after
it, in order, each create-only, so that a copy that ends early leaves a name that is whole, and older. A name that has
another past there is *diverged*: it stays, and is told. One that has gone on there is left alone.

Rules of the file: closures of all that a name means, or meant, go before it; see ``envbuild.store.copying``.
"""

from __future__ import annotations

from collections.abc import Iterable

from envbuild.errors import IntegrityError
from envbuild.names import Name
from envbuild.store import names as generations
from envbuild.store.copying import Copy
from envbuild.store.generation import Generation, object_name
from envbuild.store.object_names import closure_name


def copy_names(copy: Copy, names: Iterable[Name] | None = None) -> None:
    """Copy names with all their generations.

    Args:
        copy: Which stores; what is sent, damaged and diverged is counted there.
        names: Which; all of the source when None.

    Raises:
        UnreachableError: When one of the stores does not answer, or refuses.
    """
    for name in generations.listed(copy.source.objects) if names is None else names:
        try:
            _copy_name(copy, name)
        except IntegrityError as error:
            copy.damaged.add(f"{name}: {error.message}")


def _copy_name(copy: Copy, name: Name) -> None:
    here, there = copy.source.objects, copy.target.objects
    now = generations.current(here, name)
    if now is None:
        return
    past = list(reversed(list(generations.history(here, name, now))))
    theirs = generations.current(there, name)
    known = theirs.number if theirs is not None else 0
    if theirs is not None:
        same = past[known - 1] if known <= now.number else generations.read(there, name, now.number)
        if same is None or (same.digest != theirs.digest if known <= now.number else same.digest != now.digest):
            copy.diverged.append(_diverged(copy, name, now, theirs))
            return
    copy.closures(
        {
            closure_name(platform, generation.named.request, environment)
            for generation in past
            for platform, environment in generation.named.environments
        }
    )
    for generation in past[known:]:
        where = object_name(name, generation.number)
        copy.target.holder().hold(
            closure_name(platform, generation.named.request, environment)
            for platform, environment in generation.named.environments
        )
        if there.put(where, generation.data) == "exists":
            other = generations.read(there, name, generation.number)
            if other is None or other.digest != generation.digest:
                copy.diverged.append(_diverged(copy, name, now, other))
                return
        else:
            copy.count["generations"] += 1
    copy.signatures(object_name(name, generation.number) for generation in past)


def _diverged(copy: Copy, name: Name, now: Generation, theirs: Generation | None) -> str:
    held = f"generation {theirs.number}, {theirs.named}" if theirs is not None else "something else"
    return (
        f"{name} has another past in {copy.target.name}: there it is {held}; "
        f"in {copy.source.name} generation {now.number}, {now.named}"
    )
