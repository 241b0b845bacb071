"""On a node: the environment of a step comes from the store alone, and becomes a program that starts in it.

``main`` prints the file of that program, which ``executable`` of the step names. No index and no channel is asked.

Rules of the file: called by ``envbuild.metaflow.node.first``, in the Python that this brought.
"""

from __future__ import annotations

import gc
import json
import os
import shlex
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from envbuild.errors import EnvbuildError, IntegrityError, NoSpaceError, UnreachableError
from envbuild.machine.uv_program import await_uv
from envbuild.metaflow.late_away import LATE, looked_up, waits


def main(words: list[str], arrival: Callable[[], int] | None = None) -> int:
    """Bring an environment; the exit code.

    Args:
        words: The store's address; request, environment and closure digest, or what ``late_away`` has for a step
            whose environment is looked up now; ``Flow/step``.
        arrival: Waits for the program that links, which comes meanwhile, and gives an exit code.
    """
    gc.disable()  # lives for one environment, and makes hardly a cycle
    store, request, environment, closure, step = words
    late = json.loads(closure) if request == LATE else None
    if arrival is not None:
        await_arrival(arrival)
    try:
        if late is not None and waits(late, os.environ):
            from envbuild.metaflow.parameters_away import waiting

            print(_executable(waiting(step, os.environ["ENVBUILD_NODE"])))  # noqa: T201  the answer
            return 0
        program = _program(store, late or f"{request}:{environment}", None if late else closure, step)
        print(program)  # noqa: T201  the answer
    except EnvbuildError as error:
        from envbuild.cli.errors import say_error

        if late is not None:
            error.message = f"{late['said']}: {error.message}"
        say_error(error)
        return error.exit_code
    return 0


def await_arrival(arrival: Callable[[], int]) -> None:
    """Have the first who needs uv wait for it; where it does not come, that is an error with the same exit code.

    Args:
        arrival: As of ``main``.
    """

    def arrived() -> None:
        code = arrival()
        if code:
            kind = {4: IntegrityError, 8: NoSpaceError}.get(code, UnreachableError)
            raise kind("what links an environment did not come", reference="no-tools")

    await_uv(arrived)


def _program(store: str, wanted: str | Mapping[str, Any], closure: str | None, step: str) -> Path:
    """The file that starts a Python in the environment.

    Args:
        store: The address of the store.
        wanted: The environment's id; what there is to look up where nobody knows it yet.
        closure: Of an id.
        step: ``Flow/step``.
    """
    from envbuild.environments.realized import RealizeOptions
    from envbuild.metaflow.entering import Present, entrance
    from envbuild.metaflow.escape import FOLDER, to_image
    from envbuild.metaflow.lacking import check_needs
    from envbuild.metaflow.node_objects import NodeObjects
    from envbuild.metaflow.node_session import NodeSession

    here = Path.cwd()
    nowhere = Path(sys.prefix)  # what lies where the task runs configures nothing
    session = NodeSession(nowhere, stores=(store,), clouds=partial(NodeObjects, store), only_stores=True)
    text = identity = wanted if isinstance(wanted, str) else ""
    if not isinstance(wanted, str):
        text, identity = looked_up(session, wanted, os.environ)
    (made,) = session.realize(identity, options=RealizeOptions(link=False, closure=closure))
    if not isinstance(wanted, str):
        check_needs(session, text, made, wanted["needs"])
        print(f"Environment of {wanted['said']}: {text} is {made.environment}", file=sys.stderr)  # noqa: T201
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
    start = entrance(present, code, code / FOLDER, step)
    variables = [*start.variables, *to_image(os.environ, here).items()]
    lines = ["#!/bin/sh", *(f"export {name}={shlex.quote(value)}" for name, value in variables)]
    lines.append(f'exec {shlex.join([*start.before, start.python])} "$@"')
    return _executable("\n".join([*lines, ""]))


def _executable(text: str) -> Path:
    """The file that a task starts with; one that runs just now stays what it was."""
    program = Path.cwd() / ".envbuild-step"
    made = program.with_suffix(".new")
    made.write_text(text, encoding="utf-8")
    made.chmod(0o755)
    made.replace(program)
    return program
