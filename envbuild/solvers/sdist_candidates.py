"""The sdists of a package on its index: which versions could be had by building them.

Asked only when uv found no solution with wheels, for the packages that it names. The page of the first index that has
the name decides, as uv has it, and find-links add to it; a package that the recipe binds to an index is looked for
there alone. What a wheel of this target gives is no candidate: wheels are preferred. Left out is what uv would leave
out: files that were taken back, unless one version is asked for exactly; files for other Pythons; and what a cut-off
hides, where the index states dates.

Rules of the file: reads pages through ``context``, and lists folders that stand under find-links.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from envbuild.addresses import DEFAULT_INDEX
from envbuild.digest import Digest
from envbuild.errors import Where
from envbuild.machine.index_page import PageFile, page_files
from envbuild.package import IndexOrigin, LinksOrigin, Origin, SourcePackage, check_file_name, normalize_pypi_name
from envbuild.solvers.offers import Source
from envbuild.solvers.pinned_sources import source_of_record
from envbuild.solvers.sources import Places
from envbuild.solvers.target import wheel_ranks
from envbuild.solvers.uv_compile import PypiQuestion
from envbuild.urls import file_path
from envbuild.value import dataclass, replace

if TYPE_CHECKING:
    from packaging.tags import Tag
    from packaging.version import Version

    from envbuild.derivations import Context

PAGE_LIMIT = 128 << 20
ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"

SDIST_SUFFIXES = (".tar.gz", ".zip", ".tgz", ".tar.bz2", ".tar.xz")
MOST = 1000
"""Versions of one package that are offered, the newest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One file of a project and the recipe's word for where it was found."""

    file: PageFile
    place: tuple[str, str]


def sdists_of(name: str, question: PypiQuestion, places: Places, context: Context) -> tuple[Source, ...]:
    """Every version of a package that could be built, the newest first.

    Args:
        name: Normalized.
        question: Whose target, cut-off and constraints hold.
        places: Where to look.
        context: Reads the pages.

    Raises:
        UnreachableError: When an index does not answer.
    """
    ranks = wheel_ranks(question.target)
    found = [item for item in _files(name, question, places, context) if _may_be_used(item, name, question)]
    if question.cut_off is not None:
        undated = [item for item in found if item.place[0] == "index" and item.file.upload_time is None]
        if undated:
            context.note(f"{name}: its index states no upload dates, so the cut-off {question.cut_off} hides its files")
        found = [item for item in found if item not in undated and not _is_later(item, question.cut_off)]
    wheels = {version for item in found if (version := _usable_wheel(item.file.name, ranks)) is not None}
    best: dict[Version, Source] = {}
    for item in found:
        version = sdist_version(item.file.name, name)
        if version is not None and version not in wheels and version not in best:
            best[version] = _source(name, version, item, places)
    wanted = next((ask for ask in question.request.pypi if ask.name == name), None)
    if wanted is not None and wanted.hashes:
        best = {version: item for version, item in best.items() if item.sha256 in wanted.hashes}
    return tuple(best[version] for version in sorted(best, reverse=True)[:MOST])


def kept_sdist(kept: SourcePackage, places: Places, where: Where | None) -> Source | None:
    """An sdist of the lock before, as its record tells it; None when its place is not looked at any more.

    Args:
        kept: The record; of an index or of find-links.
        places: Where to look now.
        where: The recipe's line that it goes back to.
    """
    if kept.index is not None:
        looked_at = set() if places.no_index else {word for word, _ in places.indices}
    else:
        looked_at = {word for word, _ in places.links}
    if (kept.index or kept.find_links) not in looked_at:
        return None
    return replace(source_of_record(kept, places, where), upload_time=kept.upload_time)


def sdist_version(file: str, name: str) -> Version | None:
    """The version that an sdist's file name states, or None when it is no sdist of that project."""
    from packaging.version import InvalidVersion, Version

    suffix = next((suffix for suffix in SDIST_SUFFIXES if file.endswith(suffix)), None)
    if suffix is None:
        return None
    stem = file.removesuffix(suffix)
    # Old names hold dashes before and after the version's: the one place where the name fits decides.
    for at, character in enumerate(stem):
        if character == "-" and normalize_pypi_name(stem[:at]) == name:
            try:
                return Version(stem[at + 1 :])
            except InvalidVersion:
                continue
    return None


