"""The tree of a commit as its canonical tar, submodules included.

What is packed are the blobs as git stores them: no line ends are converted, no ``export-subst`` is filled in, no filter
runs. A file kept in Git LFS is therefore its pointer, and that is said once. Submodules are read from ``.gitmodules``
of the commit and fetched at the commit that the tree names; their addresses pass the same check as a recipe's.

Rules of the file: names are believed only after a check; content goes through files, never through memory.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from envbuild.builders.canonical_tar import LARGEST_FILE, CanonicalTar
from envbuild.builders.git import fetch_commit, forget_commits
from envbuild.builders.git_program import Git, GitFailed
from envbuild.builders.links import stays_inside
from envbuild.builders.listing import MEMBERS
from envbuild.derivations import Context
from envbuild.digest import CHUNK
from envbuild.errors import InvalidInput, UnreachableError
from envbuild.reading.places import check_git_url
from envbuild.value import dataclass

TOTAL_BYTES = 32 << 30
DEPTH = 10
"""Submodules inside of submodules."""

_LINK_BYTES = 4096
_POINTER = b"version https://git-lfs.github.com/spec/"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """One file or link of the whole tree."""

    path: str
    mode: str
    blob: str
    size: int
    repository: Path

    @property
    def is_link(self) -> bool:
        return self.mode == "120000"


def stream_commit(url: str, commit: str, write: Callable[[bytes], object], context: Context) -> None:
    """Give the canonical tar of a commit's tree.

    Args:
        url: The repository, as the recipe writes it.
        commit: The whole hexadecimal name.
        write: Gets the bytes, in pieces; after a damaged cache only once that is mended.
        context: For the cache, its lock, and git.

    Raises:
        UnreachableError: ``no-commit``, ``git-failed``.
        InvalidInput: ``bad-source`` for what no source may hold, ``bad-url`` for a submodule's address.
        BuildError: ``no-git``.
    """
    try:
        entries = _entries(url, commit, context)
    except GitFailed:  # the cache has the commit and not all that belongs to it
        forget_commits(url, context)
        try:
            entries = _entries(url, commit, context)
        except GitFailed as error:
            raise UnreachableError(f"git cannot read {commit} of {url}: {error}", reference="git-failed") from error
    try:
        _write(entries, write, context)
    except GitFailed as error:
        forget_commits(url, context)
        raise UnreachableError(
            f"git's copy of {url} is damaged: {error}", reference="git-failed", retryable=True, hint="run it again"
        ) from error


def _entries(url: str, commit: str, context: Context) -> list[_Entry]:
    found = list(_below(url, commit, "", 0, context))
    if len(found) > MEMBERS or sum(entry.size for entry in found) > TOTAL_BYTES:
        raise InvalidInput(f"{commit} of {url} is larger than a source may be", reference="bad-source")
    return sorted(found, key=lambda entry: entry.path.encode())


def _below(url: str, commit: str, prefix: str, depth: int, context: Context) -> Iterator[_Entry]:
    """The files of a commit, and of its submodules'."""
    if depth > DEPTH:
        raise InvalidInput(f"{url} has submodules in submodules without end", reference="bad-source")
    repository = fetch_commit(url, commit, context)
    git = Git(context, repository)
    addresses: dict[str, str] | None = None
    for line in git.ask("ls-tree", "-r", "-z", "-l", "--full-tree", commit).split(b"\0")[:-1]:
        words, _, raw = line.partition(b"\t")
        mode, kind, name, size = words.decode().split()
        path = prefix + _checked(raw, url)
        if kind == "commit":
            if addresses is None:
                addresses = _submodules(git, commit, url)
            inner = addresses.get(path.removeprefix(prefix))
            if inner is None:
                raise InvalidInput(f"{url} has a submodule {path} without an address", reference="bad-source")
            yield from _below(inner, name, path + "/", depth + 1, context)
        else:
            yield _Entry(path=path, mode=mode, blob=name, size=_size(size, path), repository=repository)


def _size(text: str, path: str) -> int:
    if not text.isdigit() or int(text) >= LARGEST_FILE:
        raise InvalidInput(f"{path} is larger than a file may be", reference="bad-source")
    return int(text)


def _checked(raw: bytes, url: str) -> str:
    try:
        path = raw.decode()
    except UnicodeDecodeError:
        raise InvalidInput(
            f"{url} has a name that is not UTF-8: {raw[:80].decode(errors='replace')!r}", reference="bad-source"
        ) from None
    parts = path.split("/")
    bad = any(part in {"", ".", ".."} or part.lower() == ".git" for part in parts)
    if bad or "\\" in path or any(ord(letter) < 32 for letter in path) or "\x7f" in path:
        raise InvalidInput(f"{url} has a file with a bad name: {path[:200]!r}", reference="bad-source")
    return path


