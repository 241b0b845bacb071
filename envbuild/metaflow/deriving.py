"""What an environment was derived from: its closure does not say, the lock that it was made in does.

Rules of the file: looks at the locks of this project that runs and commands have made; reads only those that hold it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from envbuild.errors import EnvbuildError
from envbuild.projects.recipe_files import LINKS, recipe_of
from envbuild.value import replace

if TYPE_CHECKING:
    from envbuild.environments.state_verbs import State
    from envbuild.projects.project import Project


def with_bases(project: Project, state: State) -> State:
    """The same with what it was derived from, where a lock of this project says so.

    Args:
        project: Where it is looked for.
        state: Of an environment that a name, an id or a step means.
    """
    from pathlib import Path

    from envbuild.locks.locking import read_lock

    if state.bases:
        return state
    folder = project.root / LINKS
    for file in sorted((*folder.glob("environments/*.lock.yaml"), *folder.glob("flows/*/*.lock.yaml"))):
        try:
            if state.request.encode() not in file.read_bytes():
                continue
            lock = read_lock(Path(recipe_of(str(file))))
        except (OSError, EnvbuildError):
            continue
        if lock is None or not lock.bases or lock.request != state.request:  # it may name the request as its base's
            continue
        if any(part.id == state.environment for part in lock.platforms):
            return replace(state, bases=tuple(base.path for base in lock.bases))
    return state
