"""Objects of a repository, from one ``git cat-file --batch``: what a word means, what a commit holds, bytes of files.

A process of git costs two milliseconds, a question to one that runs a twentieth of one. Trees are read folder by folder
as far as somebody asks, and each once, whatever the number of commits that have it.

Rules of the file: reads only; paths are those of git, from the repository's root and with ``/``.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO

from envbuild.errors import InvalidInput
from envbuild.value import dataclass

REGULAR = (b"100644", b"100755")
"""Modes of files that are neither a link nor another repository."""

LARGEST = 64 << 20
"""Bytes of the largest file that is read."""

_FOLDER = b"40000"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A file of a revision."""

    blob: str
    path: str
    executable: bool = False


class Blobs:
    """Many files by their ids, from one process."""

    def __init__(self, command: list[str], folder: Path, environ: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            command, cwd=folder, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in: IO[bytes] = self._process.stdin
        self._out: IO[bytes] = self._process.stdout
        self._folders: dict[str, dict[str, tuple[bytes, str]]] = {}
        self._tops: dict[str, str | None] = {}

    def __enter__(self) -> Blobs:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):  # it may have ended: in no repository there is nothing to ask
            self._in.close()
        self._out.close()
        self._process.wait()

    def read(self, identity: str) -> bytes:
        """The bytes of a file.

        Raises:
            InvalidInput: ``no-blob`` when git does not give them; ``too-large``.
        """
        found = self._ask(identity, b"blob")
        if found is None:
            raise InvalidInput(
                f"git has not the file with the id {identity[:12]}",
                reference="no-blob",
                hint="`git fetch` what this clone left out (a shallow or partial clone)",
            )
        return found[1]

    def commit(self, word: str) -> str | None:
        """The commit that a word means; None when it means none."""
        if not word or word.startswith("-") or "\0" in word or "\n" in word:
            return None
        found = self._ask(f"{word}^{{commit}}", b"commit")
        return found[0] if found is not None else None

    def file(self, commit: str, path: str) -> Entry | None:
        """A regular file of a commit; None when it has none of that path."""
        found = self._at(commit, path)
        return _entry(path, *found) if found is not None and found[0] in REGULAR else None

    def files(self, commit: str, below: str = "") -> Iterator[Entry]:
        """The regular files of a commit below a folder, or that one file."""
        place = "" if below in {"", "."} else below
        found = self._at(commit, place)
        if found is not None:
            yield from self._below(place, *found)

    def _below(self, path: str, mode: bytes, identity: str) -> Iterator[Entry]:
        if mode in REGULAR:
            yield _entry(path, mode, identity)
        elif mode == _FOLDER:
            for name, (kind, inner) in self._folder(identity).items():
                yield from self._below(f"{path}/{name}" if path else name, kind, inner)

    def _at(self, commit: str, path: str) -> tuple[bytes, str] | None:
        """The mode and the id of what a commit has at a path."""
        if commit not in self._tops:
            found = self._ask(f"{commit}^{{tree}}", b"tree")
            self._tops[commit] = found[0] if found is not None else None
            if found is not None:
                self._folders[found[0]] = _parsed(found[1], len(found[0]) // 2)
        top = self._tops[commit]
        at = (_FOLDER, top) if top is not None else None
        for part in path.split("/") if path else ():
            at = self._folder(at[1]).get(part) if at is not None and at[0] == _FOLDER else None
        return at

    def _folder(self, identity: str) -> dict[str, tuple[bytes, str]]:
        if identity not in self._folders:
            found = self._ask(identity, b"tree")
            self._folders[identity] = _parsed(found[1], len(identity) // 2) if found is not None else {}
        return self._folders[identity]

    def _ask(self, word: str, kind: bytes) -> tuple[str, bytes] | None:
        """The id and the bytes of an object; None when there is none of that kind.

        Raises:
            InvalidInput: ``too-large``.
        """
        try:
            self._in.write(os.fsencode(word) + b"\n")
            self._in.flush()
        except OSError:  # it has ended
            return None
        words = self._out.readline().split()
        if len(words) != 3 or not words[2].isdigit():
            return None
        size = int(words[2])
        if words[1] != kind:
            self._skip(size + 1)
            return None
        if size > LARGEST:
            self._skip(size + 1)
            raise InvalidInput(f"a file has {size:,} bytes, at most {LARGEST:,} are read", reference="too-large")
        data = self._out.read(size)
        self._out.read(1)
        return words[0].decode(), data

    def _skip(self, size: int) -> None:
        while size > 0:
            size -= len(self._out.read(min(size, 1 << 20)) or bytes(size))


def _entry(path: str, mode: bytes, identity: str) -> Entry:
    return Entry(blob=identity, path=path, executable=mode == REGULAR[1])


def _parsed(data: bytes, width: int) -> dict[str, tuple[bytes, str]]:
    """A folder as git keeps it: mode, name and id of each thing in it."""
    found: dict[str, tuple[bytes, str]] = {}
    at = 0
    while at < len(data):
        space = data.index(b" ", at)
        end = data.index(b"\0", space)
        found[os.fsdecode(data[space + 1 : end])] = (data[at:space], data[end + 1 : end + 1 + width].hex())
        at = end + 1 + width
    return found
