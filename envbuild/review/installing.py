"""Git told of locks: a line in ``.gitattributes``, which is committed, and settings of this clone, which are not.

::

    *.lock.yaml diff=envbuild-lock merge=envbuild-lock

The settings name this very envbuild by its whole path: git may run where no environment is active. It is started so
that the folder it is in gives it no modules, for that is somebody's repository. Where the program has gone, ``git
diff`` shows the lock as it is, and a merge is a conflict.

Rules of the file: writes what is missing or other, and says what; a second time there is nothing to do.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from envbuild.errors import NoSpaceError
from envbuild.projects.checkout import replace_file
from envbuild.projects.config_files import find_root
from envbuild.review.git import Repository
from envbuild.value import dataclass

DRIVER = "envbuild-lock"
LINE = f"*.lock.yaml diff={DRIVER} merge={DRIVER}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """What was done.

    Attributes:
        attributes: The file with the line.
        line: Whether the line was missing.
        settings: Names of git's settings, and whether each was written.
    """

    attributes: Path
    line: bool
    settings: tuple[tuple[str, bool], ...]


def install(folder: Path, environ: Mapping[str, str]) -> Installed:
    """Tell git.

    Args:
        folder: In a repository; the line goes to the project's root, where that is in the same repository.
        environ: For git.

    Raises:
        UsageError: ``no-repository``. NoSpaceError: when something cannot be written.
    """
    repository = Repository(folder, environ)
    top = repository.needed("git setting")
    root = find_root(folder)
    inside = Path(os.path.realpath(root)).is_relative_to(os.path.realpath(top))
    attributes = (root if inside else top) / ".gitattributes"  # the project may hold other repositories
    before = attributes.read_bytes() if attributes.is_file() else b""
    missing = LINE not in before.decode(errors="replace").splitlines()
    if missing:
        gap = b"" if not before or before.endswith(b"\n") else b"\n"
        replace_file(attributes, before + gap + LINE.encode() + b"\n")
    written = [(name, _set(repository, name, value)) for name, value in settings(program())]
    return Installed(attributes=attributes, line=missing, settings=tuple(written))


def settings(words: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Git's settings, for a program."""
    own = shlex.join(words)
    return (
        (f"diff.{DRIVER}.textconv", f'f() {{ {own} lock-textconv "$1" 2>/dev/null || cat "$1"; }}; f'),
        (f"merge.{DRIVER}.name", "two branches' locks as one (envbuild)"),
        (f"merge.{DRIVER}.driver", f"{own} lock-merge %O %A %B %P"),
        (f"merge.{DRIVER}.recursive", "binary"),
    )


def program() -> tuple[str, ...]:
    """This envbuild as git starts it: the installed script, else its module, without the working folder's modules."""
    script = Path(sys.executable).with_name("envbuild")
    if script.is_file():
        return (str(script),)
    return (sys.executable, "-P" if sys.version_info >= (3, 11) else "-I", "-m", "envbuild")


def _set(repository: Repository, name: str, value: str) -> bool:
    have = repository.ask("config", "--local", "--null", "--get", name)
    if have == value.encode() + b"\0":
        return False
    if repository.ask("config", "--local", "--replace-all", name, value) is None:
        raise NoSpaceError(f"git cannot write its setting {name}", reference="git-config")
    return True
