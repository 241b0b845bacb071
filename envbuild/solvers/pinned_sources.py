"""Bases' sources in a solve: they stay as the base has them, and only an extra that is new is looked up.

A base's lock tells all that its source needs, so neither its bytes nor its backend are asked again. What stands behind
an extra that the base did not ask for it does not tell: for that the source is read after all, from the store or from
where it came, with the tools that the base has locked for it.

Rules of the file: what is solved is solved elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from envbuild.builders.core_metadata import WheelMetadata
from envbuild.errors import EnvbuildError, UnsatisfiableError, Where
from envbuild.lock import origin_of
from envbuild.package import SourcePackage, Wheel
from envbuild.recipe import GitSource, PathSource, PypiRequirement, UrlSource
from envbuild.solvers.mixed import extra_requirements, pypi_projects
from envbuild.solvers.offers import Source, pinned_metadata
from envbuild.solvers.source_metadata import SourceReader
from envbuild.solvers.source_requirements import named_sources, wheel_at
from envbuild.solvers.sources import Places
from envbuild.solvers.target import marker_environment
from envbuild.solvers.uv_compile import PypiQuestion
from envbuild.value import replace

if TYPE_CHECKING:
    from envbuild.derivations import Context


def check_pins(item: PypiRequirement, question: PypiQuestion, context: Context) -> None:
    """Refuse a source that is another one than a base's package of that name.

    Raises:
        UnsatisfiableError: ``base-pins``.
    """
    source = next((pin for pin in question.pins_sources if pin.name == item.name), None)
    pinned = source or next((wheel for wheel in question.pins if wheel.name == item.name), None)
    if pinned is None or (source is not None and _is_same(source, item)):
        return
    if isinstance(pinned, Wheel) and (is_wheel_address(item) or wheel_at(item, context) is not None):
        return
    raise UnsatisfiableError(
        f"the base pins {pinned.name} {pinned.version}, and another source of it is asked for",
        reference="base-pins",
        where=item.where,
        hint="extend the base with `pin: false`, or change it in the base",
    )


def pinned_extras(
    pin: SourcePackage,
    asked: set[str],
    question: PypiQuestion,
    places: Places,
    reader: SourceReader,
    where: Where | None,
) -> WheelMetadata:
    """What is known of a base's source, with what stands behind all its extras.

    Args:
        pin: The base's record.
        asked: Extras that the base did not ask for.
        question: The solve.
        places: For the address of the index that it came from.
        reader: Reads the source.
        where: The recipe's line that asks for it.

    Raises:
        UnsatisfiableError: ``address-in-metadata`` when an extra names an address.
        EnvbuildError: Whatever reading the source meets, with what it was read for.
    """
    words = ", ".join(f"{pin.name}[{extra}]" for extra in sorted(asked))
    told = f"{words} is asked for, and the base has {pin.name} without it"
    hint = f"ask for {words} in the base, and lock it again"
    try:
        read = reader.read(source_of_record(pin, places, where))
    except EnvbuildError as error:
        raise type(error)(
            f"{told}: {error.message}", reference=error.reference, where=where, hint=hint, retryable=error.retryable
        ) from error.__cause__
    assert read.metadata is not None
    behind = extra_requirements(read.metadata)
    new = replace(read.metadata, requires=behind, extras=tuple(sorted(asked)))
    for item in named_sources(replace(read, direct=True), new, marker_environment(question.target)):
        raise UnsatisfiableError(
            f"{told}: it wants {item.name} from an address", reference="address-in-metadata", where=where, hint=hint
        )
    projects = {item.name: name for item in question.conda for name in pypi_projects(item, question.request.provides)}
    known = pinned_metadata(pin, projects)
    return replace(known, requires=(*known.requires, *behind), extras=read.metadata.extras)


def repinned(
    pin: SourcePackage, asked: tuple[str, ...], known: tuple[str, ...], needs: Mapping[str, tuple[str, ...]]
) -> SourcePackage:
    """A base's source as the base has it, but for extras that are asked for now and what they bring.

    Args:
        pin: The base's record.
        asked: Extras asked of it.
        known: Those that it has, as far as they were looked up.
        needs: By name: what each package needs, in the lock's words.
    """
    more = ({*asked} & {*known}) - {*pin.extras}
    if not more:
        return pin
    return replace(pin, requires=needs[pin.name], extras=tuple(sorted({*pin.extras, *more})))


def source_of_record(record: SourcePackage, places: Places, where: Where | None) -> Source:
    """A locked source, wherever it came from, to be read again.

    Args:
        record: What the lock says.
        places: For the address of the index that it names.
        where: The recipe's line that it goes back to.
    """
    addresses = {} if record.index is None else {record.index: places.index_address(record.index)}
    place = next(
        (kind, address)
        for kind, address in (
            ("git", record.git),
            ("path", record.path),
            ("url", record.url),
            ("find-links", record.find_links),
            ("index", record.index),
        )
        if address is not None
    )
    return Source(
        name=record.name,
        version=record.version,
        file=record.file,
        origin=origin_of(record, addresses),
        place=place,
        sha256=record.sha256,
        size=record.size,
        subdirectory=record.subdirectory,
        commit=record.commit,
        rev=record.rev,
        where=where,
    )


def is_wheel_address(item: PypiRequirement) -> bool:
    """Whether a requirement names a wheel by its address."""
    return isinstance(item.source, UrlSource) and item.source.url.split("#", 1)[0].split("?", 1)[0].endswith(".whl")


def _is_same(pinned: SourcePackage, item: PypiRequirement) -> bool:
    """Whether a requirement names the place that a base's source came from."""
    match item.source:
        case GitSource(git=git, rev=rev, subdirectory=below):
            return (pinned.git, pinned.rev, pinned.subdirectory) == (git, rev, below)
        case UrlSource(url=url, subdirectory=below):
            return (pinned.url, pinned.subdirectory) == (url.split("#", 1)[0], below)
        case PathSource(path=path):
            return path == pinned.path or (pinned.find_links is not None and path.endswith(pinned.file))
        case None:
            return False
