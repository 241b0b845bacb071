"""Git asked for names of files in a folder of the user: the one question put to a repository that is not ours.

The repository may be anybody's, so its configuration runs nothing here: no hooks, no file system monitor, no filters
(listing needs none). Whose the folder is does not matter then. The user's own ignore rules count, for what they make
git overlook is not meant to be seen.

Rules of the file: nothing is written into the folder; no network.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from envbuild.builders.listing import AskGit
from envbuild.errors import BuildError
from envbuild.machine.process import clean_environment, run

_SETTINGS = ("core.hooksPath=/dev/null", "core.fsmonitor=false", "safe.directory=*", "submodule.recurse=false")
_VARIABLES = {"LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", "GIT_NO_LAZY_FETCH": "1", "GIT_TERMINAL_PROMPT": "0"}
_SILENT = 'exec "$@" 2>/dev/null'
_LARGEST = 1 << 30
"""Bytes of names."""
_TIMEOUT = 600.0


def names_by_git(environ: Mapping[str, str]) -> AskGit:
    """The function that ``envbuild.builders.listing`` asks.

    Args:
        environ: This process's environment.
    """

    def ask(arguments: Sequence[str], folder: Path) -> bytes | None:
        program = shutil.which("git", path=environ.get("PATH"))
        if program is None:
            return None
        clean = clean_environment(environ, network=False) | _VARIABLES
        if "XDG_CONFIG_HOME" in environ:
            clean["XDG_CONFIG_HOME"] = environ["XDG_CONFIG_HOME"]
        command = [program, *(word for setting in _SETTINGS for word in ("-c", setting)), *arguments]
        with tempfile.TemporaryDirectory(prefix="envbuild-") as temporary:
            out = Path(temporary) / "names"
            done = run(
                ["/bin/sh", "-c", _SILENT, "sh", *command],
                environ=clean,
                cwd=folder,
                timeout=_TIMEOUT,
                log=out,
                log_limit=_LARGEST,
            )
            if done.returncode == 0:
                return out.read_bytes()
        said = run(command, environ=clean, cwd=folder, timeout=_TIMEOUT).tail.strip().splitlines()
        raise BuildError(
            f"git cannot list {folder}: {said[-1] if said else 'it ended without a word'}", reference="git-failed"
        )

    return ask
