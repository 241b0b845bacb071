"""Virtual environments: uv makes one for a Python, and those after it are copies.

A virtual environment without packages is a dozen small files that hold its own path; to start uv for them takes as long
as to copy them ten times. So the first is remembered as one document, by a name that tells all that it depends on: the
Python's file, uv's file, and the folder that all of them are made in. A copy differs in the rest of the path only,
plain text that no shell's quoting has altered.

Rules of the file: what cannot be read whole was never remembered.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from envbuild.digest import digest_bytes, sealed, unsealed
from envbuild.linkers.wheels import run_uv
from envbuild.machine.uv_program import uv_program

if TYPE_CHECKING:
    from envbuild.derivations import Context

PROMPT = "envbuild"
"""What the environment's own ``activate`` shows: one word for all, for a prefix does not know what people call it."""

_FORM = "1"
"""Raised when what is remembered is written another way."""


def make_venv(prefix: Path, python: str, context: Context) -> None:
    """A virtual environment on a Python of this machine; its scripts still hold this path.

    Args:
        prefix: The folder to make, in a scratch folder of its own.
        python: The executable, by its real path.
        context: For processes and what is remembered.

    Raises:
        BuildError: ``link-failed`` with uv's words.
    """
    memory = context.engine_cache("venvs") / _name(prefix, python)
    if _copy(memory, prefix):
        return
    run_uv(["venv", "--python", python, "--prompt", PROMPT, str(prefix)], context, prefix.parent)
    _remember(memory, prefix)


def ready_venv(python: str, context: Context) -> None:
    """Have the first virtual environment on a Python made and remembered, while packages are still on their way."""
    with context.scratch() as folder:
        prefix = folder / "prefix"
        if not (context.engine_cache("venvs") / _name(prefix, python)).exists():
            with context.lock("venvs"):  # the preparations of one link begin together
                make_venv(prefix, python, context)


def _name(prefix: Path, python: str) -> str:
    program = uv_program()
    told = [_FORM, PROMPT, str(prefix.parent.parent), python, _state(python), program, _state(program)]
    return f"{digest_bytes(chr(10).join(told).encode())}.json"


def _state(path: str) -> str:
    """What changes when a file is another one."""
    status = os.stat(path)  # noqa: PTH116  a name of uv's or the system's, as it is
    return f"{status.st_dev} {status.st_ino} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"


def _tail(prefix: Path) -> str:
    """The part of the path that is another one each time."""
    return f"{prefix.parent.name}/{prefix.name}"


def _remember(memory: Path, prefix: Path) -> None:
    """Keep a fresh virtual environment; without it the next is made by uv again."""
    tree = []
    for path in sorted(prefix.rglob("*")):
        place = str(path.relative_to(prefix))
        if path.is_symlink():
            tree.append([place, "link", 0, str(path.readlink())])
        elif path.is_dir():
            tree.append([place, "folder", path.stat().st_mode & 0o777, ""])
        else:
            tree.append([place, "file", path.stat().st_mode & 0o777, path.read_bytes().decode("latin-1")])
    document = json.dumps({"tail": _tail(prefix), "tree": tree}).encode()
    fresh = memory.with_name(f".{prefix.parent.name}-{memory.name}")
    with suppress(OSError):
        fresh.write_bytes(sealed(document))
        fresh.replace(memory)


def _copy(memory: Path, prefix: Path) -> bool:
    """Make what is remembered at another place; False when nothing is."""
    try:
        known = json.loads(unsealed(memory.read_bytes()))
        before, tree = (
            known["tail"].encode(),
            [(str(place), kind, mode, text) for place, kind, mode, text in known["tree"]],
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
    now = _tail(prefix).encode()
    prefix.mkdir()
    for place, kind, mode, text in tree:
        path = prefix / place
        if kind == "link":
            path.symlink_to(text)
            continue
        if kind == "folder":
            path.mkdir()
        else:
            path.write_bytes(text.encode("latin-1").replace(before, now))
        path.chmod(mode)
    return True
