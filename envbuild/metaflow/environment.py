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

from envbuild.metaflow.names import AWAY, INTERNAL, TOLD


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
        self._away: dict = {}  # type: ignore[type-arg]
        self._back: dict = {}  # type: ignore[type-arg]
        self.root = ""
        self.spins = False

    def validate_environment(self, echo: Any, datastore_type: str) -> None:
        self._datastore_type = datastore_type

    def decospecs(self) -> tuple:  # type: ignore[type-arg]
        return (INTERNAL, *super().decospecs())

    def init_environment(self, echo: Any, only_steps: Any = None) -> None:
        _refuse_inside(self.TYPE)
        from envbuild.metaflow.launching import launched

        if not self._entrances and not self._away:  # packaging asks again
            found = launched(self._flow, self._datastore_type, self.root, echo, spins=self.spins)
            self._entrances, self._away, self._back = found

    def enter(self, step: str, cli_args: Any, datastore: Any, failed: bool) -> None:
        """Let a task that is about to start run in its step's environment.

        Args:
            step: The step.
            cli_args: Metaflow's, of the task.
            datastore: The flow's.
            failed: Whether all attempts of the step's own code have failed: this one runs here.
        """
        entrance = self._entrances.get(step) or (self._back.get(step) if failed else None)
        if entrance is None:
            cli_args.env[TOLD] = ""
            if step in self._away:
                cli_args.env[AWAY] = json.dumps(self._away[step])
            return
        if hasattr(entrance, "command"):  # one that is looked up when the task starts
            before = entrance.command(cli_args, _of_run(cli_args, datastore), sorted(cli_args.env))
            cli_args.entrypoint[:] = [*before, *cli_args.entrypoint[1:]]
            return
        if "PATH" in cli_args.env:  # of @environment; the environment's programs come first all the same
            cli_args.env["PATH"] = os.path.dirname(entrance.python) + os.pathsep + cli_args.env["PATH"]  # noqa: PTH120
        for name, value in entrance.variables:
            cli_args.env.setdefault(name, value)  # what @environment says of the step is nearer
        cli_args.entrypoint[:] = [*entrance.before, entrance.python, *cli_args.entrypoint[1:]]

    def executable(self, step_name: str, default: Any = None) -> Any:
        if TOLD in os.environ and current.is_running_flow:  # a task that starts others of its step
            return sys.executable
        if default is None and self._is_away(step_name) and self._known(step_name)["step"]:
            from envbuild.metaflow.remote import EXECUTABLE

            return EXECUTABLE
        return super().executable(step_name, default)

    def _is_away(self, step: str) -> bool:
        return step in self._away or AWAY in os.environ

    def _known(self, step: Any = None) -> Any:
        """What the launching process knows of a step on another machine, or of any."""
        if AWAY in os.environ:
            return json.loads(os.environ[AWAY])
        if not self._away:
            raise InvalidEnvironmentException("no step of this flow was sent to another machine")
        return self._away[step] if step is not None else next(iter(self._away.values()))

    def bootstrap_commands(self, step_name: str, datastore_type: str) -> Any:
        from envbuild.metaflow.remote import OUTSIDE, enter_command

        known = self._known(step_name)
        if not known["step"]:
            return [OUTSIDE, super()._get_install_dependencies_cmd(datastore_type)]
        return [enter_command(known["step"])]

    def _get_install_dependencies_cmd(self, datastore_type: str) -> Any:
        from envbuild.metaflow.remote import tools_command

        known = self._known()
        return tools_command(known["store"], known["first"], enters=bool(known["step"]))

    def _get_download_code_package_cmd(self, code_package_url: str, datastore_type: str) -> Any:
        from envbuild.metaflow.away import package_address
        from envbuild.metaflow.remote import package_command

        return package_command(package_address(code_package_url, datastore_type))

    def get_package_commands(
        self, code_package_url: str, datastore_type: str, code_package_metadata: Any = None
    ) -> Any:
        from envbuild.metaflow.remote import patient

        commands = super().get_package_commands(code_package_url, datastore_type, code_package_metadata)
        return patient(commands, self._get_download_code_package_cmd(code_package_url, datastore_type))

    def add_to_package(self) -> Any:
        from metaflow.packaging_sys import ContentType

        from envbuild.metaflow.importable import of_tasks

        return [(path, name, ContentType.CODE_CONTENT) for path, name in of_tasks()]

    def pylint_config(self) -> Any:
        return [*super().pylint_config(), "--disable=F0401"]  # what a step imports is not here

    @classmethod
    def get_client_info(cls, flow_name: str, metadata: Any) -> Any:
        from envbuild.metaflow.client_info import client_info

        return client_info(cls.TYPE, flow_name, metadata)


def _of_run(cli_args: Any, datastore: Any) -> Any:
    """The datastore of a task's run: that of a spun one is where its step ran before, ``type@root``."""
    words = getattr(cli_args, "orig_flow_datastore", None)
    if not words:
        return datastore
    from metaflow.datastore import FlowDataStore
    from metaflow.plugins import DATASTORES

    kind, _, root = words.partition("@")
    found = next(item for item in DATASTORES if kind == item.TYPE)
    return FlowDataStore(cli_args.task.flow.name, environment=None, storage_impl=found, ds_root=root)


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
