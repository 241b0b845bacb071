"""On a node: the environment of a step comes from the store alone, and becomes a program that starts in it.

``main`` prints the file of that program, which ``executable`` of the step names. No index and no channel is asked.

Rules of the file: called by ``envbuild.metaflow.node.first``, in the Python that this brought.
"""

from __future__ import annotations

import gc
import os
import shlex
import sys
from functools import partial
from pathlib import Path

from envbuild.errors import EnvbuildError


def main(words: list[str]) -> int:
    """Bring an environment; the exit code.

    Args:
        words: The store's address; request, environment and closure digest; ``Flow/step``.
    """
    gc.disable()  # lives for one environment, and makes hardly a cycle
    store, request, environment, closure, step = words
    try:
        print(_program(store, f"{request}:{environment}", closure, step))  # noqa: T201  the answer
    except EnvbuildError as error:
        from envbuild.cli.errors import say_error

        say_error(error)
        return error.exit_code
    return 0


def _program(store: str, identity: str, closure: str, step: str) -> Path:
    """The file that starts a Python in the environment."""
    from envbuild.environments.realized import RealizeOptions
    from envbuild.metaflow.entering import Present, entrance
    from envbuild.metaflow.node_objects import NodeObjects
    from envbuild.session import Session

    here = Path.cwd()
    nowhere = Path(sys.prefix)  # what lies where the task runs configures nothing
    clouds = partial(NodeObjects, store)
    Session(nowhere, stores=(store,), clouds=clouds).pull(identity, closure)
    (made,) = Session(nowhere, offline=True).realize(identity, options=RealizeOptions(link=False))
    present = Present(
        prefix=made.prefix,
        name=made.name,
        platform=made.platform,
        environment=made.environment,
        request=made.request,
        variables=dict(made.variables),
        python=str(made.prefix / "bin" / "python"),
    )
    os.environ["PATH"] = os.environ.get("ENVBUILD_PATH") or os.environ["PATH"]  # without what brought envbuild
    for name in ("ENVBUILD_PATH", "ENVBUILD_NODE", "ENVBUILD_DEADLINE"):
        os.environ.pop(name, None)
    code = here / ".mf_code"
    start = entrance(present, code, code, step)
    lines = ["#!/bin/sh", *(f"export {name}={shlex.quote(value)}" for name, value in start.variables)]
    lines.append(f'exec {shlex.join([*start.before, start.python])} "$@"')
    program = here / ".envbuild-step"
    program.write_text("\n".join([*lines, ""]), encoding="utf-8")
    program.chmod(0o755)
    return program
