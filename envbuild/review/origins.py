"""What channels and indices say of the files of a lock: asked of the lines that have changed.

Theory: a hash proves what a file is, and not where it comes from. Whoever writes a lock by hand can put any sha256
behind a good name; that it is the one which the channel or index lists can only be told there. Lines that stood in the
revision before were looked at when they came, so only new ones are asked, each once for the whole project.

A place that the policy forbids, or that the recipe does not name, is not asked: a contribution does not choose whom a
machine that checks talks to, beyond what it may.

Rules of the file: asks; nothing of a package is downloaded. What an index does not tell is a warning, never an error.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import TYPE_CHECKING, Any

from envbuild.addresses import DEFAULT_INDEX
from envbuild.digest import Digest
from envbuild.errors import EnvbuildError, UnreachableError
from envbuild.lock import Lock
from envbuild.machine.errand import for_errand
from envbuild.machine.index_page import PageFile
from envbuild.machine.index_reading import read_page
from envbuild.machine.locations import engine_channel_alias, engine_index
from envbuild.package import CondaPackage, Platform, SourcePackage, Wheel
from envbuild.reading.places import redacted
from envbuild.review.findings import Finding, found
from envbuild.review.located import LockText
from envbuild.review.policy import Package, moment_of
from envbuild.value import dataclass

if TYPE_CHECKING:
    from envbuild.machine.workspace import Workspace

PARALLEL = 12
"""Index pages asked for at a time."""

Place = tuple[str, str]
"""A kind (``channel``, ``index``, ``links``), and the address that is asked; for an index ``default`` too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """One line of a lock that is to be asked about."""

    file: str
    text: LockText
    platform: Platform
    package: Package

    def finding(self, rule: str, message: str, **more: Any) -> Finding:
        line, column = self.text.package(self.platform, self.package)
        return found(rule, message, self.file, line=line, column=column, **more)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """What a place says of a file."""

    sha256: str | None
    md5: str | None = None
    size: int | None = None
    released: datetime | None = None


