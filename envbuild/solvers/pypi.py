"""Wheels for a target platform and Python: uv resolves, the wheels' own metadata gives the edges of the lock.

A solve is: refuse what has no wheel; write stubs of what conda provides; run uv; where an extra of a stub is asked for,
read the real wheel's metadata and run uv again; choose the best file of each package; read what those wheels say.

Indices: those that the recipe names come first, then the default, then the machine's additional ones; the first that
has a name wins. A base's wheel keeps the base's own record.
Rules of the file: effects through ``context``; nothing of the machine gets into a wheel's record.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from envbuild.errors import EnvbuildError, IntegrityError, UnsatisfiableError
from envbuild.package import UrlOrigin, Wheel
from envbuild.recipe import PypiRequirement, UrlSource
from envbuild.request import PlatformRequest
from envbuild.solvers.mixed import Stubs, make_stubs
from envbuild.solvers.pylock import ChosenWheel, choose, needs_build
from envbuild.solvers.sources import Places, places_of
from envbuild.solvers.target import marker_environment, wheel_ranks
from envbuild.solvers.uv_compile import PypiQuestion as PypiQuestion
from envbuild.solvers.uv_compile import resolve
from envbuild.solvers.wheel_metadata import WheelMetadata, check_python, edges, kept_metadata, load_engines, read_all

if TYPE_CHECKING:
    from envbuild.derivations import Context

_WARM = 0.4
"""Seconds that uv takes at most when it need not ask anybody."""

_UNDATED = re.compile(r"warning: `([^`]+)` is missing an upload date")
_NO_EXTRA = re.compile(r"warning: The package `([^`= ]+)(?:==| @ )[^`]*` does not have an extra named `([^`]+)`")


def solve_pypi(question: PypiQuestion, context: Context) -> tuple[Wheel, ...]:
    """The wheels for one platform, sorted by name; what conda provides is not among them.

    Raises:
        UnsatisfiableError: With uv's explanation and the recipe's lines; ``needs-build`` for what has no wheel.
        UnreachableError: When an index does not answer.
    """
    for item in question.request.pypi:
        if item.source is not None and not _is_wheel(item):
            raise needs_build(item.name, None, item.where)
    places = places_of(question.request, context.addresses)
    loading = threading.Thread(target=load_engines, daemon=True)
    loading.start()
    with _expecting(places, context), context.scratch() as folder:
        pinned = _pinned(question, context)
        stubs = make_stubs(question.conda, folder / "stubs", {}, pinned, question.request.provides)
        answer = resolve(question, places, stubs, folder, context)
        missing = _missing_extras(answer.said, stubs)
        if missing:
            extras = _extra_metadata(question, places, stubs, missing, folder, context)
            if extras:
                stubs = make_stubs(question.conda, folder / "stubs", extras, pinned, question.request.provides)
                answer = resolve(question, places, stubs, folder, context)
    loading.join()
    _tell(answer.said, stubs, question, places, context)
    where = {item.name: item.where for item in question.request.pypi}
    chosen = choose([item for item in answer.packages if item not in stubs], wheel_ranks(question.target), where)
    return _wheels(chosen, question, stubs, answer.origins, places, context)


@contextmanager
def _expecting(places: Places, context: Context) -> Iterator[None]:
    """While uv works, ready what asking its index for METADATA takes.

    Where none is kept yet this begins at once, else when uv works longer than it does with a warm cache.
    """
    done = threading.Event()
    asked = [] if places.no_index else [address or "https://" for _, address in places.indices]
    remote = next((address for address in asked if address.startswith(("http://", "https://"))), None)

    kept = context.engine_cache("metadata")
    patience = _WARM if next(kept.iterdir(), None) is not None else 0.0

    def expect() -> None:
        if remote is not None and not done.wait(patience):
            with suppress(EnvbuildError):  # who asks will meet it
                context.expect(remote)

    threading.Thread(target=expect, daemon=True).start()
    try:
        yield
    finally:
        done.set()


def _pinned(question: PypiQuestion, context: Context) -> dict[str, WheelMetadata]:
    """The bases' wheels that uv need not ask about: their metadata is known, and no index is named for them."""
    bound = {item.name for item in question.request.pypi if item.index is not None or item.source is not None}
    found = {}
    for wheel in question.pins:
        metadata = kept_metadata(wheel.sha256, context)
        if metadata is not None and wheel.url is None and wheel.name not in bound:
            found[wheel.name] = replace(metadata, version=wheel.version)
    return found


def _is_wheel(item: PypiRequirement) -> bool:
    return isinstance(item.source, UrlSource) and item.source.url.split("#", 1)[0].split("?", 1)[0].endswith(".whl")


def _missing_extras(said: str, stubs: Stubs) -> dict[str, set[str]]:
    missing: dict[str, set[str]] = {}
    for name, extra in _NO_EXTRA.findall(said):
        if name in stubs.packages:
            missing.setdefault(name, set()).add(extra)
    return missing


