"""Sources in a solve: offered to uv, read when it takes them, and turned into lines of a lock.

What a recipe names by address or path is read first: its stub tells uv its true version and needs. What an index has as
sdists only is offered when uv cannot do without, every version of it, and read when uv has taken it: until then its
stub promises to need nothing. So uv's answer is never worse than the truth, the newest version that truly fits is
found, and of a package with a hundred versions two or three are read. Each round reads at least one more, so it ends.

A base's source stays the base's own record: neither its bytes nor its backend are needed again.

Rules of the file: state of one solve; uv is run elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envbuild.build_inputs import BuildInputs
from envbuild.builders.core_metadata import WheelMetadata
from envbuild.errors import EnvbuildError, IntegrityError, UnreachableError, UnsatisfiableError
from envbuild.package import SourcePackage
from envbuild.recipe import PypiRequirement
from envbuild.solvers.build_requirements import BuildRequirements, Memo, SolveTools
from envbuild.solvers.offers import Offers, Source, write_offers
from envbuild.solvers.pinned_sources import check_pins, is_wheel_address, pinned_extras, repinned
from envbuild.solvers.pylock import ChosenWheel
from envbuild.solvers.sdist_candidates import kept_sdist, sdists_of
from envbuild.solvers.source_metadata import SourceReader, placed, settings_of, variables_of
from envbuild.solvers.source_requirements import (
    named_sources,
    refuse_build,
    source_of,
    wheel_at,
    without_addresses,
)
from envbuild.solvers.sources import Places
from envbuild.solvers.target import marker_environment
from envbuild.solvers.tools import Tools, joined, needed_by
from envbuild.solvers.uv_compile import NeedsBuildError, PypiQuestion, requirement_line
from envbuild.urls import file_path
from envbuild.value import replace

if TYPE_CHECKING:
    from envbuild.derivations import Context

MOST_READ = 60
"""Sources that one solve reads of one package before it gives up."""


class SourceSupply:
    """The sources of one solve.

    Args:
        question: The solve.
        places: Where packages are looked for.
        solve: Solves for what builds need.
        folder: Scratch, for stubs.
        context: For effects.
        memo: Build requirements that were solved already.
    """

    def __init__(
        self, question: PypiQuestion, places: Places, solve: SolveTools, folder: Path, context: Context, memo: Memo
    ) -> None:
        self._question = question
        self._places = places
        self._context = context
        self._folder = folder / "offers" / "stubs"
        self._tools = BuildRequirements(question, places, solve, context, memo)
        self._reader = SourceReader(question, self._tools, context)
        self._pins = {item.name: item for item in question.pins_sources}
        self._extras: dict[str, tuple[str, ...]] = {}
        self._required: dict[str, Source] = {}
        self._offered: dict[str, dict[str, Source]] = {}
        self._wheels: dict[str, tuple[str, Path]] = {}
        self._addressed: dict[str, str] = {}
        self._stubs: dict[str, Source] = {}
        self._begin()
        self.offers = self._write()

    def _begin(self) -> None:
        environment = marker_environment(self._question.target)
        for item in self._question.request.pypi:
            if item.source is None or not _holds(item, environment):
                continue
            check_pins(item, self._question, self._context)
            if item.name in self._pins:
                continue
            if (wheel := wheel_at(item, self._context)) is not None:
                self._wheels[item.name] = wheel
            elif not is_wheel_address(item):
                self._require(self._source(item), environment)
        for kept in self._question.keep_sources:
            if (kept.index or kept.find_links) and kept.name not in {*self._required, *self._pins, *self._wheels}:
                self._offer_kept(kept)

    def pinned_extras(self, asked: Mapping[str, set[str]]) -> dict[str, WheelMetadata]:
        """What bases' sources say of extras that the bases did not ask for; names of other packages are left out.

        Raises:
            EnvbuildError: As ``pinned_sources.pinned_extras`` does.
        """
        found = {
            name: pinned_extras(
                self._pins[name], asked[name], self._question, self._places, self._reader, self._where(name)
            )
            for name in sorted(self._pins.keys() & asked)
        }
        self._extras |= {name: metadata.extras for name, metadata in found.items()}
        return found

    def _require(self, source: Source, environment: dict[str, str]) -> None:
        """Read a source that is asked for, and those that it names in turn."""
        read = self._reader.read(source)
        assert read.metadata is not None
        self._required[read.name] = replace(
            read, metadata=replace(read.metadata, requires=without_addresses(read.metadata))
        )
        for item in named_sources(read, read.metadata, environment):
            if item.name in self._required or item.name in self._pins:
                continue
            if is_wheel_address(item):
                self._addressed[item.name] = requirement_line(item)
            else:
                self._require(self._source(item, read.name), environment)

    def _source(self, item: PypiRequirement, parent: str | None = None) -> Source:
        try:
            return source_of(item, self._question, self._context, parent=parent)
        except EnvbuildError as error:
            raise placed(error, item.name, item.name, item.where) from error.__cause__

    def _offer_kept(self, kept: SourcePackage) -> None:
        """Offer what the lock before has, so that it can be preferred without asking its index."""
        forbidden = self._question.request.no_build
        if forbidden is True or (forbidden and kept.name in forbidden):
            return
        bound = next((item.index for item in self._question.request.pypi if item.name == kept.name), None)
        if kept.index != bound and (bound is not None or kept.index in self._places.explicit):
            return
        source = kept_sdist(kept, self._places, self._where(kept.name))
        if source is not None:
            self._offered.setdefault(kept.name, {})[kept.version] = source

    def widen(self, refused: NeedsBuildError) -> None:
        """Offer the sdists of the packages that uv cannot have as wheels.

        Raises:
            NeedsBuildError: The refusal itself, when there is nothing more to offer.
            UnsatisfiableError: ``no-build``.
        """
        found = False
        for name in refused.names:
            refuse_build(name, self._question, self._where(name) or refused.where)
            mine = self._offered.setdefault(name, {})
            for source in sdists_of(name, self._question, self._places, self._context):
                if source.version not in mine:
                    mine[source.version] = replace(source, where=self._where(name) or refused.where)
                    found = True
        if not found:
            raise refused
        self.offers = self._write()

    def refine(self, packages: Iterable[Mapping[str, Any]]) -> bool:
        """Read the sources that uv took without knowing what they need; whether it must be asked again.

        Raises:
            UnsatisfiableError: ``too-many-sources``.
        """
        changed = False
        for source in self._taken(packages):
            if source.metadata is not None:
                continue
            mine = self._offered[source.name]
            if sum(item.metadata is not None for item in mine.values()) >= MOST_READ:
                raise UnsatisfiableError(
                    f"{MOST_READ} versions of {source.name} were read, and none fits",
                    reference="too-many-sources",
                    where=source.where,
                    hint=f"narrow the versions of {source.name}",
                )
            read = self._read(source)
            if read is None:
                del mine[source.version]
                changed = True
                continue
            assert read.metadata is not None
            for _ in named_sources(read, read.metadata, marker_environment(self._question.target)):
                pass  # raises: what comes from an index names no addresses
            mine[source.version] = read
            changed = changed or read.known() != source.known()
        if changed:
            self.offers = self._write()
        return changed

    def _read(self, source: Source) -> Source | None:
        """The source, read; None when it is one of the lock before that is gone from its index."""
        try:
            return self._reader.read(source)
        except (UnreachableError, IntegrityError):
            if source.urls or not any(item.name == source.name for item in self._question.keep_sources):
                raise
            return None

    def take(self, chosen: Sequence[ChosenWheel]) -> tuple[tuple[ChosenWheel, ...], tuple[Source, ...]]:
        """What uv chose, as wheels and as sources."""
        wheels, sources = [], []
        for item in chosen:
            source = self._at(str(file_path(item.url)))
            if source is None:
                wheels.append(item)
            else:
                sources.append(source)
        return tuple(wheels), tuple(sources)

    def place_of(self, item: ChosenWheel) -> tuple[str, str] | None:
        """The recipe's word for a wheel that it names by its path; None for any other."""
        known = self._wheels.get(item.name)
        return ("find-links", known[0]) if known is not None and known[1].name == item.file else None

    def packages(
        self,
        sources: Sequence[Source],
        needs: Mapping[str, tuple[str, ...]],
        extras: Mapping[str, tuple[str, ...]],
        provided: Mapping[str, tuple[str, ...]],
    ) -> tuple[tuple[SourcePackage, ...], BuildInputs]:
        """The lines of the lock for sources that were taken, and what their builds need.

        Args:
            sources: From ``take``.
            needs: By name: what each needs, in the lock's words.
            extras: By name: which extras are asked of it.
            provided: By name: as ``SourcePackage.provided``.
        """
        asked = {item.name for item in self._question.request.pypi}
        pinned = BuildInputs(wheels=self._question.pins_build, sources=self._question.pins_build_sources)
        known = self._extras
        pins = (repinned(pin, extras.get(name, ()), known.get(name, ()), needs) for name, pin in self._pins.items())
        found, build = [*pins], [needed_by(self._pins.values(), pinned)]
        for source in sources:
            tools = self._reader.tools(source)
            build.append(tools.inputs)
            package = self._package(source, tools, needs[source.name], extras[source.name], source.name in asked)
            found.append(replace(package, provided=provided[source.name]))
        return tuple(sorted(found, key=lambda item: item.name)), joined(build)

    def _package(
        self, source: Source, tools: Tools, needs: tuple[str, ...], extras: tuple[str, ...], asked: bool
    ) -> SourcePackage:
        kind, word = source.place
        options = self._reader.options(source.name)
        assert source.sha256 is not None
        assert source.metadata is not None
        return SourcePackage(
            name=source.name,
            version=source.version,
            file=f"{source.name}-{source.version}.tar" if source.is_tree else source.file,
            sha256=source.sha256,
            index=word if kind == "index" else None,
            url=word if kind == "url" else None,
            find_links=word if kind == "find-links" else None,
            git=word if kind == "git" else None,
            path=word if kind == "path" else None,
            commit=source.commit,
            rev=source.rev,
            subdirectory=source.subdirectory,
            size=source.size,
            upload_time=source.upload_time,
            license=source.metadata.license,
            requires=needs,
            extras=extras,
            asked=asked,
            build_requires=tools.files,
            host=tuple(package.name for package in self._reader.host(source.name)),
            settings=settings_of(options),
            variables=variables_of(options),
            toolchain=options.toolchain,
            found_on=source.found_on,
        )

    def metadata(self, sources: Sequence[Source]) -> dict[str, WheelMetadata]:
        """For the edges of the lock."""
        return {source.name: source.known() for source in sources}

    def _taken(self, packages: Iterable[Mapping[str, Any]]) -> list[Source]:
        files = [
            file
            for package in packages
            for file in (*package.get("wheels", ()), *([package["archive"]] if "archive" in package else ()))
        ]
        paths = [str(file_path(file["url"])) if "url" in file else str(file.get("path", "")) for file in files]
        return [source for path in paths if (source := self._at(path)) is not None]

    def _at(self, path: str) -> Source | None:
        """The source, as it is known by now, whose stub has a path."""
        stub = self._stubs.get(path)
        if stub is None:
            return None
        required = self._required.get(stub.name)
        return required if required is not None else self._offered[stub.name].get(stub.version)

    def _write(self) -> Offers:
        bound = frozenset(item.name for item in self._question.request.pypi if item.index is not None)
        offers, stubs = write_offers(
            self._required.values(),
            [source for several in self._offered.values() for source in several.values()],
            pins=self._pins.values(),
            keep=tuple((item.name, item.version) for item in self._question.keep_sources),
            bound=bound & self._offered.keys(),
            folder=self._folder / str(len(list(self._folder.iterdir())) if self._folder.is_dir() else 0),
        )
        self._stubs = stubs
        lines = {name: f" @ {file.as_uri()}" for name, (_, file) in self._wheels.items()}
        constraints = (*offers.constraints, *self._addressed.values())
        return replace(offers, lines={**offers.lines, **lines}, constraints=constraints)

    def _where(self, name: str) -> Any:
        return next((item.where for item in self._question.request.pypi if item.name == name), None)


def _holds(item: PypiRequirement, environment: Mapping[str, str]) -> bool:
    if item.markers is None:
        return True
    from packaging.markers import Marker

    return Marker(item.markers).evaluate({**environment, "extra": ""})
