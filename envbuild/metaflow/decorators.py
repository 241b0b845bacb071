"""The decorators as Metaflow knows them: they carry what a flow says, and one of them lets a step enter.

``@conda``, ``@pypi`` and the others hold attributes until the flow is launched, when
``envbuild.metaflow.collecting`` reads them. ``envbuild_internal``, which the environment puts on every step, does what
has to be done for a task: where it starts, its interpreter, and in it, its metadata.

Rules of the file: runs inside of steps, so nothing but Metaflow and ``names`` is imported, in words that every Python
that Metaflow runs on can read.
"""

# ruff: noqa: D102  hooks have the contract of Metaflow's base classes

from __future__ import annotations

import json
import os
from typing import Any, ClassVar

from metaflow.decorators import FlowDecorator, StepDecorator
from metaflow.metadata_provider import MetaDatum
from metaflow.metaflow_environment import InvalidEnvironmentException

from envbuild.metaflow.names import FIELD, INTERNAL, TOLD, TYPES


def _check(name: str, environment: Any) -> None:
    if environment.TYPE not in TYPES:
        raise InvalidEnvironmentException(
            "@%s needs one of %s" % (name, ", ".join("--environment=%s" % item for item in TYPES))  # noqa: UP031
        )


class RequirementStep(StepDecorator):
    """What a step asks for; a subclass names its attributes. Other extensions may subclass these."""

    allow_multiple = True

    def step_init(
        self,
        flow: Any,
        graph: Any,
        step_name: str,
        decorators: Any,
        environment: Any,
        flow_datastore: Any,
        logger: Any,
    ) -> None:
        _check(self.name, environment)


class RequirementFlow(FlowDecorator):
    """What all steps of a flow ask for."""

    allow_multiple = True

    def flow_init(
        self,
        flow: Any,
        graph: Any,
        environment: Any,
        flow_datastore: Any,
        metadata: Any,
        logger: Any,
        echo: Any,
        options: Any,
    ) -> None:
        _check(self.name, environment)


_NAMED = {"name": None, "pathspec": None, "fetch_at_exec": None}
_CONDA = {
    "packages": None,
    "libraries": None,
    "channels": None,
    "python": None,
    "disabled": None,
    "bytecode": None,
    "pip_packages": None,
    "pip_sources": None,
    **_NAMED,
}
_PYPI = {
    "packages": None,
    "extra_indices": None,
    "python": None,
    "disabled": None,
    "bytecode": None,
    "sources": None,
    **_NAMED,
}
_RECIPE = {"path": None}


class CondaStep(RequirementStep):
    """conda packages of a step, over those of ``@conda_base``.

    ``libraries={"numpy": "1.26.*"}``, ``channels``, ``python``, ``bytecode``, ``disabled``.
    """

    name = "conda"
    defaults: ClassVar[dict] = _CONDA  # type: ignore[type-arg]


class CondaFlow(RequirementFlow):
    """conda packages of all steps; see ``@conda``."""

    name = "conda_base"
    defaults: ClassVar[dict] = _CONDA  # type: ignore[type-arg]


class PypiStep(RequirementStep):
    """PyPI packages of a step, over those of ``@pypi_base``.

    ``packages={"rich": ">=13"}``, ``extra_indices``, ``python``, ``bytecode``, ``disabled``.
    """

    name = "pypi"
    defaults: ClassVar[dict] = _PYPI  # type: ignore[type-arg]


class PypiFlow(RequirementFlow):
    """PyPI packages of all steps; see ``@pypi``."""

    name = "pypi_base"
    defaults: ClassVar[dict] = _PYPI  # type: ignore[type-arg]


class PipStep(PypiStep):
    """The old name of ``@pypi``."""

    name = "pip"


class PipFlow(PypiFlow):
    """The old name of ``@pypi_base``."""

    name = "pip_base"


class NamedStep(RequirementStep):
    """A named environment for a step: ``name="team/train:v1"``; together with ``@conda`` or ``@pypi`` what they add."""

    name = "named_env"
    defaults: ClassVar[dict] = _NAMED  # type: ignore[type-arg]


class NamedFlow(RequirementFlow):
    """A named environment for all steps; see ``@named_env``."""

    name = "named_env_base"
    defaults: ClassVar[dict] = _NAMED  # type: ignore[type-arg]


class RecipeStep(RequirementStep):
    """The recipe of a step's environment: ``path="recipes/train.yaml"``, from the flow's folder."""

    name = "recipe"
    defaults: ClassVar[dict] = _RECIPE  # type: ignore[type-arg]


class RecipeFlow(RequirementFlow):
    """The recipe of all steps' environment; see ``@recipe``."""

    name = "recipe_base"
    defaults: ClassVar[dict] = _RECIPE  # type: ignore[type-arg]


class InternalStep(StepDecorator):
    """Lets the tasks of a step enter its environment; put on every step, never written by hand."""

    name = INTERNAL

    def step_init(
        self,
        flow: Any,
        graph: Any,
        step_name: str,
        decorators: Any,
        environment: Any,
        flow_datastore: Any,
        logger: Any,
    ) -> None:
        _check(self.name, environment)
        self._step = step_name
        self._environment = environment
        self._datastore = flow_datastore
        environment.root = getattr(flow_datastore, "datastore_root", None) or ""
        environment.spins = getattr(flow_datastore, "TYPE", None) == "spin"

    def runtime_step_cli(self, cli_args: Any, retry_count: int, max_user_code_retries: int, ubf_context: Any) -> None:
        self._environment.enter(self._step, cli_args, self._datastore, retry_count > max_user_code_retries)

    def task_pre_step(
        self,
        step_name: str,
        task_datastore: Any,
        metadata: Any,
        run_id: str,
        task_id: str,
        flow: Any,
        graph: Any,
        retry_count: int,
        max_user_code_retries: int,
        ubf_context: Any,
        inputs: Any,
    ) -> None:
        told = os.environ.get(TOLD)
        if not told or json.loads(told)["step"] != "%s/%s" % (flow.name, step_name):  # noqa: UP031
            return
        tags = ["attempt_id:%d" % retry_count]  # noqa: UP031
        metadata.register_metadata(
            run_id, step_name, task_id, [MetaDatum(field=FIELD, value=told, type=FIELD, tags=tags)]
        )

    def task_post_step(
        self, step_name: str, flow: Any, graph: Any, retry_count: int, max_user_code_retries: int
    ) -> None:
        from envbuild.metaflow.card import show

        told = os.environ.get(TOLD)
        if told:
            show(told)