def _extra_metadata(
    question: PypiQuestion,
    places: Places,
    stubs: Stubs,
    missing: Mapping[str, set[str]],
    folder: Path,
    context: Context,
) -> dict[str, WheelMetadata]:
    """What the wheels of the same versions say of the extras that are asked of conda's packages."""
    wanted = tuple(PypiRequirement(name=name, version=f"=={stubs.versions[name]}") for name in sorted(missing))
    found: dict[str, WheelMetadata] = {}
    for item in wanted:
        request = replace(question.request, pypi=(item,), pypi_constraints=(), pypi_overrides=())
        alone = replace(question, request=request, pins=(), keep=(), conda=(), cut_off=None)
        try:
            packages = resolve(alone, places, Stubs(), folder, context).packages
            same = [package for package in packages if package["name"] == item.name]
            found |= read_all(choose(same, wheel_ranks(question.target), {}), context)
        except UnsatisfiableError:
            context.note(f"{item.name} {item.version} comes from conda; its extras are not known and left out")
    return found


def _tell(said: str, stubs: Stubs, question: PypiQuestion, places: Places, context: Context) -> None:
    if question.cut_off:
        hidden = sorted(set(_UNDATED.findall(said)))
        for name in sorted({file.split("-")[0] for file in hidden}):
            context.note(f"{name}: its index states no upload dates, so the cut-off {question.cut_off} hides its files")
        if places.links:
            context.note(f"files of find-links have no dates: the cut-off {question.cut_off} does not filter them")
    for name, extra in sorted(set(_NO_EXTRA.findall(said))):
        context.note(f"{name} has no extra named {extra}")


def _wheels(
    chosen: tuple[ChosenWheel, ...],
    question: PypiQuestion,
    stubs: Stubs,
    origins: Mapping[str, str],
    places: Places,
    context: Context,
) -> tuple[Wheel, ...]:
    pinned = {item.name: item for item in question.pins}
    known = {item.file: item for item in (*question.keep, *question.pins)}
    for item in chosen:
        _check_promised(item, question.request)
    chosen = tuple(_digested(item, known, places.word(item, origins), context) for item in chosen)
    metadata = read_all(chosen, context)
    for ask in question.request.pypi:
        for extra in sorted({*ask.extras} - {*metadata[ask.name].extras} if ask.name in metadata else ()):
            context.note(f"{ask.name} has no extra named {extra}")
    requires, extras = edges(
        {**metadata, **stubs.metadata()},
        [(item.name, item.extras, item.markers) for item in question.request.pypi],
        marker_environment(question.target),
    )
    asked = {item.name for item in question.request.pypi}
    named = {
        **{name: name for name in (*metadata, *stubs.pinned)},
        **{name: item.name for name, item in stubs.packages.items()},
    }
    wheels = []
    for item in chosen:
        told = metadata[item.name]
        if problem := check_python(told, question.target.full):
            raise UnsatisfiableError(f"{problem}, and the environment has {question.target.python}", reference="python")
        needs = tuple(sorted({named[name] for name in requires[item.name] if name in named}))
        base = pinned.get(item.name)
        if base is not None and base.version == item.version:
            wheels.append(replace(base, requires=needs, extras=extras[item.name], asked=item.name in asked))
            continue
        wheels.append(_wheel(item, told, needs, extras[item.name], places.word(item, origins), item.name in asked))
        assert item.sha256 is not None
        context.remember(item.sha256, item.url)
    for base in question.pins:
        if base.name in stubs.pinned:
            needs = tuple(sorted({named[name] for name in requires[base.name] if name in named}))
            wheels.append(replace(base, requires=needs, extras=extras[base.name], asked=base.name in asked))
    return tuple(sorted(wheels, key=lambda wheel: wheel.name))


def _check_promised(item: ChosenWheel, request: PlatformRequest) -> None:
    promised = {ask.name: ask.source.sha256 for ask in request.pypi if isinstance(ask.source, UrlSource)}.get(item.name)
    if promised is not None and item.sha256 is not None and item.sha256 != promised:
        where = next((ask.where for ask in request.pypi if ask.name == item.name), None)
        raise IntegrityError(f"{item.file} has the sha256 {item.sha256}", reference="wrong-hash", where=where)


def _wheel(
    item: ChosenWheel,
    told: WheelMetadata,
    needs: tuple[str, ...],
    extras: tuple[str, ...],
    place: tuple[str, str],
    asked: bool,
) -> Wheel:
    kind, word = place
    assert item.sha256 is not None
    return Wheel(
        name=item.name,
        version=item.version,
        file=item.file,
        sha256=item.sha256,
        index=word if kind == "index" else None,
        url=word if kind == "url" else None,
        find_links=word if kind == "find-links" else None,
        size=item.size,
        upload_time=item.upload_time,
        license=told.license,
        requires=needs,
        extras=extras,
        asked=asked,
    )


def _digested(item: ChosenWheel, known: Mapping[str, Wheel], place: tuple[str, str], context: Context) -> ChosenWheel:
    """The wheel with a sha256: the index's word, else the lock before, else computed from its bytes."""
    if item.sha256 is not None:
        return item
    before = known.get(item.file)
    if before is not None:
        return replace(item, sha256=before.sha256, size=before.size)
    address = place[1] if place[0] == "url" else item.url
    fetched = context.fetch(UrlOrigin(url=address, file=item.file), sha256=None, size=item.size, urls=(item.url,))
    context.note(f"{item.file} has no sha256 on its index: it was fetched to compute one")
    return replace(item, sha256=fetched.sha256, size=fetched.size)
