"""Where a requirement says that its package comes from: an archive, a repository, a folder, as a recipe's source.

Theory: pip takes any address and finds out by trying. A recipe says which of three things is meant, and never names a
package after guessing: the name stands before ``@``, in ``#egg=``, in a file's name, or in the folder's own metadata.

Rules of the file: text in, value out; a folder's metadata is read through the document's ``opened``.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

from envbuild.digest import Digest, parse_digest
from envbuild.errors import InvalidInput
from envbuild.formats import Document
from envbuild.package import normalize_pypi_name
from envbuild.pattern import pattern
from envbuild.reading import spelling
from envbuild.reading.places import check_git_url, check_url, redacted, refuse_other_systems
from envbuild.reading.section_reader import inner_path, revision
from envbuild.recipe import GitSource, PathSource, Source, UrlSource
from envbuild.value import dataclass

ARCHIVES = (".whl", ".zip", ".tar.gz", ".tgz", ".tar.bz2", ".tbz", ".tar.xz", ".txz", ".tar.zst", ".tar")
"""Endings of files that hold a package."""

_SCHEME = pattern(r"[A-Za-z][A-Za-z0-9+.-]*:")
_SDIST = pattern(r"([A-Za-z0-9][A-Za-z0-9._-]*?)-v?[0-9][A-Za-z0-9.+!_]*")
_EGG = pattern(r"([A-Za-z0-9][A-Za-z0-9._-]*?)(?:\[([A-Za-z0-9._, -]*)\])?(?:-[0-9][0-9a-z.]*|==.*)?")
_NAME_LINE = pattern(r"^\s*name\s*=\s*[\"']?([A-Za-z0-9._-]+)[\"']?\s*(?:#.*)?$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What an address says.

    Attributes:
        source: The source itself.
        name: The package's name where the address tells it, normalized; likewise ``extras``.
        lost: What the address says beyond that, in words for a note; empty for nothing.
    """

    source: Source
    name: str | None = None
    extras: tuple[str, ...] = ()
    lost: str = ""


def is_address(text: str) -> bool:
    """Whether a line is an address, as pip sees it: it begins with a scheme."""
    found = _SCHEME.match(text)
    if text.lower().startswith("git+"):
        return True
    return found is not None and (text.startswith(found[0] + "//") or "+" in found[0] or found[0].lower() == "file:")


def is_path(text: str) -> bool:
    """Whether a line names a file or folder: it has a separator or begins with a dot, or ends like an archive."""
    bare = text.partition("[")[0]
    return bare.startswith(".") or "/" in bare or "\\" in bare or bare.lower().endswith(ARCHIVES)


def read_place(text: str, document: Document) -> Place:
    """The source of an address or path.

    Raises:
        InvalidInput: ``bad-url``, ``bad-path``, ``bad-hash``, ``not-available`` for other version control than git,
            and the references of the grammars for names and revisions.
    """
    if not is_address(text):
        return _path(text, document)
    address, _, fragment = text.partition("#")
    scheme = address.partition(":")[0].lower()
    fields = dict(part.partition("=")[::2] for part in fragment.split("&") if part)
    name, extras = _egg(unquote(fields.pop("egg", "")))
    inside = fields.pop("subdirectory", None)
    subdirectory = None if inside is None else inner_path(unquote(inside))
    refuse_other_systems(text)
    if scheme.partition("+")[0] == "git":
        git, rev = _repository(address)
        lost = ", ".join(sorted(fields))
        return Place(source=GitSource(git=git, rev=rev, subdirectory=subdirectory), name=name, extras=extras, lost=lost)
    if scheme == "file":
        return _file(text.partition(":")[2], document)
    sha256 = fields.pop("sha256", None)
    source = UrlSource(
        url=check_url(address), sha256=None if sha256 is None else _sha256(sha256), subdirectory=subdirectory
    )
    found = name or name_of_file(unquote(address.rpartition("/")[2]))
    return Place(source=source, name=found, extras=extras, lost=", ".join(sorted(fields)))


