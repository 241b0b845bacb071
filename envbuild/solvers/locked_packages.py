"""What uv chose, as lines of a lock: records with digests, what needs what, and which extras are asked for.

A base's wheel keeps the base's own record. A file without a sha256 on its index is fetched, once, to compute one.
Rules of the file: effects through ``context``; nothing of the machine gets into a record.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from envbuild.conda_names import project_names
from envbuild.errors import IntegrityError, UnsatisfiableError
from envbuild.package import SourcePackage, UrlOrigin, Wheel
from envbuild.recipe import UrlSource
from envbuild.request import PlatformRequest
from envbuild.solvers.mixed import Stubs
from envbuild.solvers.pylock import ChosenWheel
from envbuild.solvers.sources import Places
from envbuild.solvers.target import marker_environment
from envbuild.solvers.uv_compile import PypiQuestion
from envbuild.solvers.wheel_metadata import WheelMetadata, check_python, edges, read_all
from envbuild.value import dataclass, replace

if TYPE_CHECKING:
    from envbuild.derivations import Context
    from envbuild.solvers.metadata_ahead import MetadataAhead
    from envbuild.solvers.source_solve import SourceSupply


@dataclass(frozen=True, slots=True, kw_only=True)
class PypiAnswer:
    """What a solve found, each sorted by name.

    Attributes:
        sources: What must be built. ``build``: wheels that only builds see, and ``build_sources``: sources whose wheels
            only builds see, both sorted by file name.
    """

    wheels: tuple[Wheel, ...]
    sources: tuple[SourcePackage, ...] = ()
    build: tuple[Wheel, ...] = ()
    build_sources: tuple[SourcePackage, ...] = ()


def locked_packages(
    chosen: tuple[ChosenWheel, ...],
    question: PypiQuestion,
    stubs: Stubs,
    origins: Mapping[str, str],
    places: Places,
    supply: SourceSupply | None,
    context: Context,
    ahead: MetadataAhead | None = None,
) -> PypiAnswer:
    """The packages of a lock.

    Args:
        chosen: The file of each package; a stub for what must be built.
        question: The solve.
        stubs: What conda provides, and what bases pin.
        origins: The address that each package came from, where that matters.
        places: The recipe's words for addresses.
        supply: The solve's sources; None when it has none.
        context: For effects.
        ahead: What was asked for while uv resolved.

    Raises:
        IntegrityError: A file is not what was promised.
        UnsatisfiableError: A wheel does not run on the Python; or what a build needs cannot be had.
        BuildError: The backend of a source fails.
    """
    chosen, sources = supply.take(chosen) if supply is not None else (chosen, ())
    known = {item.file: item for item in (*question.keep, *question.pins)}
    for item in chosen:
        _check_promised(item, question.request)
    words = {item.name: (supply and supply.place_of(item)) or places.word(item, origins) for item in chosen}
    for item in chosen:
        _check_link(item, words[item.name], places)
    chosen = tuple(_digested(item, known, words[item.name], context) for item in chosen)
    metadata = read_all(chosen, context, ahead)
    told = {**metadata, **(supply.metadata(sources) if supply is not None else {})}
    for ask in question.request.pypi:
        for extra in sorted({*ask.extras} - {*told[ask.name].extras} if ask.name in told else ()):
            context.note(f"{ask.name} has no extra named {extra}")
    requires, extras = edges(
        {**told, **stubs.metadata()},
        [(item.name, item.extras, item.markers) for item in question.request.pypi],
        marker_environment(question.target),
    )
    named = {
        **{name: name for name in (*told, *stubs.pinned)},
        **{name: item.name for name, item in stubs.packages.items()},
    }
    needs = {name: tuple(sorted({named[item] for item in items if item in named})) for name, items in requires.items()}
    wheels = _wheels(chosen, question, metadata, needs, extras, words, stubs, context)
    told_for = {options.name for options in question.build if not question.building}
    for name in sorted(told_for & metadata.keys()):
        context.note(f"`build: {name}` is for nothing on {question.target.platform}: it comes as a wheel")
    if supply is None:
        return PypiAnswer(wheels=wheels)
    found, build = supply.packages(sources, needs, extras, _provided(requires, stubs))
    return PypiAnswer(wheels=wheels, sources=found, build=build.wheels, build_sources=build.sources)


def _provided(requires: Mapping[str, Iterable[str]], stubs: Stubs) -> dict[str, tuple[str, ...]]:
    """By name: what conda packages are it by the recipe's word alone, as ``SourcePackage.provided`` has it."""
    said = {
        project: f"{project}={package.name}"
        for project, package in stubs.packages.items()
        if project not in project_names(package)
    }
    return {name: tuple(sorted(said[item] for item in items if item in said)) for name, items in requires.items()}


def _wheels(
    chosen: tuple[ChosenWheel, ...],
    question: PypiQuestion,
    metadata: Mapping[str, WheelMetadata],
    needs: Mapping[str, tuple[str, ...]],
    extras: Mapping[str, tuple[str, ...]],
    words: Mapping[str, tuple[str, str]],
    stubs: Stubs,
    context: Context,
) -> tuple[Wheel, ...]:
    pinned = {item.name: item for item in question.pins}
    asked = {item.name for item in question.request.pypi}
    wheels = []
    for item in chosen:
        told, name = metadata[item.name], item.name
        if problem := check_python(told, question.target.full):
            raise UnsatisfiableError(f"{problem}, and the environment has {question.target.python}", reference="python")
        base = pinned.get(name)
        if base is not None and base.version == item.version:
            wheels.append(replace(base, requires=needs[name], extras=extras[name], asked=name in asked))
            continue
        wheels.append(_wheel(item, told, needs[name], extras[name], words[name], name in asked))
        assert item.sha256 is not None
        context.remember(item.sha256, item.url)
    for base in question.pins:
        if base.name in stubs.pinned:
            name = base.name
            wheels.append(replace(base, requires=needs[name], extras=extras[name], asked=name in asked))
    return tuple(sorted(wheels, key=lambda wheel: wheel.name))


def _check_promised(item: ChosenWheel, request: PlatformRequest) -> None:
    promised = {ask.name: ask.source.sha256 for ask in request.pypi if isinstance(ask.source, UrlSource)}.get(item.name)
    if promised is not None and item.sha256 is not None and item.sha256 != promised:
        where = next((ask.where for ask in request.pypi if ask.name == item.name), None)
        raise IntegrityError(f"{item.file} has the sha256 {item.sha256}", reference="wrong-hash", where=where)


def _check_link(item: ChosenWheel, place: tuple[str, str], places: Places) -> None:
    """A page that came over a network may not name files of whoever reads it."""
    if item.direct or not item.url.startswith("file:"):
        return
    kind, word = place
    known = places.links if kind == "find-links" else (*places.indices, *places.links)
    if not any(address is not None and address.startswith("file:") for name, address in known if name == word):
        raise IntegrityError(
            f"{word} leads to a file of this machine for {item.file}",
            reference="unsafe-link",
            hint="tell whoever runs that index; a folder of your own goes under `find-links`",
        )


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
