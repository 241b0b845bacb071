"""What an environment has that steps stand on by name or pathspec: it decides what Metaflow's own needs add to it.

Rules of the file: wires; asks once for each base of a launch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from envbuild.errors import EnvbuildError
from envbuild.metaflow.writing import Standing

if TYPE_CHECKING:
    from envbuild.metaflow.asked import Base
    from envbuild.metaflow.launching import Launch

SOURCES = {"name": "name", "pathspec": "step"}
"""The kind of a base, and what a SOURCE of it begins with."""


class Bases:
    """The bases of a flow that are environments.

    Args:
        launch: The flow.
    """

    def __init__(self, launch: Launch) -> None:
        self._launch = launch
        self._known: dict[Base, Standing] = {}

    def __call__(self, base: Base) -> Standing:
        """What a base has, on this machine's platform if it is for that.

        Raises:
            EnvbuildError: When there is none, told of the decorator that names it.
        """
        if base not in self._known:
            try:
                shown = self._launch.session([]).show(f"{SOURCES[base.kind]}:{base.text}")
            except EnvbuildError as error:
                if base.by is not None:
                    error.message = f"{base.by}: {error.message}"
                    error.where = self._launch.locate(base.by).where
                raise
            found = shown.environment
            self._known[base] = Standing(interpreter=found.interpreter, packages=found.names())
        return self._known[base]
