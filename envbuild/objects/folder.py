"""Objects in a folder: on a disk of this machine, or one that several machines mount.

A name is a path below the folder; ``tmp/`` beside them holds files on their way in, so no name begins so. Publishing is
``envbuild.machine.publish``: a temporary file of our own, synced, linked to its name (which is create-only), its folder
synced. fsspec's own folder overwrites or races there (design of reliability, section 5).

A folder is *shared* when it is group-writable and passes its group on (2775, as ``store init --shared`` makes it): what
is made below it is so too, and may belong to others. Any other folder must be yours or root's. Symbolic links below it
are neither followed nor listed: a name is a path, never somebody's pointer.

Rules of the file: no final name is opened for writing; what the system refuses becomes an error with the path.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from shlex import quote

from envbuild.digest import CHUNK
from envbuild.errors import InvalidInput, NoSpaceError, UnreachableError
from envbuild.machine.publish import Durability, Incoming, copy_into, sync_folder
from envbuild.machine.temporary import sweep
from envbuild.objects import SMALL, Listed, Odd, Put, Writer, check_name, check_size, unheard
from envbuild.objects.address import shown_folder

_ABSENT = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EISDIR, errno.ENAMETOOLONG}
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS}
_FULL = {errno.ENOSPC, errno.EDQUOT}
_PASSING = {errno.ESTALE, errno.EIO, errno.ETIMEDOUT, errno.EAGAIN, errno.EBUSY}
_SHARED = stat.S_ISGID | stat.S_IWGRP


class FolderObjects:
    """The objects of ``file:///folder``; implements ``envbuild.objects.Objects``.

    Args:
        root: Absolute; made by the first put.
        durability: Whether a put waits for the disk.

    Raises:
        InvalidInput: ``unsafe-folder`` when everybody may write there, or it is somebody else's and not shared.
    """

    def __init__(self, root: Path, durability: Durability = "safe") -> None:
        self._root = root
        self._durability = durability
        self._shared = _check_owner(root)
        self._swept = False

    @property
    def address(self) -> str:
        """The address."""
        return shown_folder(self._root)

    def read(self, name: str, limit: int = SMALL) -> bytes | None:
        """A small object; see ``Objects.read``."""
        descriptor = self._open(name)
        if descriptor is None:
            return None
        with os.fdopen(descriptor, "rb") as stream:
            try:
                data = stream.read(limit + 1)
            except OSError as error:
                raise self._error("reading", error) from error
        check_size(self.address, name, len(data), limit)
        return data

    def fetch(self, name: str, into: Writer, size: int | None = None) -> bool:
        """Stream an object; see ``Objects.fetch``."""
        descriptor = self._open(name)
        if descriptor is None:
            return False
        done = 0
        with os.fdopen(descriptor, "rb", buffering=0) as stream:
            while True:
                try:
                    piece = stream.read(CHUNK)
                except OSError as error:
                    raise self._error("reading", error) from error
                if not piece:
                    return True
                done += len(piece)
                if size is not None:
                    check_size(self.address, name, done, size)
                into.write(piece)

    def put(self, name: str, source: Path | bytes) -> Put:
        """Create an object; see ``Objects.put``.

        Raises:
            NoSpaceError: When it does not fit.
        """
        final = self._path(name)
        try:
            if self._is_there(final):
                return "exists"
            incoming_folder = self._folder(self._root / "tmp")
            if not self._swept:
                self._swept = True
                sweep(incoming_folder)
            need = len(source) if isinstance(source, bytes) else source.stat().st_size
            with Incoming(incoming_folder, need) as incoming:
                if isinstance(source, bytes):
                    incoming.write(source)
                else:
                    copy_into(incoming, source)
                self._folder(final.parent)
                mode = 0o444 if name.startswith("blobs/") else 0o644
                return "created" if incoming.publish(final, self._durability, mode) else "exists"
        except NoSpaceError as error:
            cause = error.__cause__
            if isinstance(cause, OSError) and cause.errno in _REFUSED | _PASSING:
                raise self._error("writing", cause) from error
            if isinstance(cause, OSError) and cause.errno in _FULL:  # it is not the home that is full
                hint = f"run: envbuild gc --store {quote(self.address)}"
                raise NoSpaceError(error.message, hint=hint) from cause
            raise

    def sizes(self, names: Iterable[str]) -> Mapping[str, int]:
        """Sizes; see ``Objects.sizes``. One after the other: a folder answers in microseconds."""
        found = {}
        for name in names:
            try:
                state = self._path(name).lstat()
            except OSError as error:
                if error.errno not in _ABSENT:
                    raise self._error("reading", error) from error
                continue
            if stat.S_ISREG(state.st_mode):
                found[name] = state.st_size
        return found

    def list(self, prefix: str, odd: Odd = unheard) -> Iterator[Listed]:
        """A listing; see ``Objects.list``."""
        start = self._root
        for part in prefix.split("/")[:-1]:
            start = start / part
        if ".." not in prefix.split("/"):
            yield from self._walk(start, prefix, odd)

    def delete(self, name: str) -> None:
        """Forget an object. A symbolic link goes, never its target."""
        path = self._path(name)
        try:
            path.unlink()
        except OSError as error:
            if error.errno not in _ABSENT:
                raise self._error("deleting", error) from error

    def _path(self, name: str) -> Path:
        if check_name(name).startswith("tmp/"):
            raise InvalidInput(f"{name[:80]!r} is no name of an object here", reference="bad-name")
        path = self._root / name
        folder = self._root
        for part in name.split("/")[:-1]:  # nobody leads us elsewhere
            folder = folder / part
            if folder.is_symlink():
                raise UnreachableError(f"{folder} is a symbolic link, in a store", reference="refused")
        return path

    def _is_there(self, final: Path) -> bool:
        try:
            state = final.lstat()
        except OSError as error:
            if error.errno in _ABSENT:
                return False
            raise self._error("reading", error) from error
        if not stat.S_ISREG(state.st_mode):
            raise UnreachableError(f"{final} is something other than a file, in a store", reference="refused")
        return True

    def _open(self, name: str) -> int | None:
        try:
            descriptor = os.open(self._path(name), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            if error.errno in _ABSENT:
                return None
            raise self._error("reading", error) from error
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            return descriptor
        os.close(descriptor)
        return None

    def _folder(self, folder: Path) -> Path:
        """A folder, made with what is missing above it: shared below a shared one."""
        if folder.is_dir():
            return folder
        try:
            if folder == self._root:
                folder.mkdir(parents=True, mode=0o755)
            else:
                self._folder(folder.parent)
                folder.mkdir(mode=0o755)
                if self._shared:
                    folder.chmod(0o2775)
            if self._durability == "safe":
                sync_folder(folder.parent)
        except FileExistsError:
            pass
        except OSError as error:
            raise self._error("writing", error) from error
        return folder

    def _walk(self, folder: Path, prefix: str, odd: Odd) -> Iterator[Listed]:
        try:
            with os.scandir(folder) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            if error.errno in _ABSENT:
                return
            raise self._error("listing", error) from error
        for entry in found:
            name = str(Path(entry.path).relative_to(self._root))
            if entry.is_dir(follow_symlinks=False):
                if name != "tmp" and (name + "/").startswith(prefix[: len(name) + 1]):
                    yield from self._walk(Path(entry.path), prefix, odd)
            elif not name.startswith(prefix):
                continue
            elif entry.is_file(follow_symlinks=False):
                with suppress(FileNotFoundError):
                    state = entry.stat(follow_symlinks=False)
                    try:
                        yield Listed(name=check_name(name), size=state.st_size, modified=state.st_mtime)
                    except InvalidInput:
                        odd(name, "is no name of an object")
            else:
                odd(name, "is a symbolic link" if entry.is_symlink() else "is no file")

    def _error(self, doing: str, error: OSError) -> UnreachableError:
        told = os.strerror(error.errno) if error.errno else type(error).__name__
        if error.errno in _REFUSED:
            root = quote(str(self._root))
            hint = f"several users share a store: envbuild store init --shared {root}, with a group that all are in"
            if error.errno == errno.EROFS:
                hint = f"have the disk of {self._root} mounted to be written, or say `mode: read-only` of that store"
            return UnreachableError(f"{self.address} refuses {doing}: {told}", reference="refused", hint=hint)
        return UnreachableError(f"{self.address} fails while {doing}: {told}", retryable=error.errno in _PASSING)


def make_shared(root: Path, areas: Iterable[str] = ()) -> bool:
    """Make a folder that several users of this machine may write: mode 2775, its group the maker's.

    Args:
        root: The folder.
        areas: Folders in it whose folders are shared too, where they are there: a store that was one user's alone.

    Returns:
        Whether something in it was not shared.

    Raises:
        UnreachableError: ``refused``.
    """
    shared = False
    try:
        root.mkdir(parents=True, exist_ok=True)
        root.chmod(0o2775)
        group = root.stat().st_gid
        for area in areas:
            for folder, _, _ in () if (root / area).is_symlink() else os.walk(root / area):
                shared |= _share(Path(folder), group)
    except OSError as error:
        raise UnreachableError(
            f"{error.filename or root} cannot be shared: {os.strerror(error.errno or 0)}", reference="refused"
        ) from error
    return shared


def _share(folder: Path, group: int) -> bool:
    """Give one folder to the users of a group; False where it is theirs."""
    state = folder.stat()
    if state.st_gid == group and state.st_mode & _SHARED == _SHARED:
        return False
    if state.st_gid != group:
        os.chown(folder, -1, group)
    folder.chmod(0o2775)  # after it: to give a folder away takes the bit
    return True


def _check_owner(root: Path) -> bool:
    """Whether a folder is shared."""
    try:
        state = root.stat()
    except OSError:
        return False
    shared = state.st_mode & _SHARED == _SHARED
    if not stat.S_ISDIR(state.st_mode):
        raise InvalidInput(f"{root} is no folder", reference="bad-address", hint="a store is kept in a folder")
    if state.st_mode & stat.S_IWOTH:
        hint = f"chmod o-w {quote(str(root))}"
        raise InvalidInput(f"everybody may write into {root}", reference="unsafe-folder", hint=hint)
    if hasattr(os, "geteuid") and state.st_uid not in {os.geteuid(), 0} and not shared:
        raise InvalidInput(
            f"{root} belongs to user {state.st_uid}, not to you ({os.geteuid()}), and is not shared",
            reference="unsafe-folder",
            hint=f"its owner runs: envbuild store init --shared {quote(str(root))}",
        )
    return shared