def _sha256(text: str) -> Digest:
    return parse_digest(text.lower())


def _egg(text: str) -> tuple[str | None, tuple[str, ...]]:
    """The name and extras of ``#egg=``."""
    found = _EGG.fullmatch(text)
    if found is None:
        if text:
            raise InvalidInput(
                f"#egg={text[:40]} names no package", reference="bad-name", hint="write `name @ address`"
            )
        return None, ()
    extras = tuple(sorted({spelling.pypi_name(item.strip()) for item in (found[2] or "").split(",") if item.strip()}))
    return spelling.pypi_name(found[1].rstrip("._-")), extras


def _repository(address: str) -> tuple[str, str | None]:
    """A git repository's address, and the branch, tag or commit after the last ``@`` of its path."""
    bare = re.sub(r"^git\+", "", address, flags=re.IGNORECASE)
    scheme, separator, rest = bare.partition("://")
    host, slash, path = rest.partition("/")
    path, at, rev = path.rpartition("@") if "@" in path else (path, "", "")
    if not separator:
        raise InvalidInput(
            f"{redacted(address)!r} is not the address of a git repository",
            reference="bad-url",
            hint="write git+https://host/path or git+ssh://user@host/path",
        )
    url = check_git_url(f"{scheme}://{host}{slash}{path}")
    return url, revision(unquote(rev)) if at else None


def _file(rest: str, document: Document) -> Place:
    if rest.startswith("/"):
        raise InvalidInput(
            f"'file:{rest[:60]}' is a place of one machine",
            reference="bad-path",
            hint="write the path relative to this file, such as ./libs/name",
        )
    return _path(rest, document)


def _path(text: str, document: Document) -> Place:
    path = text
    extras: tuple[str, ...] = ()
    if text.endswith("]") and "[" in text:
        path, _, inside = text[:-1].rpartition("[")
        extras = tuple(sorted({spelling.pypi_name(item.strip()) for item in inside.split(",") if item.strip()}))
    path, _, fragment = path.partition("#")
    fields = dict(part.partition("=")[::2] for part in fragment.split("&") if part)
    name, more = _egg(unquote(fields.pop("egg", "")))
    found = document.beside(path)
    if name is None and path.lower().endswith(ARCHIVES):
        name = name_of_file(path.rpartition("/")[2])
    elif name is None:
        name = _name_of_folder(path, document)
    return Place(source=PathSource(path=found), name=name, extras=extras or more, lost=", ".join(sorted(fields)))


def name_of_file(file: str) -> str | None:
    """The package that a file's name tells: that of a wheel, or of an sdist ``name-version``; None when it does not."""
    lower = file.lower()
    if lower.endswith(".whl"):
        parts = file[:-4].split("-")
        return spelling.pypi_name(parts[0]) if len(parts) in {5, 6} else None
    ending = next((ending for ending in ARCHIVES if lower.endswith(ending)), None)
    found = _SDIST.fullmatch(file[: -len(ending)]) if ending else None
    return normalize_pypi_name(found[1]) if found else None


def _name_of_folder(path: str, document: Document) -> str | None:
    """The name that a folder's ``pyproject.toml`` or ``setup.cfg`` states; None when neither does."""
    for file, table in (("pyproject.toml", ("project", "tool.poetry")), ("setup.cfg", ("metadata",))):
        try:
            data = document.open(f"{path.rstrip('/')}/{file}").data
        except InvalidInput:
            continue
        text = data[: 1 << 20].decode("utf-8", "replace")
        for name in table:
            inside = re.search(rf"^\[{re.escape(name)}\]\s*$(.*?)(?=^\[|\Z)", text, re.MULTILINE | re.DOTALL)
            if inside and (found := _NAME_LINE.search(inside[1])):
                return spelling.pypi_name(found[1])
    return None
