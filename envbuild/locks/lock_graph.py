"""The lock graph: a request becomes solves, and their fragments become locked environments.

For each platform there is a conda solve (with ``interpreter: conda``, or where conda packages are asked for), and a
PyPI solve when wheels or a Python are wanted; where there are both the second reads the first. The solves of different
platforms have no edge between them, so they run side by side.

Rules of the file: makes values; asks no channel and no index.
"""

from __future__ import annotations

from collections.abc import Mapping

from envbuild.addresses import DEFAULT_INDEX, Addresses
from envbuild.derivations.solve import Fragment, Solve, fragment_from_bytes
from envbuild.digest import Digest
from envbuild.errors import UnsatisfiableError
from envbuild.graph import Graph
from envbuild.lock import Lock, LockedEnvironment
from envbuild.package import CondaPackage, Platform, SourcePackage, Wheel
from envbuild.recipe import Index
from envbuild.request import PlatformRequest, Request
from envbuild.solvers.channels import channel_addresses, channel_words
from envbuild.solvers.sources import in_one_pool
from envbuild.value import dataclass, replace

Package = CondaPackage | Wheel | SourcePackage


@dataclass(frozen=True, slots=True, kw_only=True)
class Solves:
    """The solves of a request.

    Attributes:
        graph: All of them.
        keys: By platform: the keys of its solves, conda before PyPI.
    """

    request: Request
    graph: Graph
    keys: tuple[tuple[Platform, tuple[Digest, ...]], ...]

    def environments(self, outputs: Mapping[Digest, bytes]) -> tuple[LockedEnvironment, ...]:
        """The locked environments, from each solve's fragment by key."""
        return tuple(
            _environment(self.request, platform, tuple(fragment_from_bytes(outputs[key]) for key in keys))
            for platform, keys in self.keys
        )


def lock_graph(
    request: Request,
    platforms: tuple[Platform, ...],
    *,
    bases: Mapping[str, Lock],
    keep: Lock | None,
    cut_off: str | None,
    addresses: Addresses,
) -> Solves:
    """The solves for some platforms of a request.

    Args:
        request: What is asked for.
        platforms: Those to solve.
        bases: The bases' locks by path; the packages of pinned ones stay as they are.
        keep: A lock whose versions are preferred, or None.
        cut_off: RFC 3339, or None.
        addresses: For the canonical addresses in keys.

    Raises:
        UnsatisfiableError: ``bases-disagree`` when two bases pin different packages of one name.
    """
    solves: list[Solve] = []
    keys = []
    for platform in platforms:
        part = request.platform(platform)
        pins = _pins(request, platform, bases)
        kept = keep.environment(platform) if keep is not None else None
        own = _platform_solves(request, part, pins, kept, cut_off, addresses)
        solves += own
        keys.append((platform, tuple(solve.key for solve in own)))
    graph = Graph(solves, tuple(key for _, several in keys for key in several))
    return Solves(request=request, graph=graph, keys=tuple(keys))


def _platform_solves(
    request: Request,
    part: PlatformRequest,
    pins: LockedEnvironment | None,
    kept: LockedEnvironment | None,
    cut_off: str | None,
    addresses: Addresses,
) -> list[Solve]:
    found = []
    after = None
    if request.interpreter == "conda" or part.conda or (pins and pins.conda):
        conda = Solve(
            ecosystem="conda",
            request=part,
            interpreter=request.interpreter,
            cut_off=cut_off,
            channels=_canonical_channels(part, addresses),
            pins_conda=pins.conda if pins else (),
            pins_wheels=pins.wheels if pins else (),
            pins_sources=pins.sources if pins else (),
            keep_conda=kept.conda if kept else (),
        )
        found.append(conda)
        after = conda.key
    if part.pypi or (pins and (pins.wheels or pins.sources)) or request.interpreter != "conda":
        found.append(
            Solve(
                ecosystem="pypi",
                request=part,
                interpreter=request.interpreter,
                cut_off=cut_off,
                indices=_canonical_indices(part, addresses),
                one_pool=in_one_pool(part, addresses),
                pins_wheels=pins.wheels if pins else (),
                keep_wheels=kept.wheels if kept else (),
                pins_sources=pins.sources if pins else (),
                pins_build=pins.build if pins else (),
                pins_build_sources=pins.build_sources if pins else (),
                keep_sources=kept.sources if kept else (),
                keep_build=kept.build if kept else (),
                keep_build_sources=kept.build_sources if kept else (),
                build=request.build,
                after=after,
            )
        )
    return found


def addressed(solve: Solve, addresses: Addresses) -> Solve:
    """A solve with what its request's words for channels and indices mean, as ``lock_graph`` makes it."""
    part = solve.request
    if solve.ecosystem == "conda":
        return replace(solve, channels=_canonical_channels(part, addresses))
    return replace(solve, indices=_canonical_indices(part, addresses), one_pool=in_one_pool(part, addresses))


def _canonical_channels(part: PlatformRequest, addresses: Addresses) -> tuple[str, ...]:
    return tuple(channel_addresses(channel_words(part), addresses).values())


