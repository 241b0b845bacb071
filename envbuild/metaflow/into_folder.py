"""``create --into-dir``: the code of a past step, and a program that starts Python in its environment, in one folder.

::

    DIR/flow.py …        the code package of the run, where it has one
    DIR/python           starts the environment's Python, activated, with this folder and Metaflow importable
    DIR/.environment ->  the prefix: a root, so that ``gc`` keeps it as long as the folder is there

Rules of the file: nothing is written before everything that can fail has been looked at.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envbuild.environments.starting import start_program
from envbuild.errors import InvalidInput, NameConflictError, NoSpaceError
from envbuild.projects.checkout import replace_file

if TYPE_CHECKING:
    from envbuild.environments.realized import Realized

START = "python"
LINK = ".environment"


def check_folder(folder: Path, *, force: bool) -> None:
    """Refuse a folder that holds something.

    Raises:
        NameConflictError: ``folder-exists``.
    """
    empty = not os.path.lexists(folder) or (folder.is_dir() and not any(folder.iterdir()))
    if not empty and not (force and folder.is_dir()):
        raise NameConflictError(
            f"{folder} is there and not empty",
            reference="folder-exists",
            hint="another folder, or --force: files of the same names are replaced",
        )


def code_of(source: str, *, strict: bool, say: Callable[[str], None]) -> Any:
    """The code package of the step that a source names; None where there is none.

    Args:
        source: ``step:Flow/run/step`` for one that has code at all.
        strict: Whether it has to be there.
        say: Told when it is not.

    Raises:
        InvalidInput: ``no-code-package`` when it has to be there.
    """
    from metaflow import Run, Step, namespace

    code = None
    if source.startswith("step:"):
        pathspec = source.removeprefix("step:")
        flow, run, *rest = pathspec.split("/")
        namespace(None)
        try:
            step = Step("/".join((flow, run, *rest[:1])), _namespace_check=False)
            code = step.task.code or Run(f"{flow}/{run}", _namespace_check=False).code
        except Exception as error:
            raise InvalidInput(f"{pathspec}: {error}", reference="unknown-step") from None
    if code is None:
        words = (
            "has no code package: Metaflow keeps one of runs with steps on other machines"
            if source.startswith("step:")
            else "is no step of a run, and has no code"
        )
        if strict:
            raise InvalidInput(f"{source} {words}", reference="no-code-package", hint="leave --strict out")
        say(f"note: {source} {words}; the folder gets the environment alone")
    return code


def fill(folder: Path, realized: Realized, code: Any, search: Sequence[str]) -> None:
    """Put the code there, the program that starts Python, and the link that keeps the environment.

    Args:
        folder: New, empty, or one whose files may be replaced.
        realized: The environment.
        code: Metaflow's code package, or None.
        search: What goes first on ``PYTHONPATH``.

    Raises:
        NoSpaceError: When the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if code is not None:
            _extract(code, folder)
        start = folder / START
        text = start_program(realized.prefix, dict(realized.variables), realized.name, search=search)
        replace_file(start, text.encode())
        start.chmod(0o755)
    except OSError as error:
        raise NoSpaceError(f"{folder}: {error.strerror}", reference="no-folder") from None


def _extract(code: Any, folder: Path) -> None:
    """The files of the package, each into its place."""
    with code.extract() as extracted:
        for place, _, names in os.walk(extracted):
            inside = folder / os.path.relpath(place, extracted)
            inside.mkdir(parents=True, exist_ok=True)
            for name in names:
                shutil.move(os.path.join(place, name), inside / name)  # noqa: PTH118  text to text
