"""Source archives, unpacked member by member: what is not allowed by name is refused.

Allowed are files, folders, symbolic links that stay inside, and hard links to files that came before; below one top
folder; with names that mean one path to every reader. Nothing is written through a link: links are made last, when it
is known where all of them lead. Modes become 0644 or 0755, whatever this process's mask; owners and extended attributes
are left behind, and so are setuid and the like, which is told. Every file gets the same time, so that make finds
nothing older than what it was made from and two machines unpack one tree.

The suffix of the name says the format and the first bytes must agree; an archive that is two things at once is
refused, for two tools would build two things of it.

Rules of the file: limits hold while bytes come, not after; one error class, ``IntegrityError`` with a reference
``archive-…``; a folder that was begun is left to its owner, who asked for a scratch one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NoReturn

from envbuild.builders.archive_streams import open_members
from envbuild.builders.canonical_tar import COMPONENT_BYTES, LARGEST_FILE, PATH_BYTES
from envbuild.builders.links import stays_inside
from envbuild.builders.twins import Folding, Twins, probe
from envbuild.errors import IntegrityError
from envbuild.linkers.special_bits import SPECIAL, lost_bits
from envbuild.tar_reader import Member

MEMBERS = 500_000
TOTAL_BYTES = 32 << 30
RATIO = 200
"""Bytes out for each byte in, once more than ``RATIO_FROM`` are out."""
RATIO_FROM = 64 << 20

UNPACKED_TIME = 315_532_800
"""1980-01-01, the first day that a zip file can say."""

SUFFIXES = (".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst", ".tar", ".zip")
"""Endings of the names of archives that can be unpacked."""


def unpack_source(
    archive: Path,
    name: str,
    folder: Path,
    note: Callable[[str], None] = lambda _: None,
    ask: Callable[[Path], Folding] = probe,
) -> Path:
    """Unpack a source archive.

    Args:
        archive: The verified file.
        name: Its file name, which says the format; for errors too.
        folder: An empty folder; the only place that is written to.
        note: Told what is odd about the archive and stops nothing.
        ask: Says which names the file system of the folder takes for one.

    Returns:
        The archive's one top folder.

    Raises:
        IntegrityError: ``archive-path``, ``archive-link``, ``archive-type``, ``archive-duplicate``,
            ``archive-limit``, ``archive-format`` or ``archive-structure``, naming the member.
    """
    unpacking = _Unpacking(name, folder, archive.stat().st_size, Twins(lambda: ask(folder)))
    with open_members(archive, name) as members:
        for member, pieces in members:
            unpacking.take(member, pieces)
    top = unpacking.finish()
    for text in unpacking.notes():
        note(text)
    return top


class _Unpacking:
    """The tree so far: what each path is, and what is still to be made."""

    def __init__(self, name: str, folder: Path, compressed: int, twins: Twins) -> None:
        self._name = name
        self._folder = folder
        self._twins = twins
        self._twin: tuple[str, str] | None = None
        self._special: list[str] = []
        self._most = max(RATIO_FROM, RATIO * compressed)
        self._files: set[str] = set()
        self._folders: set[str] = set()
        self._links: dict[str, str] = {}
        self._members = 0
        self._written = 0

    def take(self, member: Member, pieces: Iterable[bytes]) -> None:
        """Make one member, or remember it until all are known."""
        self._members += 1
        if self._members > MEMBERS:
            self._refuse("limit", f"has more than {MEMBERS} members")
        path = self._path(member.name)
        if not path:
            if member.kind != "folder":
                self._refuse("path", f"has a member without a name: {member.name!r}")
            return
        self._claim(path, is_folder=member.kind == "folder")
        if member.mode & SPECIAL and member.kind in {"file", "folder"}:
            self._special.append(path)
        if member.kind == "file":
            self._files.add(path)
            self._write(path, member, pieces)
        elif member.kind == "link":
            self._links[path] = member.target
        elif member.kind == "hard link":
            self._link(path, member)
        elif member.kind != "folder":
            self._refuse("type", f"has a member that is neither file, folder nor link: {path}")

    def finish(self) -> Path:
        """Make the links and give the top folder."""
        tops = sorted({path.split("/", 1)[0] for path in (*self._files, *self._folders, *self._links)})
        if len(tops) != 1 or tops[0] not in self._folders:
            shown = ", ".join(tops[:3]) or "nothing"
            self._refuse("structure", f"does not hold one folder with everything in it, but {shown}")
        top = tops[0]
        inner = {path.partition("/")[2]: target for path, target in self._links.items()}
        for path, target in sorted(self._links.items()):
            if "\\" in target or "\0" in target or not target or not stays_inside(path.partition("/")[2], inner):
                self._refuse("link", f"has a link out of itself: {path}")
        for path, target in self._links.items():
            (self._folder / path).symlink_to(target)
        for path in (*self._links, *sorted(self._folders, reverse=True)):
            os.utime(self._folder / path, (UNPACKED_TIME, UNPACKED_TIME), follow_symlinks=False)
        return self._folder / top

    def notes(self) -> Iterable[str]:
        """What is odd and stops nothing."""
        if self._special:
            yield lost_bits(self._name, self._special)
        if self._twin:
            yield f"{self._name} has {self._twin[0]} and {self._twin[1]}, which are one file on many other machines"

    def _path(self, text: str) -> str:
        """A member's path in its one spelling; empty for the archive's own root."""
        parts = [part for part in text.split("/") if part not in {"", "."}]
        encoded = text.encode()
        odd = text.startswith("/") or ".." in parts or "\\" in text or any(ord(letter) < 32 for letter in text)
        drive = bool(parts) and len(parts[0]) > 1 and parts[0][1] == ":"
        if odd or drive or "\x7f" in text or not text:
            self._refuse("path", f"has a member with a bad path: {text[:200]!r}")
        if len(encoded) > PATH_BYTES or any(len(part.encode()) > COMPONENT_BYTES for part in parts):
            self._refuse("limit", f"has a member whose path is too long: {text[:80]!r}…")
        return "/".join(parts)

    def _claim(self, path: str, *, is_folder: bool) -> None:
        """Make sure that a path is free and that what is above it are folders, made now."""
        above, _, _ = path.rpartition("/")
        if above and above not in self._folders:
            self._claim(above, is_folder=True)
        if path in self._folders and is_folder:
            return
        if path in self._folders or path in self._files or path in self._links:
            self._refuse("duplicate", f"has {path} twice")
        if (twin := self._twins.add(path)) is not None:
            self._twin = self._twin or (twin[0], path)
            if twin[1]:
                self._refuse("duplicate", f"has {twin[0]} and {path}, which are one file here")
        if is_folder:
            self._folders.add(path)
            (self._folder / path).mkdir()
            (self._folder / path).chmod(0o755)

    def _write(self, path: str, member: Member, pieces: Iterable[bytes]) -> None:
        if member.size >= LARGEST_FILE:
            self._refuse("limit", f"has a file that is too large: {path}")
        target = self._folder / path
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(target, flags, 0o600), "wb") as stream:
            for piece in pieces:
                self._written += len(piece)
                if self._written > TOTAL_BYTES or self._written > self._most:
                    self._refuse("limit", f"unpacks to far more than its {self._most // RATIO} bytes let expect")
                stream.write(piece)
            stream.flush()
            os.fchmod(stream.fileno(), 0o755 if member.executable else 0o644)
            os.utime(stream.fileno(), (UNPACKED_TIME, UNPACKED_TIME))

    def _link(self, path: str, member: Member) -> None:
        source = self._path(member.target)
        if source not in self._files:
            self._refuse("link", f"has a hard link to what no file before it is: {path}")
        self._files.add(path)
        os.link(self._folder / source, self._folder / path, follow_symlinks=False)

    def _refuse(self, what: str, text: str) -> NoReturn:
        raise IntegrityError(f"{self._name} {text}", reference=f"archive-{what}")
