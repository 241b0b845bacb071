"""The words of commands for steps on other machines.

::

    ENVBUILD_NODE=$(python -c '…' PROGRAM STORE DIGEST enter) && export … PATH=$ENVBUILD_NODE/bin:$PATH
    envbuild-node package FOLDER NAME job.tar
    ENVBUILD_STEP=$(envbuild-node enter FLOW/STEP) && export ENVBUILD_STEP
    $ENVBUILD_STEP -u flow.py step …

Rules of the file: pure. Metaflow puts all of it between double quotes and splits it once: none of it may hold
one, or a backslash.
"""

from __future__ import annotations

from collections.abc import Sequence

from envbuild.metaflow.inline import inline, words

EXECUTABLE = "$ENVBUILD_STEP"
"""The interpreter of a step, in its command."""

OUTSIDE = "export PATH=$ENVBUILD_PATH"
"""Back to the image's own Python."""


def tools_command(store: str, first: str, *, enters: bool) -> str:
    """Has envbuild on the node, and its Python as ``python``.

    Args:
        store: The address.
        first: The sha256 of the first program.
        enters: Whether an environment will be entered: what links it comes meanwhile.
    """
    return (
        f"ENVBUILD_NODE=$({inline(store)} {words(store, first, *(['enter'] if enters else []))}) && "
        "export ENVBUILD_NODE ENVBUILD_PATH=$PATH PATH=$ENVBUILD_NODE/bin:$PATH"
    )


def package_command(url: str) -> str:
    """Reads a code package into ``job.tar``.

    Args:
        url: The package's; options of an address may follow.
    """
    place, _, options = url.partition("?")
    folder, _, name = place.rpartition("/")
    return f"envbuild-node package {words(folder + (f'?{options}' if options else ''), name, 'job.tar')}"


def enter_command(step: str) -> str:
    """Has the environment of a step; ``EXECUTABLE`` starts in it then.

    Args:
        step: ``Flow/step``.
    """
    return f"ENVBUILD_STEP=$(envbuild-node enter {words(step)}) && export ENVBUILD_STEP"


def patient(commands: Sequence[str], package: str) -> list[str]:
    """Metaflow's commands, without its loop around ``package``: that asks again itself, until a deadline.

    Args:
        commands: As Metaflow has them.
        package: What stands in the loop.
    """
    found: list[str] = []
    for command in commands:
        if command.startswith("i=0; while") and package in command:
            found.append(package)
        elif not command.startswith("if [ $i -gt 5 ]"):
            found.append(command)
    return found
