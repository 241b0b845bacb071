"""Managed interpreters: a Python's archive, unpacked once by our own loop, becomes the ground of a prefix.

The archive's digest stands in the lock, yet its members are not trusted to stay inside: each must be a plain file, a
folder, or a link that ends inside the tree; modes become 0644 or 0755. The unpacked tree lies in a cache folder named
by the digest, and its files get into prefixes as all files do (``placing``). Files that hold the
distribution's build path are written anew for each prefix.
"""

from __future__ import annotations

import os
import shutil
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from envbuild.errors import IntegrityError
from envbuild.linkers.placing import engine_ways, placer
from envbuild.linkers.record import replace_bytes
from envbuild.linkers.special_bits import SPECIAL, lost_bits
from envbuild.package import InterpreterArchive
from envbuild.tar_reader import ArchiveFormatError, Member, TarReader

if TYPE_CHECKING:
    from envbuild.derivations import Context

MEMBERS = 500_000
PATH_BYTES = 1024
TOTAL_BYTES = 4 << 30
_ROOT = "python"
_BUILD_PATH = b"/install"


def link_archive(blob: Path, archive: InterpreterArchive, prefix: Path, final: Path, context: Context) -> None:
    """Fill a prefix that does not exist yet with a managed interpreter.

    Args:
        blob: The verified archive.
        archive: What the lock says.
        prefix: The folder to make.
        final: The path that it will have.
        context: For the cache of unpacked archives.

    Raises:
        IntegrityError: ``bad-archive``.
    """
    tree = unpack_once(blob, archive, context)
    several = engine_ways("interpreters", prefix.parent, context)
    shutil.copytree(tree, prefix, symlinks=True, copy_function=placer(several))
    for pattern in ("lib/python3*/_sysconfigdata*.py", "lib/python3*/config-*/Makefile", "lib/pkgconfig/*.pc"):
        for path in prefix.glob(pattern):
            data = path.read_bytes()
            if _BUILD_PATH in data and not path.is_symlink():
                replace_bytes(path, data.replace(_BUILD_PATH, os.fsencode(final)))
    python = prefix / "bin" / "python"
    if not python.exists():
        python.symlink_to("python" + ".".join(archive.version.split(".")[:2]))


def unpack_once(blob: Path, archive: InterpreterArchive, context: Context) -> Path:
    """The folder with the unpacked interpreter, made when it is not there.

    Raises:
        IntegrityError: ``bad-archive``.
    """
    tree = context.engine_cache("interpreters") / archive.sha256
    if not tree.is_dir():
        with context.scratch() as folder:
            special = unpack(blob, archive.file, folder)
            if special:
                context.note(lost_bits(archive.file, special))
            inner = folder / _ROOT
            if not (inner / "bin").is_dir():
                raise _bad(archive.file, f"has no {_ROOT}/bin")
            context.publish_tree(inner, tree)
    return tree


def unpack(blob: Path, name: str, folder: Path) -> list[str]:
    """Unpack an archive member by member.

    Args:
        blob: The archive: ``.tar.gz`` or ``.tar.zst``, as its magic says.
        name: Its name, for errors.
        folder: An empty folder; the only place that is written to.

    Returns:
        The members whose setuid, setgid, sticky or world-write bits are left behind.

    Raises:
        IntegrityError: ``bad-archive``, naming the member.
    """
    seen: set[str] = set()
    special: list[str] = []
    total = 0
    try:
        with _plain(blob) as read:
            tar = TarReader(read)
            for member in tar.members():
                path = _checked_name(member.name, name)
                if path in seen and member.kind != "folder":
                    raise _bad(name, f"has {path} twice")
                seen.add(path)
                total += member.size
                if len(seen) > MEMBERS or total > TOTAL_BYTES:
                    raise _bad(name, "is larger than the limits")
                _place(tar, member, folder, path, name)
                if member.mode & SPECIAL and member.kind in {"file", "folder"}:
                    special.append(path)
    except (FileExistsError, NotADirectoryError) as error:
        raise _bad(name, "has a file in the place of a folder") from error
    except (ArchiveFormatError, UnicodeError) as error:
        raise _bad(name, f"cannot be read: {error}") from error
    return special


def _place(tar: TarReader, member: Member, folder: Path, path: str, name: str) -> None:
    target = folder / path
    _refuse_links_above(target.parent, folder, path, name)
    _make_folder(target if member.kind == "folder" else target.parent, folder)
    if member.kind == "folder":
        return
    if member.kind == "file":
        with target.open("xb") as out:
            for piece in tar.pieces():
                out.write(piece)
        target.chmod(0o755 if member.mode & 0o100 else 0o644)
    elif member.kind == "link":
        if not member.target or "\0" in member.target or len(member.target.encode()) > PATH_BYTES:
            raise _bad(name, f"has a link to nowhere: {path}")
        if member.target.startswith("/") or _leaves(PurePosixPath(path).parent / member.target):
            raise _bad(name, f"has a link out of itself: {path}")
        target.symlink_to(member.target)
    elif member.kind == "hard link":
        source = folder / _checked_name(member.target, name)
        _refuse_links_above(source.parent, folder, path, name)
        if source.is_symlink() or not source.is_file():
            raise _bad(name, f"has a hard link to what is not there: {path}")
        os.link(source, target)
    else:
        raise _bad(name, f"has a member that is neither file, folder nor link: {path}")


def _make_folder(path: Path, root: Path) -> None:
    """A folder and those above it, with the mode that all have, whatever this process's mask."""
    if path == root or path.is_dir():
        return
    _make_folder(path.parent, root)
    path.mkdir()
    path.chmod(0o755)


def _refuse_links_above(folder: Path, root: Path, path: str, name: str) -> None:
    while folder != root:
        if folder.is_symlink():
            raise _bad(name, f"writes through a link: {path}")
        folder = folder.parent


def _checked_name(text: str, name: str) -> str:
    path = PurePosixPath(text)
    odd = "\\" in text or "\0" in text or len(text.encode()) > PATH_BYTES
    odd = odd or any(len(part.encode()) > 255 for part in path.parts)
    if path.is_absolute() or ".." in path.parts or odd or not path.parts:
        raise _bad(name, f"has a member with a bad path: {text!r}")
    return str(path)


def _leaves(path: PurePosixPath) -> bool:
    depth = 0
    for part in path.parts:
        depth += -1 if part == ".." else 1
        if depth < 1:
            return True
    return False


@contextmanager
def _plain(blob: Path) -> Iterator[Callable[[int], bytes]]:
    """What an archive unpacks to, as a function that reads it; ArchiveFormatError where it is broken."""
    with blob.open("rb") as stream:
        magic = stream.read(4)
        stream.seek(0)
        plain: Any
        broken: tuple[type[Exception], ...]
        if magic[:2] == b"\x1f\x8b":
            import gzip

            plain, broken = gzip.GzipFile(fileobj=stream), (gzip.BadGzipFile, zlib.error, EOFError)
        elif magic == b"\x28\xb5\x2f\xfd":
            import zstandard

            plain = zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(stream)
            broken = (zstandard.ZstdError,)
        else:
            raise ArchiveFormatError("neither gzip nor zstd")

        def read(count: int) -> bytes:
            try:
                return bytes(plain.read(count))
            except broken as error:
                raise ArchiveFormatError(str(error)) from error

        with plain:
            yield read


def _bad(name: str, what: str) -> IntegrityError:
    return IntegrityError(f"{name} {what}", reference="bad-archive")
