"""How a task starts in an environment that exists: its command, its variables, and what it is told.

Rules of the file: reads this process's variables, changes nothing.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from envbuild.environments.environment import command_in, environment_variables
from envbuild.metaflow.escape import outside
from envbuild.metaflow.importable import python_path
from envbuild.metaflow.names import TOLD
from envbuild.value import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Present:
    """An environment that exists.

    Attributes:
        variables: The recipe's.
    """

    prefix: Path
    name: str
    platform: str
    environment: str
    request: str
    variables: Mapping[str, str]
    python: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrance:
    """How a task of a step starts in its environment.

    Attributes:
        python: The interpreter.
        before: Words of the command before it.
        variables: What is set, over what this process sees.
    """

    python: str
    before: tuple[str, ...]
    variables: tuple[tuple[str, str], ...]


def entrance(present: Present, folder: Path, behind: Path, step: str) -> Entrance:
    """How tasks of a step enter an environment.

    Args:
        present: The environment.
        folder: What a step imports of Metaflow and envbuild, from ``importable``.
        behind: What it imports from outside of its environment, from ``escape``.
        step: The step, as ``Flow/step``.
    """
    now = dict(os.environ)
    wanted = environment_variables(present.prefix, present.variables, now, present.name)
    wanted |= outside(now)
    wanted["PYTHONPATH"] = python_path(folder, now.get("PYTHONPATH"), behind)
    wanted[TOLD] = _told(present, step)
    gone = [name for name in now if name not in wanted]
    env = [shutil.which("env") or "env", *(word for name in gone for word in ("-u", name))] if gone else []
    return Entrance(
        python=present.python,
        before=(*env, *command_in(present.prefix, [])),
        variables=tuple((name, value) for name, value in wanted.items() if now.get(name) != value),
    )


def _told(present: Present, step: str) -> str:
    told = {
        "step": step,
        "platform": present.platform,
        "request": present.request,
        "environment": present.environment,
        "prefix": str(present.prefix),
    }
    return json.dumps(told)
