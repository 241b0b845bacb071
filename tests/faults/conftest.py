"""Fixtures of the fault tests: counts, the world, and what the machine must let us do."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.counts import COUNTS, Counts
from tests.faults.far import far, fars
from tests.faults.world import World
from tests.objects.conftest import az_server, gs_server, place_of, s3_server
from tests.support.channel import TestChannel
from tests.support.servers import serve

__all__ = ["az_server", "far", "fars", "gs_server", "place_of", "s3_server"]
"""Fixtures of the object tests, for those that count, and of worlds in clouds."""


@pytest.fixture(scope="session")
def counts() -> Counts:
    """Small numbers, or full ones."""
    return COUNTS


@pytest.fixture(scope="session")
def _world(tmp_path_factory: pytest.TempPathFactory, channel: TestChannel) -> Iterator[World]:
    with serve(lambda request: None) as server:
        yield World(tmp_path_factory.mktemp("world"), channel, server)


@pytest.fixture
def world(_world: World) -> World:
    """The world of this test process, its home empty, its recipes as they were, no lock yet."""
    _world.fresh(locks=True)
    return _world


class Mounts:
    """Mounts something, and takes it away at the latest when the test ends; skips where that is not allowed."""

    def __init__(self) -> None:
        self._folders: list[Path] = []

    def __call__(self, folder: Path, *arguments: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(["mount", *arguments, str(folder)], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"NO MOUNTS: this machine does not let us mount: {done.stderr.strip()}")
        self._folders.append(folder)

    def end(self) -> None:
        """Take everything away."""
        while self._folders:
            subprocess.run(["umount", "-l", str(self._folders.pop())], check=True)


@pytest.fixture
def mounted() -> Iterator[Mounts]:
    """``mounted(folder, "-t", "tmpfs", …)``."""
    mounts = Mounts()
    yield mounts
    mounts.end()