def _submodules(git: Git, commit: str, url: str) -> dict[str, str]:
    """Addresses of the submodules of a commit by their paths, as its ``.gitmodules`` says them."""
    try:
        listed = git.ask(
            "config", "--blob", f"{commit}:.gitmodules", "-z", "--get-regexp", r"^submodule\..*\.(path|url)$"
        )
    except GitFailed:
        return {}
    said: dict[str, dict[str, str]] = {}
    for item in listed.decode("utf-8", "replace").split("\0")[:-1]:
        key, _, value = item.partition("\n")
        _, _, rest = key.partition(".")
        name, _, what = rest.rpartition(".")
        said.setdefault(name, {}).setdefault(what, value)
    return {
        item["path"].strip("/"): submodule_address(item["url"], url)
        for item in said.values()
        if "path" in item and "url" in item
    }


def submodule_address(text: str, parent: str) -> str:
    """The address of a submodule, which may be relative to its parent's.

    Args:
        text: As ``.gitmodules`` says it.
        parent: The address of the repository that it is part of.

    Raises:
        InvalidInput: ``bad-url`` when it is not one that a recipe could name; files only below files.
    """
    address = text
    if text.startswith(("./", "../")):
        address, rest = parent.rstrip("/"), text
        while rest.startswith(("./", "../")):
            if rest.startswith("../"):
                address = address.rpartition("/")[0]
            rest = rest.partition("/")[2]
        if not urlsplit(address).netloc and urlsplit(parent).netloc:
            raise InvalidInput(f"the submodule's address {text[:80]!r} leaves its server", reference="bad-url")
        address = f"{address}/{rest}".rstrip("/")
    return check_git_url(address, files=urlsplit(parent).scheme == "file")


def _write(entries: list[_Entry], write: Callable[[bytes], object], context: Context) -> None:
    links = {}
    for entry, content in _contents([entry for entry in entries if entry.is_link], context):
        if entry.size > _LINK_BYTES:
            raise InvalidInput(f"{entry.path} is a link with a target that is too long", reference="bad-source")
        links[entry.path] = b"".join(content).decode("utf-8", "surrogateescape")
    for path in links:
        if not links[path] or "\0" in links[path] or not stays_inside(path, links):
            raise InvalidInput(f"{path} is a link that leads out of the repository", reference="bad-source")
    tar = CanonicalTar(write)
    files = _contents([entry for entry in entries if not entry.is_link], context)
    for entry in entries:
        if entry.is_link:
            tar.add_link(entry.path, links[entry.path])
            continue
        _, content = next(files)
        pieces = _watched(entry, content, context) if entry.size < 1024 else content
        tar.add_file(entry.path, entry.size, pieces, executable=entry.mode == "100755")
    files.close()
    tar.close()


def _watched(entry: _Entry, content: Iterator[bytes], context: Context) -> Iterator[bytes]:
    data = b"".join(content)
    if data.startswith(_POINTER):
        context.note("the repository keeps files in Git LFS: they are packed as the pointers that the commit holds")
    yield data


def _contents(entries: list[_Entry], context: Context) -> Generator[tuple[_Entry, Iterator[bytes]], None, None]:
    """Entries with their content, in order; each repository is asked once."""
    with ExitStack() as stack:
        streams: dict[Path, BinaryIO] = {}
        for repository in dict.fromkeys(entry.repository for entry in entries):
            asked = "".join(f"{entry.blob}\n" for entry in entries if entry.repository == repository).encode()
            out = stack.enter_context(Git(context, repository).output("cat-file", "--batch", "--buffer", stdin=asked))
            streams[repository] = stack.enter_context(out.open("rb"))
        for entry in entries:
            stream = streams[entry.repository]
            head = stream.readline(256).decode("ascii", "replace")
            if not re.fullmatch(rf"{entry.blob} blob {entry.size}\n", head):
                raise GitFailed(f"object {entry.blob} is {head.strip()[:80]!r}")
            yield entry, _exactly(stream, entry.size)
            stream.read(1)


def _exactly(stream: BinaryIO, size: int) -> Iterator[bytes]:
    while size:
        piece = stream.read(min(CHUNK, size))
        if not piece:
            raise GitFailed("what git wrote is cut")
        size -= len(piece)
        yield piece
