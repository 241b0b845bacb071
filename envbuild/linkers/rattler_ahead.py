"""py-rattler's process gets ready while the command line is still being loaded.

Starting it takes as long as all that is done here until its first job is known, so what it starts earlier a link ends
earlier. A ``realize`` that has nothing to do must not pay for it: where the recipe's link in ``.envs`` leads to an
environment, or there may be none, nothing is started here, and ``cli.realize`` decides, which knows more.

Rules of the file: a courtesy, decided by looking at names alone; whatever is wrong here is met again, and said.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

_UNSURE = {"--help", "-h", "--dry-run", "--prefix", "--out-link", "--no-out-link"}
"""With these nothing is linked, or somewhere else."""


def start_for(arguments: Sequence[str]) -> None:
    """Start the process where the first recipe has a lock with conda packages, and no environment yet.

    Args:
        arguments: Those of the command line behind ``realize``.
    """
    if any(each.partition("=")[0] in _UNSURE for each in arguments):
        return
    recipe = next((each for each in arguments if each.endswith((".yaml", ".yml"))), "")
    stem = os.path.abspath(recipe.removeprefix("recipe:")).rpartition(".")[0]
    try:
        with open(f"{stem}.lock.yaml", "rb") as stream:  # noqa: PTH123  pathlib is loaded later
            linked = b"\n    conda:\n" in stream.read()
    except (OSError, ValueError):
        return
    if linked and not _is_there(stem):
        from envbuild.linkers import rattler_process

        rattler_process.start()


def _is_there(stem: str) -> bool:
    """Whether a link of this name leads to an environment, in the recipe's folder or one above, each a project or not.

    A recipe in a folder of the project has the folders' names before its own, with dots.
    """
    folder, name = os.path.split(stem)
    names = [name]
    while True:
        if any(os.path.isdir(os.path.join(folder, ".envs", each)) for each in names):  # noqa: PTH112, PTH118
            return True
        folder, last = os.path.split(folder)
        if not last:
            return False
        names.append(f"{last}.{names[-1]}")
