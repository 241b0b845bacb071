"""Jupyter kernels that run in an environment: folders that every Jupyter of this user finds.

::

    <jupyter's data>/kernels/train/kernel.json     what Jupyter reads; says who made it, and of what
                                   start           activates the environment and becomes its kernel
                                   environment ->  the prefix: a root, so that ``gc`` keeps it as long as this is there
                                   recipe.yaml     the environment with ipykernel, where it had none; and its lock

Whoever removes the folder, also with Jupyter's own command, lets the prefix go.

Rules of the file: reads and writes these folders; what is in a prefix is the caller's.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from envbuild.environments.starting import start_program
from envbuild.errors import InvalidInput, NameConflictError, NoSpaceError
from envbuild.pattern import pattern
from envbuild.projects.checkout import replace_file
from envbuild.value import dataclass

_NAME = pattern(r"[a-z0-9][a-z0-9._-]{0,63}")
_LARGEST = 1 << 20
_FILES = {"recipe.yaml", "recipe.lock.yaml", "environment", "start"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """A kernel that envbuild installed.

    Attributes:
        display: What Jupyter shows.
        source: What was named when it was installed.
        request: Of the environment that it runs in; ``environment`` likewise.
        base: The environment that was named, ``REQUEST:ENVIRONMENT``; the same one when ipykernel was in it.
        prefix: Its folder; None when it is not there any more.
    """

    name: str
    folder: Path
    display: str
    source: str
    platform: str
    request: str
    environment: str
    base: str
    prefix: Path | None


def kernel_name(text: str) -> str:
    """A name as Jupyter takes it.

    Raises:
        InvalidInput: ``bad-kernel-name``.
    """
    if not _NAME.fullmatch(text):
        raise InvalidInput(
            f"{text[:80]!r} is no name for a kernel",
            reference="bad-kernel-name",
            hint="a lower-case word of a-z, 0-9, `.`, `_` and `-`: --name train",
        )
    return text


def name_of(source: str) -> str:
    """What a kernel is called when nobody says."""
    word = source.rpartition("/")[2].removesuffix(".yaml").removesuffix(".yml").removesuffix(".lock")
    return re.sub(r"[^a-z0-9._-]+", "-", word.lower()).strip("-._")[:64] or "envbuild"


def kernels_folder(environ: Mapping[str, str], prefix: Path | None = None) -> Path:
    """Where a user's kernels are, or those of everybody who uses a Python.

    Raises:
        NoSpaceError: ``no-home`` when nothing says where the user's home is.
    """
    if prefix is not None:
        return Path(os.path.abspath(prefix)) / "share" / "jupyter" / "kernels"
    if environ.get("JUPYTER_DATA_DIR"):
        return Path(environ["JUPYTER_DATA_DIR"]) / "kernels"
    home = environ.get("HOME")
    if sys.platform != "darwin" and environ.get("XDG_DATA_HOME"):
        return Path(environ["XDG_DATA_HOME"]) / "jupyter" / "kernels"
    if not home:
        raise NoSpaceError("HOME says no folder for kernels", reference="no-home", hint="--prefix DIR")
    data = ("Library", "Jupyter") if sys.platform == "darwin" else (".local", "share", "jupyter")
    return Path(home, *data, "kernels")


def read_kernel(folder: Path) -> Kernel | None:
    """The kernel of a folder; None when there is none, or it is not envbuild's."""
    try:
        with (folder / "kernel.json").open("rb") as stream:
            tree = json.loads(stream.read(_LARGEST))
        told = tree["metadata"]["envbuild"]
        texts = {key: str(told[key]) for key in ("source", "platform", "request", "environment", "base")}
        display = str(tree["display_name"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    prefix = Path(os.path.realpath(folder / "environment"))
    there = prefix if (prefix / "bin" / "python").exists() else None
    return Kernel(name=folder.name, folder=folder, display=display, prefix=there, **texts)


def kernels_in(folder: Path) -> tuple[Kernel, ...]:
    """The kernels of envbuild in a folder of kernels, by name."""
    if not folder.is_dir():
        return ()
    return tuple(kernel for item in sorted(folder.iterdir()) if (kernel := read_kernel(item)) is not None)


def check_free(folder: Path, *, force: bool) -> None:
    """Refuse a folder that is somebody else's, or that holds a kernel which may not be replaced.

    Raises:
        NameConflictError: ``kernel-exists``.
    """
    if not os.path.lexists(folder) or (folder.is_dir() and not any(folder.iterdir())):
        return
    mine = read_kernel(folder)
    if mine is None and _unfinished(folder):
        return
    if mine is None:
        raise NameConflictError(
            f"{folder} is there, and is no kernel of envbuild",
            reference="kernel-exists",
            hint="choose another name: --name",
        )
    if not force:
        raise NameConflictError(
            f"the kernel {folder.name} is there: {mine.source}",
            reference="kernel-exists",
            hint="--force replaces it, --name makes another one",
        )


def _unfinished(folder: Path) -> bool:
    """Whether a folder is what a killed install left: some of its files, and not the last one."""
    left = {item.name for item in folder.iterdir() if not item.name.endswith(".tmp")} if folder.is_dir() else {""}
    return left <= _FILES


def write_kernel(kernel: Kernel, variables: Mapping[str, str], search: tuple[str, ...] = ()) -> None:
    """Write what Jupyter starts, and last what it reads: a folder without it is no kernel.

    Args:
        kernel: Whose prefix is there.
        variables: The recipe's.
        search: Folders that go first on ``PYTHONPATH``.

    Raises:
        NoSpaceError: When the folder cannot be written.
    """
    assert kernel.prefix is not None
    start = kernel.folder / "start"
    told = {
        "source": kernel.source,
        "platform": kernel.platform,
        "request": kernel.request,
        "environment": kernel.environment,
        "base": kernel.base,
    }
    tree = {
        "argv": [str(start), "-f", "{connection_file}"],
        "display_name": kernel.display,
        "language": "python",
        "metadata": {"debugger": True, "envbuild": told},
    }
    try:
        arguments = ("-m", "ipykernel_launcher")
        text = start_program(kernel.prefix, variables, kernel.source, arguments=arguments, search=search)
        replace_file(start, text.encode())
        start.chmod(0o755)
        replace_file(kernel.folder / "kernel.json", (json.dumps(tree, indent=1, ensure_ascii=False) + "\n").encode())
    except OSError as error:
        raise NoSpaceError(f"{kernel.folder}: {error.strerror}", reference="no-kernel") from None


def remove_kernel(kernels: Path, name: str) -> Kernel:
    """Remove a kernel, and with it what keeps its environment.

    Args:
        kernels: The folder of kernels.
        name: Of the one that goes.

    Raises:
        InvalidInput: ``unknown-kernel`` when there is none, or it is not envbuild's.
        NoSpaceError: When it cannot be removed.
    """
    folder = kernels / name
    kernel = read_kernel(folder) if _NAME.fullmatch(name) else None
    if kernel is None:
        what = "is no kernel of envbuild" if _NAME.fullmatch(name) and folder.is_dir() else "is no kernel here"
        raise InvalidInput(
            f"{name[:80]} {what}", reference="unknown-kernel", hint="`envbuild kernel list` shows those there are"
        )
    try:
        (folder / "kernel.json").unlink()  # first: a half of a folder is no kernel
        shutil.rmtree(folder)
    except OSError as error:
        raise NoSpaceError(f"{folder}: {error.strerror}", reference="no-kernel") from None
    return kernel
