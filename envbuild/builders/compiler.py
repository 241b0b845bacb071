"""Compilers: the one that a recipe declares, and the one that was there.

A declared toolchain is a program and the beginning of its version: ``gcc 13``, ``clang 17.0``, ``rustc 1.75``. For gcc
and clang ``CC`` and ``CXX`` are set to it. What is not declared is found by the build itself, and only written down: in
the record of the result, so that ``why-rebuild`` can tell.

Rules of the file: programs are asked for their version where the build runs, and as it would find them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from envbuild.builders.isolation import run_apart
from envbuild.errors import BuildError

if TYPE_CHECKING:
    from envbuild.builders.environment import BuildEnvironment
    from envbuild.derivations import Context

_CXX = {"gcc": "g++", "clang": "clang++"}


def first_line(program: str, environment: BuildEnvironment, variables: Mapping[str, str], context: Context) -> str:
    """The first line of ``PROGRAM --version`` as the build would get it; empty when there is none."""
    done = run_apart(
        [program, "--version"],
        environment.folder,
        environment.place,
        environment.isolation,
        variables={**environment.variables, **variables},
        path=environment.path,
        cwd=environment.place,
        context=context,
    )
    lines = done.tail.strip().splitlines()
    return lines[0].strip()[:200] if done.returncode == 0 and lines else ""


def declared_toolchain(text: str, environment: BuildEnvironment, context: Context) -> dict[str, str]:
    """The variables that make a build use a declared toolchain.

    Args:
        text: Such as ``gcc 13``.
        environment: Of the build.
        context: For processes.

    Raises:
        BuildError: ``no-toolchain`` when this machine has another version, or none.
    """
    name, _, version = text.partition(" ")
    version = version.strip()
    met = []
    for suffix in (f"-{version}", f"-{version.split('.')[0]}", "") if version else ("",):
        said = first_line(name + suffix, environment, {}, context)
        if said and _has_version(said, version):
            return {"CC": name + suffix, "CXX": _CXX[name] + suffix} if name in _CXX else {}
        met += [said] if said else []
    found = f"found: {met[-1]}" if met else "found none"
    raise BuildError(
        f"the recipe declares the toolchain {text!r} and this machine does not have it ({found})",
        reference="no-toolchain",
        hint="install it, put it on PATH, or declare another one: build: {NAME: {toolchain: …}}",
    )


def _has_version(said: str, wanted: str) -> bool:
    """Whether a version in a line is the one that is wanted or belongs to its series."""
    found = re.findall(r"\d+(?:\.\d+)+|\d+", said)
    return not wanted or any(item == wanted or item.startswith(f"{wanted}.") for item in found)