class Origins:
    """The lines of one project's locks that are to be asked about.

    Args:
        workspace: This machine's.

    Attributes:
        asked: How many different packages were asked about.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._lines: dict[tuple[Place, Package], list[_Line]] = {}
        self._untold: dict[Package, list[_Line]] = {}

    @property
    def asked(self) -> int:
        """How many different packages are asked about."""
        return len(self._lines)

    def add(
        self,
        file: str,
        data: bytes,
        lock: Lock,
        before: Collection[str],
        promised: Mapping[str, str],
        refused: Collection[Digest],
    ) -> None:
        """Let the new lines of a lock be asked about.

        Args:
            file: The lock, from the project's root.
            data: Its bytes.
            lock: What they say.
            before: The lines that stood in it before.
            promised: The sha256 that the recipe itself states for an address.
            refused: The sha256 of packages whose place is not to be asked.
        """
        text = LockText(data)
        indices = {index.name: index.url for index in lock.indices}
        old = {line.strip() for line in before}
        moved = any(_index_line(name, url) not in old for name, url in indices.items())
        for environment in lock.platforms:
            packages: tuple[Package, ...] = (
                *environment.conda,
                *environment.wheels,
                *environment.sources,
                *environment.build,
                *environment.build_sources,
            )
            for package in packages:
                named = not isinstance(package, CondaPackage) and package.index in indices
                if package.sha256 in refused or (text.line(package) in old and not (moved and named)):
                    continue
                line = _Line(file=file, text=text, platform=environment.platform, package=package)
                place = self._place(package, indices)
                if place is not None:
                    self._lines.setdefault((place, package), []).append(line)
                elif not _is_own(package) and promised.get(package.url or "") != package.sha256:
                    self._untold.setdefault(package, []).append(line)

    def ask(self) -> Iterator[Finding]:
        """Ask every place once, and tell what differs."""
        for package, lines in self._untold.items():
            where = package.url or (package.git if isinstance(package, SourcePackage) else None) or "an address"
            for line in lines:
                yield line.finding("origin-untold", f"nobody but the lock says what {package.name} from {where} is")
        places: dict[Place, list[Package]] = {}
        for place, package in self._lines:
            places.setdefault(place, []).append(package)
        with ThreadPoolExecutor(max_workers=PARALLEL) as pool:
            pages = [item for item in places if item[0] != "channel"]
            work = [(place, package) for place in pages for package in _one_of_each(places[place])]
            futures = {(place, item.name): pool.submit(self._page, place, item.name) for place, item in work}
            for place, packages in places.items():
                if place[0] == "channel":
                    yield from self._of_channel(place, packages)
                    continue
                for package in packages:
                    try:
                        files = futures[place, package.name].result()
                    except EnvbuildError as error:
                        yield self._silent(place, package, error)
                        continue
                    yield from self._held(place, package, _in_page(files, package.file))

    def _of_channel(self, place: Place, packages: list[Package]) -> Iterator[Finding]:
        from envbuild.solvers.channel_records import channel_records

        conda = [item for item in packages if isinstance(item, CondaPackage)]
        try:
            context = for_errand(self._workspace, f"origins in {redacted(place[1])}")
            records = channel_records((((place[1], item.subdir, item.file), item.name) for item in conda), context)
        except UnreachableError as error:
            yield self._silent(place, packages[0], error)
            return
        for item in conda:
            record = records.get((place[1], item.subdir, item.file))
            yield from self._held(place, item, [_of_record(record)] if record is not None else [])

    def _held(self, place: Place, package: Package, told: list[_Told]) -> Iterator[Finding]:
        """A package held against all that its place says of a file of that name."""
        where = f"the {'channel' if place[0] == 'channel' else 'index'} {redacted(place[1])}"
        lines = self._lines[place, package]
        if not told:
            for line in lines:
                yield line.finding("origin-unknown", f"{where} lists no {package.file}")
            return
        differences = [list(_differences(package, item)) for item in told]
        if all(differences):
            for line in lines:
                yield line.finding("origin-differs", f"{package.file} has {' and '.join(differences[0])} in {where}")
        elif all(item.sha256 is None for item in told):
            for line in lines:
                yield line.finding("origin-untold", f"{where} states no sha256 of {package.file}")

    def _silent(self, place: Place, package: Package, error: EnvbuildError) -> Finding:
        line = self._lines[place, package][0]
        where, column = line.text.package(line.platform, package)
        return Finding(
            rule=error.reference,
            message=f"{redacted(place[1])} was asked of {package.name}: {error.message}",
            file=line.file,
            line=where,
            column=column,
            exit_code=error.exit_code,
            hint="run it again when it answers",
        )

    def _place(self, package: Package, indices: Mapping[str, str]) -> Place | None:
        here = self._workspace.addresses
        if isinstance(package, CondaPackage):
            if package.channel is None:
                return None
            plain = here.channel_alias is not None or "://" in package.channel or package.channel.startswith(".")
            return "channel", here.canonical_channel(package.channel, "" if plain else engine_channel_alias())
        if package.index is not None:
            word = indices.get(package.index, package.index)
            return "index", word if word == DEFAULT_INDEX else here.absolute(word)
        if package.find_links is not None:
            return "links", here.absolute(package.find_links)
        return None

    def _page(self, place: Place, project: str) -> Sequence[PageFile]:
        """What a place offers of a project; of the machine's own places, all of them."""
        here = self._workspace.addresses
        if place[0] == "links":
            return read_page(self._workspace, place[1])
        if place[1] != DEFAULT_INDEX:
            return read_page(self._workspace, f"{place[1].rstrip('/')}/{project}/")
        files: list[PageFile] = []
        failed: EnvbuildError | None = None
        own = [f"{here.absolute(index).rstrip('/')}/{project}/" for index in here.extra_indices]
        own.append(f"{here.absolute(here.index or engine_index()).rstrip('/')}/{project}/")
        for page in (*own, *(here.absolute(location) for location in here.find_links)):
            try:
                files += read_page(self._workspace, page)
            except UnreachableError as error:
                failed = error
        if failed is not None and not files:
            raise failed
        return files


def _one_of_each(packages: list[Package]) -> list[Package]:
    return list({item.name: item for item in packages}.values())


def _in_page(files: Sequence[PageFile], name: str) -> list[_Told]:
    return [
        _Told(sha256=item.sha256, size=item.size, released=moment_of(item.upload_time))
        for item in files
        if item.name == name
    ]


def _of_record(record: Mapping[str, Any]) -> _Told:
    sha256, md5, size = record.get("sha256"), record.get("md5"), record.get("size")
    return _Told(
        sha256=sha256 if isinstance(sha256, str) else None,
        md5=md5 if isinstance(md5, str) else None,
        size=size if isinstance(size, int) else None,
    )


def _differences(package: Package, told: _Told) -> Iterator[str]:
    """What a place says otherwise, in words; nothing for what it does not say."""
    if told.sha256 is not None and told.sha256 != package.sha256:
        yield f"the sha256 {told.sha256}"
    md5 = package.md5 if isinstance(package, CondaPackage) else None
    if told.md5 is not None and md5 is not None and told.md5 != md5:
        yield f"the md5 {told.md5}"
    if told.size is not None and package.size is not None and told.size != package.size:
        yield f"{told.size} bytes"
    uploaded = package.upload_time if isinstance(package, (Wheel, SourcePackage)) else None
    mine = moment_of(uploaded)
    if told.released is not None and mine is not None and abs((told.released - mine).total_seconds()) >= 1:
        yield f"the upload time {told.released.isoformat()}"


def _index_line(name: str, url: str) -> str:
    return f"- {json.dumps({'name': name, 'url': url}, ensure_ascii=False)}"


def _is_own(package: Package) -> bool:
    """A folder of the project: whether it is what the lock says is asked of the folder."""
    return isinstance(package, SourcePackage) and package.path is not None
