"""``--environment=envbuild`` (and ``conda`` and ``pypi``): what Metaflow asks of an environment.

Where a flow is launched, ``init_environment`` makes the environments of all steps exist, once for the run; each task
that starts is then told where it runs, which costs nothing. Inside of a task nothing of this happens.

Rules of the file: imported inside of steps too; what only launching needs is imported by ``init_environment``.
"""

# ruff: noqa: D102  hooks have the contract of Metaflow's base class

from __future__ import annotations

import json
import os
import sys
from importlib.util import find_spec
from typing import Any

from metaflow.metaflow_current import current
from metaflow.metaflow_environment import InvalidEnvironmentException, MetaflowEnvironment

from envbuild.metaflow.names import FIELD, INTERNAL, TOLD


class EnvbuildEnvironment(MetaflowEnvironment):
    """Steps run in environments that their decorators describe.

    Args:
        flow: The flow.
    """

    TYPE = "envbuild"

    def __init__(self, flow: Any) -> None:
        super().__init__(flow)
        self._flow = flow
        self._datastore_type = "local"
        self._entrances: dict = {}  # type: ignore[type-arg]

    def validate_environment(self, echo: Any, datastore_type: str) -> None:
        self._datastore_type = datastore_type

    def decospecs(self) -> tuple:  # type: ignore[type-arg]
        return (INTERNAL, *super().decospecs())

    def init_environment(self, echo: Any, only_steps: Any = None) -> None:
        _refuse_inside(self.TYPE)
        from envbuild.metaflow.launching import entrances

        self._entrances = entrances(self._flow, self._datastore_type, echo)

    def enter(self, step: str, cli_args: Any) -> None:
        """Let a task that is about to start run in its step's environment."""
        entrance = self._entrances.get(step)
        if entrance is None:
            cli_args.env[TOLD] = ""
            return
        for name, value in entrance.variables:
            cli_args.env.setdefault(name, value)  # what @environment says of the step is nearer
        cli_args.entrypoint[:] = [*entrance.before, entrance.python, *cli_args.entrypoint[1:]]

    def executable(self, step_name: str, default: Any = None) -> Any:
        if TOLD in os.environ and current.is_running_flow:  # a task that starts others of its step
            return sys.executable
        return super().executable(step_name, default)

    def bootstrap_commands(self, step_name: str, datastore_type: str) -> Any:
        raise InvalidEnvironmentException(
            "step %s would run on another machine, where --environment=%s does not reach yet"  # noqa: UP031
            % (step_name, self.TYPE)
        )

    def pylint_config(self) -> Any:
        return [*super().pylint_config(), "--disable=F0401"]  # what a step imports is not here

    @classmethod
    def get_client_info(cls, flow_name: str, metadata: Any) -> Any:
        told = metadata.get(FIELD)
        return {"type": cls.TYPE, **(json.loads(told) if told else {})}


def _refuse_inside(kind: str) -> None:
    """A step sees of envbuild what a task needs; launching takes what only an installed one brings along."""
    if os.environ.get(TOLD) and (sys.version_info < (3, 10) or find_spec("rattler") is None):
        raise InvalidEnvironmentException(
            f"--environment={kind} cannot start a flow inside of a step's environment, where envbuild is not "
            "installed: start it from a step with disabled=True, or let the step have the package envbuild[metaflow]"
        )


class CondaEnvironment(EnvbuildEnvironment):
    """The same under the name of Metaflow's own."""

    TYPE = "conda"


class PypiEnvironment(EnvbuildEnvironment):
    """The same under the name of Metaflow's own."""

    TYPE = "pypi"
