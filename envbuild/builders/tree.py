"""A folder as its canonical tar: the bytes by which a source folder is known, and from which it is built.

An edit gives other bytes, and so does a name, a link's target or the executable bit; a touch, an owner, another mask
or another machine does not. The folder is only read. What is packed is what ``listing`` says, and links must stay
inside, for the tar is unpacked where nothing else of the folder's surroundings is.

Rules of the file: streaming; no file is held in memory.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from envbuild.builders.canonical_tar import CanonicalTar
from envbuild.builders.links import stays_inside
from envbuild.builders.listing import AskGit, source_files
from envbuild.digest import CHUNK
from envbuild.errors import InvalidInput


def stream_folder(folder: Path, write: Callable[[bytes], object], ask: AskGit) -> None:
    """Give the canonical tar of what version control does not ignore in a folder.

    Args:
        folder: The folder.
        write: Gets the bytes, in pieces.
        ask: Runs git, without a network.

    Raises:
        UnreachableError: ``no-folder`` when it is not there or cannot be read.
        InvalidInput: ``bad-source`` for what no archive of a source may hold, and for a folder that changes meanwhile.
        BuildError: ``git-failed``.
    """
    names = source_files(folder, ask)
    if not names:
        raise InvalidInput(
            f"{folder} holds no source: {'all that is in it is ignored' if any(folder.iterdir()) else 'it is empty'}",
            reference="bad-source",
            hint="name the folder with the project's pyproject.toml, or look at .gitignore",
        )
    links = {name: str((folder / name).readlink()) for name in names if (folder / name).is_symlink()}
    tar = CanonicalTar(write)
    for name in names:
        if name in links:
            if not stays_inside(name, links):
                raise InvalidInput(
                    f"{folder / name} is a link that leads out of its folder",
                    reference="bad-source",
                    hint="name it in .gitignore, or put a copy in its place",
                )
            tar.add_link(name, links[name])
        else:
            _add_file(tar, folder, name)
    tar.close()


def _add_file(tar: CanonicalTar, folder: Path, name: str) -> None:
    try:
        descriptor = os.open(folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise InvalidInput(f"{folder / name} cannot be read: {error.strerror}", reference="bad-source") from error
    with os.fdopen(descriptor, "rb", buffering=0) as stream:
        state = os.fstat(descriptor)
        if not stat.S_ISREG(state.st_mode):
            raise InvalidInput(
                f"{folder / name} is not a file", reference="bad-source", hint="remove it, or name it in .gitignore"
            )
        tar.add_file(name, state.st_size, _pieces(stream.read), executable=bool(state.st_mode & stat.S_IXUSR))


def _pieces(read: Callable[[int], bytes]) -> Iterator[bytes]:
    while piece := read(CHUNK):
        yield piece
