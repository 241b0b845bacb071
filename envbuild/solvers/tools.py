"""What a build needs, locked: wheels, and sources that are built before it, with what those are built with in turn.

Rules of the file: pure values.
"""

from __future__ import annotations

from collections.abc import Iterable

from envbuild.build_inputs import BuildInputs
from envbuild.digest import Digest
from envbuild.package import CondaPackage, SourcePackage, Wheel
from envbuild.value import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What one build may import.

    Attributes:
        files: File names of what it imports, in ``build_requires``'s order: sorted.
        inputs: These, and what builds of the sources among them need.
    """

    files: tuple[str, ...] = ()
    inputs: BuildInputs = BuildInputs()

    @property
    def wheels(self) -> tuple[Wheel, ...]:
        """The wheels that it imports."""
        return tuple(item for item in self.inputs.wheels if item.file in self.files)

    @property
    def sources(self) -> tuple[SourcePackage, ...]:
        """The sources whose wheels it imports."""
        return tuple(item for item in self.inputs.sources if item.file in self.files)

    def versions(self) -> dict[str, str]:
        """Versions by name of what it imports."""
        return {item.name: item.version for item in self.inputs.packages if item.file in self.files}

    def digests(self) -> list[Digest]:
        """One digest for each that it imports: a wheel's own, and of a source that of all that its build sees."""
        known = self.inputs.identities() if self.inputs.sources else {}
        return [*(item.sha256 for item in self.wheels), *(known[item.file] for item in self.sources)]


def tools_of(
    wheels: Iterable[Wheel],
    sources: Iterable[SourcePackage],
    below: BuildInputs,
    conda: tuple[CondaPackage, ...],
) -> Tools:
    """What a solve for a build found.

    Args:
        wheels: That the build imports.
        sources: Whose wheels it imports.
        below: What the builds of these need.
        conda: The environment's conda packages.
    """
    own = tuple(replace(item, asked=False) for item in wheels)
    made = tuple(replace(item, asked=False) for item in sources)
    direct = BuildInputs(wheels=own, sources=made, conda=conda)
    return Tools(files=tuple(sorted(item.file for item in direct.packages)), inputs=joined((direct, below)))


def joined(several: Iterable[BuildInputs]) -> BuildInputs:
    """All of them as one; what stands in two of them is the first's, with the extras that both ask for."""
    wheels: dict[str, Wheel] = {}
    sources: dict[str, SourcePackage] = {}
    conda: tuple[CondaPackage, ...] = ()
    for inputs in several:
        conda = conda or inputs.conda
        for wheel in inputs.wheels:
            wheels.setdefault(wheel.file, wheel)
        for source in inputs.sources:
            first = sources.get(source.file)
            sources[source.file] = source if first is None else _both(first, source)
    return BuildInputs(
        wheels=tuple(wheels[file] for file in sorted(wheels)),
        sources=tuple(sources[file] for file in sorted(sources)),
        conda=conda,
    )


def _both(first: SourcePackage, other: SourcePackage) -> SourcePackage:
    return replace(
        first,
        requires=tuple(sorted({*first.requires, *other.requires})),
        extras=tuple(sorted({*first.extras, *other.extras})),
    )


def needed_by(sources: Iterable[SourcePackage], inputs: BuildInputs) -> BuildInputs:
    """The part of some inputs that the builds of sources need, and theirs in turn."""
    wheels = {item.file: item for item in inputs.wheels}
    known = {item.file: item for item in inputs.sources}
    files = {file for source in sources for file in source.build_requires}
    ahead = list(files)
    for file in ahead:  # grows as it goes
        more = set(known[file].build_requires) - files if file in known else set()
        files |= more
        ahead += more
    return BuildInputs(
        wheels=tuple(wheels[file] for file in sorted(files & wheels.keys())),
        sources=tuple(known[file] for file in sorted(files & known.keys())),
        conda=inputs.conda,
    )
