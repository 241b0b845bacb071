"""What builds may import, as a lock holds it: wheels, and sources whose wheels are built first.

A build names files; a wheel's name ends in ``.whl``, a source's does not, so one list of names holds both. What a
source is built with stands beside it in the same lists, so builds are a graph: it has an order, and no circle. A source
is known to what is built with it by its identity: the digest of everything that its own build sees.

Rules of the file: pure; no recursion, for a chain of builds is as long as whoever wrote the lock likes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from envbuild.digest import Digest, Json, key
from envbuild.errors import InvalidInput
from envbuild.package import CondaPackage, SourcePackage, Wheel
from envbuild.value import dataclass

IDENTITY_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildInputs:
    """What the builds of one environment may see.

    Attributes:
        wheels: Sorted by file name; ``sources`` likewise. A file name stands in them once.
        conda: The environment's conda packages.
        places: Computed: where each file name stands, in wheels followed by sources.
    """

    wheels: tuple[Wheel, ...] = ()
    sources: tuple[SourcePackage, ...] = ()
    conda: tuple[CondaPackage, ...] = ()
    places: Mapping[str, int] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "places", {item.file: place for place, item in enumerate(self.packages)})

    @property
    def packages(self) -> tuple[Wheel | SourcePackage, ...]:
        """All that comes from an index."""
        return (*self.wheels, *self.sources)

    def wheels_of(self, source: SourcePackage) -> tuple[Wheel, ...]:
        """The wheels that a source's build may import."""
        number = len(self.wheels)
        return tuple(self.wheels[place] for place in self._places_of(source) if place < number)

    def sources_of(self, source: SourcePackage) -> tuple[SourcePackage, ...]:
        """The sources whose wheels a source's build may import."""
        number = len(self.wheels)
        return tuple(self.sources[place - number] for place in self._places_of(source) if place >= number)

    def host_of(self, source: SourcePackage) -> tuple[CondaPackage, ...]:
        """The conda packages that a source's build may see."""
        names = frozenset(source.host)
        return tuple(package for package in self.conda if package.name in names) if names else ()

    def _places_of(self, source: SourcePackage) -> list[int]:
        return sorted({self.places[file] for file in source.build_requires if file in self.places})

    def order(self) -> tuple[SourcePackage, ...]:
        """The sources, each after those that its own build needs.

        Raises:
            InvalidInput: ``build-circle`` when builds need each other; ``bad-lock`` when a file name stands twice.
        """
        if not self.sources:
            return ()
        known = {item.file: item for item in self.sources}
        if len(known) < len(self.sources):
            raise InvalidInput("two sources that builds need have one file name", reference="bad-lock")
        needs = {
            file: [name for name in dict.fromkeys(item.build_requires) if name in known] for file, item in known.items()
        }
        needed_by: dict[str, list[str]] = {}
        for file, names in needs.items():
            for name in names:
                needed_by.setdefault(name, []).append(file)
        missing = {file: len(names) for file, names in needs.items()}
        ready = [file for file, number in missing.items() if number == 0]
        for file in ready:  # grows as it goes
            for other in needed_by.get(file, ()):
                missing[other] -= 1
                if missing[other] == 0:
                    ready.append(other)
        if len(ready) < len(known):
            raise _circle(known, needs, set(known).difference(ready))
        return tuple(known[file] for file in ready)

    def identities(self) -> dict[str, Digest]:
        """By file name: the identity of each source.

        Raises:
            InvalidInput: As ``order`` does.
        """
        found: dict[str, Digest] = {}
        for source in self.order():
            found[source.file] = key("build-source", IDENTITY_VERSION, self.identity(source, found))
        return found

    def identity(self, source: SourcePackage, known: Mapping[str, Digest]) -> Json:
        """What an environment id holds of a source: everything that its build sees, by digest.

        Args:
            source: One of these, or one of the environment that is built with these.
            known: Identities of the sources that it is built with, at least.
        """
        return {
            "name": source.name,
            "version": source.version,
            "sha256": source.sha256,
            "subdirectory": source.subdirectory,
            "requires": [
                *(wheel.sha256 for wheel in self.wheels_of(source)),
                *(known[item.file] for item in self.sources_of(source)),
            ],
            "host": [package.sha256 for package in self.host_of(source)],
            "settings": list(source.settings),
            "variables": list(source.variables),
            "toolchain": source.toolchain,
        }


def _circle(known: Mapping[str, SourcePackage], needs: Mapping[str, list[str]], left: set[str]) -> InvalidInput:
    """The error for builds that need each other, with one circle of them."""
    path = [min(left)]
    while path[-1] not in path[:-1]:
        path.append(next(name for name in needs[path[-1]] if name in left))
    circle = path[path.index(path[-1]) :]
    return InvalidInput(
        f"builds need each other: {' -> '.join(f'{known[file].name} {known[file].version}' for file in circle)}",
        reference="build-circle",
        hint="restore the lock from Git, or remove it and lock again",
    )
