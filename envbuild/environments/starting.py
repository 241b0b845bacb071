"""A program that starts an environment's Python from anywhere: for Jupyter, and for folders that people work in.

Unlike ``run`` it needs no envbuild, and no store: it sets what activation sets, sources the scripts of packages, and
becomes the Python.

Rules of the file: text only.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from envbuild.environments.environment import activation_scripts, fixed_variables, removed_variables


def start_program(
    prefix: Path,
    variables: Mapping[str, str],
    name: str,
    *,
    arguments: Sequence[str] = (),
    search: Sequence[str] = (),
) -> str:
    """The text of a program that becomes the Python of an environment, with whatever arguments it is given.

    Args:
        prefix: The environment.
        variables: The recipe's.
        name: What people call it.
        arguments: For Python, before those that the program is given.
        search: Folders that go first on ``PYTHONPATH``.

    Raises:
        InvalidInput: ``bad-variable``.
    """
    shell = "/bin/bash" if Path("/bin/bash").exists() else "/bin/sh"
    values = fixed_variables(prefix, variables, name)
    lines = [f"#!{shell}", f"unset {' '.join(removed_variables(prefix))}"]
    lines.append(f'export PATH={shlex.quote(str(prefix / "bin"))}"${{PATH:+:$PATH}}"')
    lines += [f"export {key}={shlex.quote(value)}" for key, value in values.items()]
    if search:
        lines.append(f'export PYTHONPATH={shlex.quote(os.pathsep.join(search))}"${{PYTHONPATH:+:$PYTHONPATH}}"')
    lines += [f". {shlex.quote(str(script))}" for script in activation_scripts(prefix, "activate", ".sh")]
    lines.append(f'exec {shlex.join([str(prefix / "bin" / "python"), *arguments])} "$@"')
    return "".join(f"{line}\n" for line in lines)
