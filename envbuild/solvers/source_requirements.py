"""The sources that a recipe names, and those that they name in turn: where their bytes are.

A branch or tag becomes a commit; what the lock before has of the same address stays, so that locking again moves no
source that nobody asked to move. An sdist in the project is a file of its folder, as under find-links; a folder is
packed by what version control does not ignore.

``Requires-Dist`` may name an address too (PEP 508). What a recipe takes by address may name more addresses: it is as
trusted as they are. What comes from an index may not: nobody who reads the recipe would know.

Rules of the file: nothing is fetched but the name of a commit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from envbuild.builders.core_metadata import WheelMetadata
from envbuild.builders.unpack import SUFFIXES
from envbuild.digest import Digest, parse_digest
from envbuild.errors import InvalidInput, UnsatisfiableError, Where
from envbuild.package import (
    FolderOrigin,
    GitOrigin,
    LinksOrigin,
    SourcePackage,
    UrlOrigin,
    check_file_name,
    normalize_pypi_name,
)
from envbuild.reading.places import check_git_url, check_url, refuse_other_systems
from envbuild.reading.section_reader import inner_path, revision
from envbuild.recipe import GitSource, PathSource, PypiRequirement, UrlSource
from envbuild.solvers.offers import Source
from envbuild.solvers.uv_compile import PypiQuestion
from envbuild.urls import file_name

if TYPE_CHECKING:
    from envbuild.derivations import Context


def source_of(item: PypiRequirement, question: PypiQuestion, context: Context, *, parent: str | None = None) -> Source:
    """The source that a requirement means now.

    Args:
        item: With a source.
        question: For what the lock before has, and for ``no-build``.
        context: Asks git for commits.
        parent: The source whose metadata names it.

    Raises:
        InvalidInput: ``no-source`` when the project has no such file or folder, ``bad-source`` when it is no archive,
            and what git says.
        UnsatisfiableError: ``no-build`` when the recipe forbids it.
    """
    refuse_build(item.name, question, item.where)
    before = next((kept for kept in question.keep_sources if kept.name == item.name), None)
    match item.source:
        case GitSource():
            return _of_git(item, item.source, before, context, parent)
        case UrlSource():
            return _of_url(item, item.source, before, parent)
        case PathSource(path=path):
            return _of_path(item, path, Path(context.addresses.root), parent)
        case None:
            raise AssertionError(item)


def refuse_build(name: str, question: PypiQuestion, where: Where | None) -> None:
    """Refuse what the recipe says must come as a wheel.

    Raises:
        UnsatisfiableError: ``no-build``.
    """
    forbidden = question.request.no_build
    if forbidden is True or (forbidden and name in forbidden):
        raise UnsatisfiableError(
            f"{name} would be built from source, and `no-build` forbids it",
            reference="no-build",
            where=where,
            hint=f"ask for a version that has a wheel, or take {name} out of `no-build`",
        )


def wheel_at(item: PypiRequirement, context: Context) -> tuple[str, Path] | None:
    """The recipe's word for the folder of a wheel that it names by its path, and the file; None for anything else.

    Raises:
        InvalidInput: ``no-source`` when there is no such file.
    """
    if not isinstance(item.source, PathSource) or not item.source.path.endswith(".whl"):
        return None
    file = Path(context.addresses.root) / item.source.path
    if not file.is_file():
        raise _missing(item, item.source.path)
    return _folder_word(item.source.path), file


def _of_git(
    item: PypiRequirement, git: GitSource, before: SourcePackage | None, context: Context, parent: str | None
) -> Source:
    from envbuild.builders.git import resolve_commit

    same = before is not None and (before.git, before.rev, before.subdirectory) == (git.git, git.rev, git.subdirectory)
    commit = before.commit if before is not None and same else resolve_commit(git, context)
    assert commit is not None
    file = f"{item.name}.tar"
    return Source(
        name=item.name,
        file=file,
        origin=GitOrigin(url=git.git, commit=commit, file=file),
        place=("git", git.git),
        sha256=before.sha256 if before is not None and same else None,
        subdirectory=git.subdirectory,
        commit=commit,
        rev=git.rev,
        direct=True,
        where=item.where,
        parent=parent,
    )


def _of_url(item: PypiRequirement, source: UrlSource, before: SourcePackage | None, parent: str | None) -> Source:
    url = source.url.split("#", 1)[0]
    file = _archive_name(file_name(url), item)
    sha256 = source.sha256
    if sha256 is None and len(item.hashes) == 1:
        sha256 = item.hashes[0]
    if sha256 is None and before is not None and before.url == url:
        sha256 = before.sha256
    return Source(
        name=item.name,
        file=file,
        origin=UrlOrigin(url=url, file=file),
        place=("url", url),
        sha256=sha256,
        subdirectory=source.subdirectory,
        direct=True,
        where=item.where,
        parent=parent,
    )


def _of_path(item: PypiRequirement, path: str, root: Path, parent: str | None) -> Source:
    found = root / path
    if found.is_dir():
        file = f"{item.name}.tar"
        return Source(
            name=item.name,
            file=file,
            origin=FolderOrigin(path=path, file=file),
            place=("path", path),
            direct=True,
            where=item.where,
            parent=parent,
        )
    if not found.is_file():
        raise _missing(item, path)
    file, word = _archive_name(found.name, item), _folder_word(path)
    return Source(
        name=item.name,
        file=file,
        origin=LinksOrigin(location=word, file=file),
        place=("find-links", word),
        direct=True,
        where=item.where,
        parent=parent,
    )


def _missing(item: PypiRequirement, path: str) -> InvalidInput:
    return InvalidInput(
        f"{item.name} is to come from {path}, and there is nothing",
        reference="no-source",
        where=item.where,
        hint="check the path: it is relative to the recipe's folder",
    )


def _folder_word(path: str) -> str:
    folder = path.rpartition("/")[0]
    return f"./{folder}" if folder else "./."


def _archive_name(name: str, item: PypiRequirement) -> str:
    if not name.endswith(SUFFIXES):
        raise InvalidInput(
            f"{name[:80]!r} is neither a wheel nor a source archive",
            reference="bad-source",
            where=item.where,
            hint=f"the name of the file ends in .whl, {', '.join(SUFFIXES)}",
        )
    try:
        return check_file_name(name)
    except InvalidInput as error:
        raise InvalidInput(error.message, reference=error.reference, where=item.where, hint=error.hint) from None


def named_sources(source: Source, metadata: WheelMetadata, environment: dict[str, str]) -> Iterator[PypiRequirement]:
    """The requirements of a source that name an address, and that hold for the target with whatever extra.

    Raises:
        UnsatisfiableError: ``address-in-metadata`` when the source is not one that may name addresses.
        InvalidInput: What the address is refused for.
    """
    from packaging.requirements import Requirement

    for text in metadata.requires:
        if "@" not in text:
            continue
        requirement = Requirement(text)
        if requirement.url is None:
            continue
        extras = ("", *metadata.extras)
        if requirement.marker is not None and not any(
            requirement.marker.evaluate({**environment, "extra": extra}) for extra in extras
        ):
            continue
        if not source.direct:
            raise UnsatisfiableError(
                f"{source.title} comes from an index and wants {requirement.name} from an address of its own choice",
                reference="address-in-metadata",
                where=source.where,
                hint=f"write {requirement.name} with that address under `pypi: packages:`, if you trust it",
            )
        name = normalize_pypi_name(requirement.name)
        try:
            yield PypiRequirement(name=name, source=address_of(requirement.url), where=source.where)
        except InvalidInput as error:
            raise InvalidInput(
                f"{source.title} wants {name} from an address: {error.message}",
                reference=error.reference,
                where=source.where,
                hint=error.hint,
            ) from None


def address_of(url: str) -> GitSource | UrlSource:
    """What an address in a requirement means (PEP 508, with pip's ``git+`` and ``#subdirectory=``).

    Raises:
        InvalidInput: ``bad-url``, ``not-available`` for hg, bzr and svn, ``bad-hash``.
    """
    refuse_other_systems(url)
    address, _, fragment = url.partition("#")
    fields = dict(part.partition("=")[::2] for part in fragment.split("&") if part)
    inside = fields.get("subdirectory")
    subdirectory = None if inside is None else inner_path(unquote(inside))
    if address.startswith("git+"):
        found = re.fullmatch(r"git\+(.+?://[^/]*/[^@]*|[^@/]+@[^@]*)(?:@([^@]+))?", address)
        if found is None:
            raise InvalidInput(f"{address[:80]!r} is no address of a git repository", reference="bad-url")
        rev = revision(unquote(found[2])) if found[2] else None
        return GitSource(git=check_git_url(found[1]), rev=rev, subdirectory=subdirectory)
    stated = fields.get("sha256")
    sha256: Digest | None = None if stated is None else parse_digest(stated)
    return UrlSource(url=check_url(address), sha256=sha256, subdirectory=subdirectory)


def without_addresses(metadata: WheelMetadata) -> tuple[str, ...]:
    """The requirements with names alone where they name addresses: the address stands beside them as a constraint."""
    from packaging.requirements import Requirement

    lines = []
    for text in metadata.requires:
        requirement = Requirement(text) if "@" in text else None
        if requirement is not None and requirement.url is not None:
            requirement.url = None
            text = str(requirement)
        lines.append(text)
    return tuple(lines)
