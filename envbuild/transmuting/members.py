"""Which members a package may have: one path to every reader, nothing out of itself, nothing twice, nothing endless.

What an unpacker would have to be careful with is refused here, although nothing is unpacked: a package that was
transmuted is one that can be linked. Refused are paths that leave, paths that lead through links, links that leave
(also by way of other links), hard links to what is not an earlier file, pipes and devices, one path twice, and more
bytes or members than a package has.

Rules of the file: holds the names of what came so far; one error class, ``IntegrityError`` with a reference
``archive-…``.
"""

from __future__ import annotations

import re
from typing import NoReturn

from envbuild.builders.canonical_tar import COMPONENT_BYTES, LARGEST_FILE, PATH_BYTES
from envbuild.builders.links import stays_inside
from envbuild.errors import IntegrityError
from envbuild.pattern import pattern
from envbuild.tar_reader import Member
from envbuild.transmuting.streams import Read

MEMBERS = 500_000
TOTAL_BYTES = 128 << 30
RATIO = 200
"""Bytes out for each byte in, once more than ``RATIO_FROM`` are out."""
RATIO_FROM = 1 << 30

_ODD = pattern(r"[\x00-\x1f\x7f]")
_DRIVE = pattern(r"[A-Za-z]:(?:[\\/]|$)")
_SPECIAL_BITS = 0o7000


class Members:
    """The members of one package so far.

    Args:
        file: The package's name, for errors.
        packed: Its bytes.

    Attributes:
        count: Members that came.
        size: Bytes of their content, as their headers say it.
        special: Paths whose setuid, setgid or sticky bit is left behind.
    """

    def __init__(self, file: str, packed: int) -> None:
        self._file = file
        self._most = min(TOTAL_BYTES, max(RATIO_FROM, RATIO * packed))
        self._unpacked = 0
        self._files: dict[str, str] = {}
        self._folders: set[str] = set()
        self._links: dict[str, str] = {}
        self.count = 0
        self.size = 0
        self.special: list[str] = []

    def take(self, member: Member) -> tuple[str, str]:
        """Check one member.

        Returns:
            Its path in the one spelling, empty for the package's root; and its target: a symbolic link's as it stands,
            a hard link's the path of the file that it is another name of.

        Raises:
            IntegrityError: ``archive-path``, ``archive-link``, ``archive-type``, ``archive-duplicate``,
                ``archive-limit``.
        """
        self.count += 1
        if self.count > MEMBERS:
            self.refuse("limit", f"has more than {MEMBERS} members")
        path = self.path(member.name)
        if not path:
            if member.kind != "folder":
                self.refuse("path", f"has a member without a name: {member.name!r}")
            return "", ""
        self._claim(path, is_folder=member.kind == "folder")
        target = ""
        if member.kind == "file":
            if member.size >= LARGEST_FILE:
                self.refuse("limit", f"has a file that is too large: {path}")
            self._files[path] = path
            self.size += member.size
        elif member.kind == "link":
            target = member.target
            if not target or _ODD.search(target) or len(target.encode()) > 4 * PATH_BYTES:
                self.refuse("link", f"has a link to nowhere: {path}")
            self._links[path] = target
        elif member.kind == "hard link":
            first = self._files.get(self.path(member.target))
            if first is None:
                self.refuse("link", f"has a hard link to what is not a file before it: {path}")
            self._files[path] = target = first
        elif member.kind != "folder":
            self.refuse("type", f"has a member that is neither file, folder nor link: {path}")
        if member.kind in {"file", "folder"} and member.mode & _SPECIAL_BITS:
            self.special.append(path)
        return path, target

    def limited(self, read: Read) -> Read:
        """The same reader, as long as it does not give too much in all: content, headers and what follows the end.

        Raises:
            IntegrityError: ``archive-limit``, when it is read.
        """

        def limited(count: int) -> bytes:
            piece = read(count)
            self._unpacked += len(piece)
            if self._unpacked > self._most:
                self.refuse("limit", f"unpacks to more than {self._most} bytes")
            return piece

        return limited

    def finish(self) -> None:
        """Check what only all members together tell: where links lead, and that this is a conda package.

        Raises:
            IntegrityError: ``archive-link``, ``archive-structure``.
        """
        for path in self._links:
            if not stays_inside(path, self._links):
                raise IntegrityError(
                    f"{self._file} has a link out of itself: {path} -> {self._links[path][:200]}",
                    reference="archive-link",
                    hint="where that is meant, set `conda-format: keep` to link the package as it is",
                )
        if self._files.get("info/index.json") is None:
            self.refuse("structure", "has no info/index.json")

    def path(self, text: str) -> str:
        """A member's path in its one spelling; empty for the package's own root."""
        if not text or _ODD.search(text) or text.startswith(("/", "\\")) or _DRIVE.match(text):
            self.refuse("path", f"has a member with a bad path: {text[:200]!r}")
        parts = [part for part in text.split("/") if part not in {"", "."}]
        if ".." in parts or ("\\" in text and ".." in re.split(r"[\\/]", text)):
            self.refuse("path", f"has a member with a bad path: {text[:200]!r}")
        path = "/".join(parts)
        if 4 * len(text) > COMPONENT_BYTES and (
            len(path.encode()) > PATH_BYTES or any(len(part.encode()) > COMPONENT_BYTES for part in parts)
        ):
            self.refuse("limit", f"has a member whose path is too long: {path[:80]!r}…")
        return path

    def _claim(self, path: str, *, is_folder: bool) -> None:
        """Make sure that a path is free, and that what is above it are folders."""
        above = path.rpartition("/")[0]
        if above and above not in self._folders:
            if above in self._links:
                self.refuse("link", f"leads through a link: {path}")
            self._claim(above, is_folder=True)
        if is_folder and path in self._folders:
            return
        if path in self._folders or path in self._files or path in self._links:
            self.refuse("duplicate", f"has {path} twice")
        if is_folder:
            self._folders.add(path)

    def refuse(self, what: str, text: str) -> NoReturn:
        """Refuse the package.

        Raises:
            IntegrityError: ``archive-<what>``.
        """
        raise IntegrityError(f"{self._file} {text}", reference=f"archive-{what}")