def _usable_wheel(file: str, ranks: Mapping[Tag, int]) -> Version | None:
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename

    if not file.endswith(".whl"):
        return None
    try:
        _, version, _, tags = parse_wheel_filename(file)
    except InvalidWheelFilename:
        return None
    return version if any(tag in ranks for tag in tags) else None


def _may_be_used(item: Found, name: str, question: PypiQuestion) -> bool:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    if item.file.yanked and not _asked_exactly(item.file.name, name, question):
        return False
    if item.file.requires_python is None:
        return True
    try:
        return SpecifierSet(item.file.requires_python).contains(question.target.full, prereleases=True)
    except InvalidSpecifier:
        return True


def _asked_exactly(file: str, name: str, question: PypiQuestion) -> bool:
    """Whether the recipe, or the lock before, names this very version."""
    from packaging.specifiers import SpecifierSet

    version = sdist_version(file, name)
    if version is None:
        return False
    request = question.request
    asked = [item.version for item in (*request.pypi, *request.pypi_constraints) if item.name == name]
    if any("==" in text and "*" not in text and SpecifierSet(text).contains(version) for text in asked):
        return True
    return any(item.name == name and item.version == str(version) for item in question.keep_sources)


def _is_later(item: Found, cut_off: str) -> bool:
    from datetime import datetime, timezone

    if item.file.upload_time is None:
        return False  # find-links have no dates; that is said once for all of them
    try:
        moments = [datetime.fromisoformat(text.replace("Z", "+00:00")) for text in (item.file.upload_time, cut_off)]
    except ValueError:
        return True
    uploaded, last = (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc) for moment in moments)
    return uploaded >= last


def _source(name: str, version: Version, item: Found, places: Places) -> Source:
    file, (kind, word) = check_file_name(item.file.name), item.place
    origin: Origin = LinksOrigin(location=word, file=file)
    if kind == "index":
        origin = IndexOrigin(index=places.index_address(word), project=name, file=file)
    return Source(
        name=name,
        version=str(version),
        file=file,
        origin=origin,
        place=item.place,
        sha256=Digest(item.file.sha256) if item.file.sha256 else None,
        size=item.file.size,
        upload_time=item.file.upload_time,
        urls=(item.file.url,),
        requires_python=item.file.requires_python,
    )


def _files(name: str, question: PypiQuestion, places: Places, context: Context) -> list[Found]:
    """The project's files on its index, and on find-links where no index is named for it."""
    bound = next((item.index for item in question.request.pypi if item.name == name and item.index), None)
    if bound is not None:
        own = [_on_index(name, word, address, context) for word, address in places.indices if word == bound]
        return [item for several in own for item in several or ()]
    found: list[Found] = []
    for word, address in places.links:
        place = ("index", word) if word == DEFAULT_INDEX else ("find-links", word)
        found += [Found(file=file, place=place) for file in _on_links(address, context)]
    if places.no_index:
        return found
    for word, index in places.indices:
        if word in places.explicit:
            continue  # only packages that name it come from there
        files = _on_index(name, word, index, context)
        found += files or ()
        if files is not None and places.strategy == "first-index":
            break
    return found


def _on_index(name: str, word: str, address: str | None, context: Context) -> list[Found] | None:
    """The files of a project's page; None when this index does not have the name."""
    if address is None:
        from envbuild.machine.locations import engine_index

        address = engine_index()
    page = f"{address.rstrip('/')}/{name}/"
    if page.startswith("file:"):
        folder = file_path(page)
        if folder.is_dir() and not (folder / "index.html").is_file():
            return [Found(file=file, place=("index", word)) for file in _in_folder(folder)]
        page += "index.html"
    data = context.read(page, limit=PAGE_LIMIT, accept=ACCEPT)
    return None if data is None else [Found(file=file, place=("index", word)) for file in page_files(data, page)]


def _on_links(address: str, context: Context) -> Iterable[PageFile]:
    if address.startswith("file:") and file_path(address).is_dir():
        return _in_folder(file_path(address))
    data = context.read(address, limit=PAGE_LIMIT, accept=ACCEPT)
    return () if data is None else page_files(data, address)


def _in_folder(folder: Path) -> Iterator[PageFile]:
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.name.endswith((".whl", *SDIST_SUFFIXES)):
            yield PageFile(name=path.name, url=path.as_uri(), size=path.stat().st_size)
