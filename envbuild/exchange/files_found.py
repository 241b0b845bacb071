"""Where the files of a foreign lock's PyPI packages are, in a recipe's words, with their digests.

Theory: a foreign file may name an index, only a file's address, or nothing but a version. An index is put into a
recipe's words. An address without an index is looked up on the default index: where that lists the same file, the file
is the index's; where it does not, the address stands in the lock, and is said. A version alone is looked up, and the
best wheel for the platform is taken. A digest that nobody states is computed from the bytes, once.

Rules of the file: asks pages and fetches through ``Work``; what is found must be what the file says.
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence

from envbuild.addresses import DEFAULT_INDEX
from envbuild.errors import IntegrityError, UnsatisfiableError
from envbuild.exchange.words import Words
from envbuild.exchange.work import Work
from envbuild.formats.files import is_archive, to_seconds
from envbuild.formats.foreign_lock import ForeignFile, ForeignPypi
from envbuild.formats.targets import TargetPython
from envbuild.machine.index_page import PageFile
from envbuild.package import UrlOrigin, check_file_name, normalize_pypi_name
from envbuild.value import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundFile:
    """A package with its file, or a tree that has none.

    Attributes:
        package: As the foreign file has it.
        file: The file; None for a tree.
        version: Of the package; None where only its metadata would tell.
        index: The recipe's word for the index that it comes from; or ``url`` or ``find_links`` is set, or it is a tree.
        address: Where it can be had on this machine's network, when known.
    """

    package: ForeignPypi
    file: ForeignFile | None
    version: str | None
    index: str | None = None
    url: str | None = None
    find_links: str | None = None
    address: str | None = None

    @property
    def is_wheel(self) -> bool:
        """Whether it is a wheel, and not a source."""
        return self.file is not None and self.file.file.endswith(".whl")


def find_files(
    packages: Sequence[ForeignPypi], target: TargetPython, folder: str, words: Words, work: Work
) -> list[FoundFile]:
    """The files of some packages.

    Args:
        packages: Of one platform.
        target: That platform, for packages of which only a version is known.
        folder: The foreign file's folder, from the project's root (``.`` for the root).
        words: For indices.
        work: Asks pages.

    Raises:
        UnsatisfiableError: ``no-file`` when no index offers a version.
        IntegrityError: ``wrong-hash`` when an index has other bytes under a name.
    """
    if not work.offline:
        for package in packages:
            if _needs_page(package):
                work.expect(_index(package, words), package.name)
    found = [_find(package, target, folder, words, work) for package in packages]
    looked_up = sorted(item.package.name for item in found if item.file is not None and item.package.archive is None)
    if looked_up:
        work.say(f"files and digests of {_few(looked_up)}: looked up on the index, for the file says only versions")
    unhashed = sorted(
        item.package.name
        for item in found
        if item.package.archive is not None and item.package.archive.sha256 is None and item.file is not None
    )
    if unhashed:
        work.say(f"sha256 of {_few(unhashed)}: taken from the index or computed, for the file does not say it")
    return found


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _needs_page(package: ForeignPypi) -> bool:
    if package.git is not None or package.path is not None or package.direct or package.links is not None:
        return False
    archive = package.archive
    return archive is None or archive.sha256 is None or archive.url is None or package.index is None


def _index(package: ForeignPypi, words: Words) -> str:
    return words.index(package.index) if package.index is not None else DEFAULT_INDEX


def _find(package: ForeignPypi, target: TargetPython, folder: str, words: Words, work: Work) -> FoundFile:
    archive = package.archive
    if package.git is not None or (package.path is not None and archive is None):
        return FoundFile(package=package, file=None, version=package.version)
    if archive is not None:
        _check_name(archive, package)
    if package.direct and archive is not None:
        return _direct(package, archive, work)
    if package.links is not None and archive is not None:
        location = "./" + posixpath.normpath(posixpath.join(folder, package.links))
        return _digested(FoundFile(package=package, file=archive, version=package.version, find_links=location), work)
    index = _index(package, words)
    if not _needs_page(package):
        assert archive is not None
        return FoundFile(package=package, file=archive, version=package.version, index=index, address=archive.url)
    if work.offline and archive is not None and archive.sha256 is not None:
        work.say("the default index was not asked whether it has these files: the network may not be used")
        return FoundFile(package=package, file=archive, version=package.version, index=index, address=archive.url)
    work.need_network(f"where {package.name} comes from")
    offers = work.files(index, package.name)
    if archive is None:
        return _chosen(package, offers, index, target, work)
    return _listed(package, archive, offers, index, work)


def _direct(package: ForeignPypi, archive: ForeignFile, work: Work) -> FoundFile:
    version = package.version or (archive.file.split("-")[1] if archive.file.endswith(".whl") else None)
    item = FoundFile(package=package, file=archive, version=version, url=archive.url, address=archive.url)
    return _digested(item, work)


def _listed(
    package: ForeignPypi, archive: ForeignFile, offers: Sequence[PageFile], index: str, work: Work
) -> FoundFile:
    """A file by its name on its index's page; where that has it not, by its own address."""
    offer = next((item for item in offers if item.name == archive.file), None)
    if offer is None:
        if archive.url is None:
            raise UnsatisfiableError(f"{archive.file} is not on the index", reference="no-file", where=package.where)
        if package.index is None:
            work.say(f"{archive.file} is not on the default index: the lock names its address")
            item = FoundFile(
                package=package, file=archive, version=package.version, url=archive.url, address=archive.url
            )
        else:
            item = FoundFile(package=package, file=archive, version=package.version, index=index, address=archive.url)
        return _digested(item, work)
    if archive.sha256 is not None and offer.sha256 is not None and archive.sha256 != offer.sha256:
        raise IntegrityError(
            f"{archive.file} has the sha256 {archive.sha256} in the file, and {offer.sha256} on the index",
            reference="wrong-hash",
            where=package.where,
        )
    whole = replace(
        archive,
        sha256=archive.sha256 or offer.sha256,
        size=archive.size if archive.size is not None else offer.size,
        upload_time=archive.upload_time or _seconds(offer.upload_time),
    )
    item = FoundFile(package=package, file=whole, version=package.version, index=index, address=offer.url)
    return _digested(item, work)


