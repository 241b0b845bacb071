"""Conda packages in a prefix whose Python is not conda's.

rattler wants a folder that is its own, and so do a virtual environment and an interpreter's archive. So the conda
packages are linked apart, for the same final path, and then moved in, file by file. Where both have a path, that of the
Python stays: an environment must keep its interpreter whole, and what both have (a terminal description, a copy of a
licence) is the same in all that matters. It is said.

Rules of the file: moves inside one file system; reads nothing of what it moves.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from envbuild.package import CondaPackage, Platform

if TYPE_CHECKING:
    from envbuild.derivations import Context
    from envbuild.linkers.clobber import CondaFiles

_SHOWN = 3


def link_beside(
    packages: Sequence[tuple[Path, CondaPackage]], prefix: Path, final: Path, platform: Platform, context: Context
) -> CondaFiles:
    """Link conda packages into a prefix that already has a Python.

    Args:
        packages: Verified files with what the lock says about each.
        prefix: The folder as it is now; its parent is scratch.
        final: The path that it will have.
        platform: The prefix's platform.
        context: For the engine, and to say which files stayed.

    Returns:
        Each conda package's paths in the prefix.

    Raises:
        IntegrityError: As ``link_conda``; so is ``BuildError``.
        NoSpaceError: The disk is full.
    """
    from envbuild.linkers.conda import link_conda

    apart = prefix.parent / "conda"
    linked = link_conda(packages, apart, final, platform, context)
    stayed = sorted(move_into(apart, prefix))
    shutil.rmtree(apart)
    if stayed:
        named = ", ".join(stayed[:_SHOWN]) + (" …" if len(stayed) > _SHOWN else "")
        files = "file" if len(stayed) == 1 else "files"
        context.note(f"{len(stayed)} {files} of conda packages gave way to those of the Python: {named}")
    return linked


def move_into(source: Path, target: Path) -> Iterator[str]:
    """Move a tree's files into another tree; what is there already stays.

    Returns:
        The paths, relative to both, that were there already.
    """
    folders = [""]
    while folders:
        parent = folders.pop()
        for entry in list(os.scandir(source / parent)):
            path = f"{parent}{entry.name}"
            there = target / path
            if entry.is_dir(follow_symlinks=False) and (there.is_dir() or not os.path.lexists(there)):
                if not os.path.lexists(there):
                    os.rename(entry.path, there)  # noqa: PTH104  a whole folder at once
                else:
                    folders.append(f"{path}/")
            elif os.path.lexists(there):
                yield path
            else:
                os.rename(entry.path, there)  # noqa: PTH104
