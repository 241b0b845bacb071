"""What a process sees inside a prefix: the variables of ``run`` and ``shell``, and the scripts that packages bring.

What is set, in this order (the later wins): ``PATH`` with the prefix's ``bin`` first; ``CONDA_PREFIX`` and
``CONDA_DEFAULT_ENV`` for a prefix with conda packages, ``VIRTUAL_ENV`` for a virtual environment;
``ENVBUILD_ACTIVE_PREFIX``;
``PYTHONNOUSERSITE=1``, for an environment that a lock describes must not change with what lies in somebody's home
(virtual environments behave so anyway); variables of packages (``etc/conda/env_vars.d``); variables of the recipe.
``PYTHONHOME`` goes, for it would send the prefix's Python to another library; so does ``VIRTUAL_ENV`` where the prefix
is none. ``PYTHONPATH`` stays the user's own.

Rules of the file: reads the prefix, writes nothing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from envbuild.errors import InvalidInput
from envbuild.pattern import pattern

_NAME = pattern(r"[A-Za-z_][A-Za-z0-9_]*")


def check_variables(variables: Mapping[str, str]) -> None:
    """Names that every shell can hold and values that every process can be given.

    Raises:
        InvalidInput: ``bad-variable``.
    """
    for name, value in variables.items():
        if not _NAME.fullmatch(name):
            raise InvalidInput(f"{name!r} is not a name of an environment variable", reference="bad-variable")
        if "\0" in value:
            raise InvalidInput(f"the variable {name} holds a NUL character", reference="bad-variable")


def is_conda(prefix: Path) -> bool:
    """Whether a prefix holds conda packages."""
    return (prefix / "conda-meta").is_dir()


def is_venv(prefix: Path) -> bool:
    """Whether a prefix is a virtual environment."""
    return (prefix / "pyvenv.cfg").is_file()


def fixed_variables(prefix: Path, variables: Mapping[str, str], name: str | None = None) -> dict[str, str]:
    """What activation sets, except ``PATH``.

    Args:
        prefix: The environment.
        variables: The recipe's.
        name: What people call it; its folder's name otherwise.

    Raises:
        InvalidInput: ``bad-variable``.
    """
    check_variables(variables)
    result = {"ENVBUILD_ACTIVE_PREFIX": str(prefix), "PYTHONNOUSERSITE": "1"}
    if is_conda(prefix):
        result |= {"CONDA_PREFIX": str(prefix), "CONDA_DEFAULT_ENV": name or prefix.name}
    elif is_venv(prefix):
        result["VIRTUAL_ENV"] = str(prefix)
    return result | package_variables(prefix) | dict(variables)


def removed_variables(prefix: Path) -> tuple[str, ...]:
    """What activation takes away."""
    return ("PYTHONHOME",) if is_venv(prefix) else ("PYTHONHOME", "VIRTUAL_ENV")


def package_variables(prefix: Path) -> dict[str, str]:
    """Variables that conda packages bring: ``etc/conda/env_vars.d/*.json``, then ``conda-meta/state``.

    A file that cannot be read, or a name that no shell can hold, does not count.
    """
    result: dict[str, str] = {}
    for path in [*sorted((prefix / "etc/conda/env_vars.d").glob("*.json")), prefix / "conda-meta" / "state"]:
        try:
            document = json.loads(path.read_bytes())
        except (OSError, ValueError):
            continue
        if path.name == "state" and isinstance(document, dict):
            document = document.get("env_vars")
        if isinstance(document, dict):
            result |= {
                name: str(value)
                for name, value in document.items()
                if _NAME.fullmatch(name) and isinstance(value, (str, int)) and "\0" not in str(value)
            }
    return result


def search_path(prefix: Path, path: str | None) -> str:
    """``PATH`` with the prefix's programs first, once."""
    own = str(prefix / "bin")
    rest = [part for part in (path or os.defpath).split(os.pathsep) if part != own]
    return os.pathsep.join([own, *rest])


def environment_variables(
    prefix: Path, variables: Mapping[str, str], base: Mapping[str, str] | None = None, name: str | None = None
) -> dict[str, str]:
    """The whole environment of a process that runs in a prefix.

    Args:
        prefix: The environment.
        variables: The recipe's.
        base: What the process would see otherwise; this process's own by default.
        name: What people call the environment.

    Raises:
        InvalidInput: ``bad-variable``.
    """
    result = dict(os.environ if base is None else base)
    result.pop("ENVBUILD_SIGNING_PASSPHRASE", None)  # what runs there signs nothing
    for gone in removed_variables(prefix):
        result.pop(gone, None)
    result["PATH"] = search_path(prefix, result.get("PATH"))
    return result | fixed_variables(prefix, variables, name)


def activation_scripts(prefix: Path, moment: str, suffix: str) -> tuple[Path, ...]:
    """Scripts of packages to source: ``moment`` is ``activate`` or ``deactivate`` (in reverse order then)."""
    found = sorted((prefix / "etc" / "conda" / f"{moment}.d").glob(f"*{suffix}"))
    return tuple(reversed(found)) if moment == "deactivate" else tuple(found)


def command_in(prefix: Path, command: Sequence[str]) -> list[str]:
    """The argument vector that runs a command in a prefix, activation scripts of its packages sourced first.

    Args:
        prefix: The environment; ``environment_variables`` gives the variables to run it with.
        command: Program and arguments; never read by a shell.
    """
    scripts = activation_scripts(prefix, "activate", ".sh")
    if not scripts:
        return list(command)
    shell = "/bin/bash" if Path("/bin/bash").exists() else "/bin/sh"
    each = '_envbuild_left=$1; shift; while [ "$_envbuild_left" -gt 0 ]; do . "$1"; shift'
    program = each + '; _envbuild_left=$((_envbuild_left - 1)); done; unset _envbuild_left; exec "$@"'
    return [shell, "-c", program, "envbuild", str(len(scripts)), *map(str, scripts), *command]
