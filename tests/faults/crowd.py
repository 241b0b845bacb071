"""Crowds: many commands that begin at the same moment, on one machine or on machines of their own.

A ``Gate`` starts processes that load what every command takes, wait, and go on together when it opens: whoever is late
by the start of a Python would not race.

A machine of its own is a mount namespace: its home and its project lie at the same paths as everybody else's, and are
its own folders. So prefixes, which hold the path that they are in, can be compared byte for byte.

Rules of the file: no test logic; every process is waited for, or killed when a test fails.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.faults.world import Outcome, World, kill_group, remove, tree_of

_READY = """
import os, sys
import envbuild.session
from envbuild.cli.main import main
os.write(int(sys.argv.pop(1)), b"r")
sys.stdin.buffer.read()
main()
"""
_MOUNTED = 'mount --bind "$1" "$2" && mount --bind "$3" "$4" && shift 4 && exec "$@"'


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A home and a project of its own, seen at the world's paths by what runs there."""

    home: Path
    project: Path

    def tree(self, name: str) -> dict[str, str]:
        """What a recipe's prefix holds."""
        (prefix,) = (path for path in (self.home / "prefixes").iterdir())
        assert (self.project / ".envs" / name).readlink().name == prefix.name
        return tree_of(prefix)


def machines(world: World, number: int) -> list[Machine]:
    """So many machines with the world's project, and nothing at home; skips where a machine cannot be made.

    Args:
        world: Whose project, with its locks.
        number: How many.
    """
    probe = world.folder / "mounted"
    probe.mkdir(exist_ok=True)
    command = ["unshare", "-m", "mount", "--bind", str(probe), str(probe)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"NO MOUNTS: this machine does not let us make others: {done.stderr.strip()}")
    made = []
    for index in range(number):
        folder = world.folder / "machines" / f"{index:02}"
        remove(folder)
        (folder / "home").mkdir(parents=True)
        shutil.copytree(world.project, folder / "project", symlinks=True, ignore=shutil.ignore_patterns(".envs"))
        made.append(Machine(home=folder / "home", project=folder / "project"))
    world.home.mkdir(exist_ok=True)
    return made


class Gate:
    """See the module's docstring; a context, which kills whoever still runs at its end.

    Args:
        world: Whose commands, environment and project.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._started: list[tuple[subprocess.Popen[bytes], tuple[str, ...]]] = []
        self._ready, self._told = os.pipe()
        self._wait, self._go = os.pipe()

    def __enter__(self) -> Gate:
        return self

    def __exit__(self, *_: object) -> None:
        for process, _ in self._started:
            if process.poll() is None:
                kill_group(process)
                process.communicate(timeout=60)
        for descriptor in (self._ready, self._told, self._wait, self._go):
            if descriptor >= 0:
                os.close(descriptor)

    def start(self, *arguments: str, machine: Machine | None = None, environ: Mapping[str, str] | None = None) -> None:
        """A command that waits for the gate to open, here or on a machine of its own."""
        command = [sys.executable, "-c", _READY, str(self._told), *arguments]
        world = self._world
        if machine is not None:
            places = [str(machine.home), str(world.home), str(machine.project), str(world.project)]
            inside = ["sh", "-c", 'cd "$0" && exec "$@"', str(world.project)]
            command = ["unshare", "-m", "sh", "-c", _MOUNTED, "sh", *places, *inside, *command]
        process = subprocess.Popen(
            command,
            cwd=world.project,
            env={**world.environ, **(environ or {})},
            stdin=self._wait,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=(self._told,),
            start_new_session=True,
        )
        self._started.append((process, arguments))

    def open(self, code: int | None = 0) -> list[Outcome]:
        """Let everybody go on once all are there, and wait for all; see ``World.run`` for ``code``."""
        os.close(self._told)
        self._told = -1
        came = 0
        while came < len(self._started):
            piece = os.read(self._ready, 4096)
            if not piece:  # all that are alive have said so: the others' ends say why
                break
            came += len(piece)
        began = time.monotonic()
        os.close(self._go)
        self._go = -1
        return [self._ended(*item, began, code) for item in self._started]

    def _ended(
        self, process: subprocess.Popen[bytes], arguments: tuple[str, ...], began: float, code: int | None
    ) -> Outcome:
        return self._world.ended(process, arguments, began, code, limit=900)


def environments(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """What each ``realize --json`` of one recipe says."""
    return [item for outcome in outcomes for item in json.loads(outcome.out)["environments"]]


def added(outcomes: Sequence[Outcome]) -> dict[str, int]:
    """How much all of them did together: ``built``, ``transmuted``, ``fetched``, ``pulled``."""
    made = environments(outcomes)
    return {word: sum(item[word] for item in made) for word in ("built", "transmuted", "fetched", "pulled")}