def _canonical_indices(part: PlatformRequest, addresses: Addresses) -> tuple[str, ...]:
    """The indices in order of priority, as their canonical addresses: mirrors are never in a key.

    A default index that nobody configured is the word ``default``: what the engine itself asks. The machine's own
    find-links belong to its default index, as its additional indices do.
    """
    if part.no_index:
        return ()
    own = [addresses.absolute(index.url) for index in part.extra_indices]
    if part.index is not None:
        return (*own, addresses.absolute(part.index.url))
    default = addresses.absolute(addresses.index) if addresses.index else DEFAULT_INDEX
    more = (*addresses.extra_indices, *addresses.find_links)
    return (*own, default, *(addresses.absolute(item) for item in more))


def _pins(request: Request, platform: Platform, bases: Mapping[str, Lock]) -> LockedEnvironment | None:
    """What the pinned bases hold on a platform, as one environment."""
    conda: dict[str, tuple[Package, str]] = {}
    pypi: dict[str, tuple[Package, str]] = {}
    build: dict[str, tuple[Package, str]] = {}
    for base in request.bases:
        if not base.pin:
            continue
        environment = bases[base.path].environment(platform)
        if environment is None:
            raise UnsatisfiableError(
                f"the base {base.path} is not locked for {platform}",
                reference="no-platform",
                hint=f"add {platform} under `platforms:` in {base.path}, or extend it with `pin: false`",
            )
        for package in environment.conda:
            _pin(conda, package.name, package, base.path, platform)
        for item in environment.wheels:
            _pin(pypi, item.name, item, base.path, platform)
        for source in environment.sources:
            _pin(pypi, source.name, source, base.path, platform)
        for wheel in environment.build:
            _pin(build, wheel.file, wheel, base.path, platform)
        for source in environment.build_sources:
            _pin(build, source.file, source, base.path, platform)
    if not conda and not pypi:
        return None
    return LockedEnvironment(
        platform=platform,
        python=None,
        interpreter=request.interpreter,
        system=(),
        conda=tuple(package for package, _ in conda.values() if isinstance(package, CondaPackage)),
        wheels=tuple(package for package, _ in pypi.values() if isinstance(package, Wheel)),
        sources=tuple(package for package, _ in pypi.values() if isinstance(package, SourcePackage)),
        build=tuple(package for package, _ in build.values() if isinstance(package, Wheel)),
        build_sources=tuple(package for package, _ in build.values() if isinstance(package, SourcePackage)),
    )


def _pin(table: dict[str, tuple[Package, str]], name: str, package: Package, base: str, platform: Platform) -> None:
    other, where = table.setdefault(name, (package, base))
    if _made_of(other) != _made_of(package):
        raise UnsatisfiableError(
            f"{where} pins {other.name} {other.version} for {platform}, {base} pins {_told(other, package)}",
            reference="bases-disagree",
            hint="extend one of them with `pin: false`, or give both the same version",
        )


def _made_of(package: Package) -> tuple[object, ...]:
    """What must be equal for two bases to hold the same package; of a source also how it is built."""
    if not isinstance(package, SourcePackage):
        return (package.sha256,)
    built = (package.build_requires, package.host, package.settings, package.variables, package.toolchain)
    return (package.sha256, package.subdirectory, *built)


def _told(other: Package, package: Package) -> str:
    return package.version if other.version != package.version else f"{package.version} made otherwise"


def _environment(request: Request, platform: Platform, fragments: tuple[Fragment, ...]) -> LockedEnvironment:
    part = request.platform(platform)
    series = next((fragment.series for fragment in fragments if fragment.series is not None), None)
    return LockedEnvironment(
        platform=platform,
        python=series,
        interpreter=request.interpreter,
        system=part.system,
        conda=tuple(sorted((item for fragment in fragments for item in fragment.conda), key=lambda item: item.name)),
        wheels=tuple(sorted((item for fragment in fragments for item in fragment.wheels), key=lambda item: item.name)),
        sources=tuple(
            sorted((item for fragment in fragments for item in fragment.sources), key=lambda item: item.name)
        ),
        build=tuple(sorted((item for fragment in fragments for item in fragment.build), key=lambda item: item.file)),
        build_sources=tuple(
            sorted((item for fragment in fragments for item in fragment.build_sources), key=lambda item: item.file)
        ),
        archive=next((fragment.archive for fragment in fragments if fragment.archive is not None), None),
        variables=request.variables,
        bytecode=request.bytecode,
    )


def named_indices(request: Request, environments: tuple[LockedEnvironment, ...]) -> tuple[Index, ...]:
    """The indices whose names stand in wheels and sources, with the addresses that the recipe wrote; sorted by name."""
    used = {wheel.index for environment in environments for wheel in (*environment.wheels, *environment.build)}
    used |= {source.index for item in environments for source in (*item.sources, *item.build_sources)}
    every = {
        index.name: index
        for part in request.platforms
        for index in (*part.extra_indices, *((part.index,) if part.index else ()))
    }
    return tuple(index for name, index in sorted(every.items()) if name in used and name != index.url)
