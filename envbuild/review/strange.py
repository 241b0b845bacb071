"""What no lock that was made of a recipe could hold.

Theory: an environment id proves only that id and packages were written together, and whoever edits a lock can compute
both. What a solve may take is said by the request: its channels, its indices, the addresses of its requirements, and
what its bases hold. Everything else was written by somebody else.

A source can name further addresses in its own metadata, so in a lock with sources an address that nobody asked for is
not held to be strange. What environments that are extended by name bring is in a store, and not known here.

Rules of the file: pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from envbuild.lock import Lock, LockedEnvironment
from envbuild.package import CondaPackage, SourcePackage, Wheel
from envbuild.recipe import ENVIRONMENTS, GitSource, UrlSource
from envbuild.request import PlatformRequest, Request

Package = CondaPackage | Wheel | SourcePackage


def strange_indices(lock: Lock, request: Request) -> Iterator[str]:
    """Words on addresses that a lock gives to names of indices, and its recipe does not."""
    if request.inherits:
        return
    said = {
        (index.name, index.url)
        for part in request.platforms
        for index in (*part.extra_indices, *((part.index,) if part.index else ()))
    }
    for index in lock.indices:
        if (index.name, index.url) not in said:
            yield f"the index {index.name} is {index.url} here, which the recipe does not say"


def strange_packages(
    environment: LockedEnvironment, request: Request, bases: Mapping[str, Lock]
) -> Iterator[tuple[Package, str]]:
    """The packages of one platform whose place nothing explains, with words on it.

    Args:
        environment: Of a lock that fits its request.
        request: What the recipe asks for.
        bases: The locks of its bases, by the path under which the request names them.
    """
    if request.inherits:
        return
    part = next((item for item in request.platforms if item.platform == environment.platform), None)
    if part is None:
        return
    pinned = {_key(item) for lock in bases.values() for other in lock.platforms for item in _all(other)}
    words, addresses = _words(part), _addresses(part)
    open_ended = bool(environment.sources or environment.build_sources) or _has_sources(part)
    for item in _all(environment):
        if _key(item) in pinned:
            continue
        place = item.channel if isinstance(item, CondaPackage) else item.index or item.find_links
        if place is not None:
            if place not in words:
                yield item, f"{item.name} comes from {place}, which the recipe does not name"
            continue
        git = item.git if isinstance(item, SourcePackage) else None
        path = item.path if isinstance(item, SourcePackage) else None
        address = item.url or git
        if path is not None:
            if path not in addresses and not open_ended:
                yield item, f"{item.name} comes from the folder {path}, which the recipe does not name"
        elif address is not None and address not in addresses and (item.asked or not open_ended):
            yield item, f"{item.name} comes from {address}, which the recipe does not name"


def unlike_bases(
    environment: LockedEnvironment, lock: Lock, bases: Mapping[str, Lock]
) -> Iterator[tuple[Package, str]]:
    """The packages that are others than those of a base that pins them, with words on it."""
    for base in lock.bases:
        other = bases[base.path].environment(environment.platform) if base.path in bases else None
        if not base.pin or other is None or base.path.startswith(ENVIRONMENTS):
            continue
        theirs = {(_kind(item), item.name): item for item in _own(other)}
        for item in _own(environment):
            was = theirs.get((_kind(item), item.name))
            if was is not None and was.sha256 != item.sha256:
                yield item, f"{item.name} {item.version} is not what its base {base.path} has, {was.version}"


def _own(environment: LockedEnvironment) -> tuple[Package, ...]:
    return (*environment.conda, *environment.wheels, *environment.sources)


def _all(environment: LockedEnvironment) -> tuple[Package, ...]:
    return (*_own(environment), *environment.build, *environment.build_sources)


def _kind(item: Package) -> str:
    return "conda" if isinstance(item, CondaPackage) else "pypi"


def _key(item: Package) -> tuple[str, str, str]:
    return _kind(item), item.name, item.sha256


def _words(part: PlatformRequest) -> set[str]:
    """Channels, indices and find-links that a request looks at; ``default`` is the machine's own index."""
    index = () if part.no_index else (part.index.name if part.index else "default",)
    extra = () if part.no_index else tuple(item.name for item in part.extra_indices)
    own = tuple(item.channel for item in part.conda if item.channel)
    return {*part.channels, *own, *index, *extra, *part.find_links}


def _addresses(part: PlatformRequest) -> set[str]:
    found = {item.url for item in (*part.conda, *part.conda_constraints) if item.url}
    for item in (*part.pypi, *part.pypi_constraints, *part.pypi_overrides):
        if isinstance(item.source, UrlSource):
            found.add(item.source.url)
        elif isinstance(item.source, GitSource):
            found.add(item.source.git)
        elif item.source is not None:
            found.add(item.source.path)
    return found


def _has_sources(part: PlatformRequest) -> bool:
    return any(item.source is not None for item in (*part.pypi, *part.pypi_constraints, *part.pypi_overrides))