def _chosen(
    package: ForeignPypi, offers: Sequence[PageFile], index: str, target: TargetPython, work: Work
) -> FoundFile:
    """The best file of a version: a wheel for the platform, else the source archive."""
    same = [item for item in offers if _version_of(item.name, package.name) and _same(item.name, package)]
    files = {
        item.name: ForeignFile(
            file=check_file_name(item.name),
            url=item.url,
            sha256=item.sha256,
            size=item.size,
            upload_time=_seconds(item.upload_time),
        )
        for item in same
    }
    source = next((item for name, item in files.items() if is_archive(name)), None)
    try:
        chosen = target.best(list(files.values()), package.name, package.where) or source
    except UnsatisfiableError:
        chosen = source
    if chosen is None:
        raise UnsatisfiableError(
            f"the index has no {package.name} {package.version} for {target.target.platform} and Python "
            f"{target.target.series}",
            reference="no-file",
            where=package.where,
            hint="name the index that has it in uv's or pip's settings, or take the line out",
        )
    item = FoundFile(package=package, file=chosen, version=package.version, index=index, address=chosen.url)
    return _digested(item, work)


def _digested(item: FoundFile, work: Work) -> FoundFile:
    """The file with a sha256, computed from its bytes where nobody states one."""
    assert item.file is not None
    if item.file.sha256 is not None:
        return item
    work.need_network(f"a sha256 of {item.file.file}")
    address = item.address or (item.find_links and f"{work.addresses.absolute(item.find_links)}/{item.file.file}")
    if address is None:
        raise UnsatisfiableError(
            f"nothing says where {item.file.file} is", reference="no-file", where=item.package.where
        )
    origin = UrlOrigin(url=address, file=item.file.file)
    output = work.context.fetch(origin, sha256=None, size=item.file.size, urls=(address,))
    return replace(item, file=replace(item.file, sha256=output.sha256, size=output.size), address=address)


def _check_name(archive: ForeignFile, package: ForeignPypi) -> None:
    """A file's name must be its package's: no other file gets in under a trusted name."""
    if _version_of(archive.file, package.name) is None and not package.direct:
        raise IntegrityError(
            f"the file {archive.file!r} is another package than {package.name}",
            reference="identity",
            where=package.where,
        )


def _version_of(file: str, name: str) -> str | None:
    """The version in a file's name, when the name is this project's."""
    if file.endswith(".whl"):
        parts = file.removesuffix(".whl").split("-")
        return parts[1] if len(parts) in {5, 6} and normalize_pypi_name(parts[0]) == name else None
    if not is_archive(file):
        return None
    stem = file
    for suffix in (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst", ".tar", ".zip"):
        if file.endswith(suffix):
            stem = file.removesuffix(suffix)
            break
    for index, character in enumerate(stem):
        if character == "-" and normalize_pypi_name(stem[:index]) == name:
            return stem[index + 1 :]
    return None


def _same(file: str, package: ForeignPypi) -> bool:
    from packaging.version import InvalidVersion, Version

    version = (_version_of(file, package.name) or "").replace("_", "+")
    try:
        return Version(version) == Version(package.version or "")
    except InvalidVersion:
        return version == package.version


def _seconds(moment: str | None) -> str | None:
    return to_seconds(moment) if moment is not None else None
