"""``emit``: the recipes of a flow go into the checkout, each with its lock.

Rules of the file: wires.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from envbuild.metaflow.emitting import committed_folder, emit, names_in
from envbuild.projects.project import shown_path

if TYPE_CHECKING:
    from envbuild.metaflow.launching import Launch


def emit_locked(launch: Launch, folder: Path | None) -> list[str]:
    """Write the recipes and locks of a flow.

    Args:
        launch: The flow.
        folder: Where to; None for where runs look.

    Returns:
        The recipes, as people see them.

    Raises:
        EnvbuildError: When one cannot be written, or has no solution; recipes without locks stay then, to be looked at.
    """
    from envbuild.machine.virtual import current_platform

    home = committed_folder(launch.project, launch.flow)
    chosen = folder or home
    written = emit(launch.project, launch.flow, launch.surroundings, chosen, current_platform(), launch.locate)
    files = [file for file, _ in written]
    session = launch.session([chosen])
    for file, locked in zip(files, session.lock(*files), strict=True):
        new = dict(written)[file]
        launch.echo(f"{'Wrote' if new else 'Kept'} {shown_path(file)}{', and its lock' if locked.written else ''}")
    for name in sorted(set(names_in(chosen)) - {file.stem for file in files}):
        launch.echo(f"note: {shown_path(chosen / name)}.yaml belongs to no step any more: remove it, and its lock")
    if os.path.normpath(chosen) != os.path.normpath(home):
        launch.echo(f"note: runs look in {shown_path(home)} only")
    return [shown_path(file) for file in files]
