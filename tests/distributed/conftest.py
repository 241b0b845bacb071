"""A team with a store in a folder, and a cluster that does its work."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.distributed.cluster import Cluster
from tests.faults.world import World, remove
from tests.support.channel import TestChannel
from tests.support.sdists import make_own_sdist
from tests.support.servers import serve

pytest.importorskip("distributed", reason="NO DASK: pip install 'envbuild[dask]'")


class Farm(World):
    """A world whose sdists are built elsewhere; ``brewed.yaml`` has one, and an old conda package to transmute."""

    def __init__(self, folder: Path, channel: TestChannel, server) -> None:  # type: ignore[no-untyped-def]
        folder.mkdir(parents=True)
        super().__init__(folder, channel, server)
        make_own_sdist(self.wheels, "brewed", "1.0", scratch=folder / "sdists", static=True)
        make_own_sdist(self.wheels, "stewed", "1.0", scratch=folder / "sdists", static=True)
        python = f"python: {self.series}\n"
        self.recipe("brewed", python + self.conda_lines("old-format:") + self.pypi_lines("brewed:"))
        self.recipe("both", python + self.conda_lines() + self.pypi_lines("brewed:", "stewed:"))
        needy = "build:\n  brewed: {toolchain: gcc 99}\n"
        self.recipe("needy", python + self.conda_lines() + self.pypi_lines("brewed:") + needy)
        for name in ("brewed", "both", "needy"):
            self.run("lock", f"{name}.yaml")
        self.store = folder / "store"

    def clear(self) -> None:
        """Nothing at home and nothing in the store; locks stay."""
        self.fresh()
        remove(self.store)
        self.run("store", "init", str(self.store))

    def records(self, kind: str) -> list[Path]:
        """What the store has recorded."""
        return list(self.store.glob(f"results/{kind}/**/*.json"))


@pytest.fixture(scope="session")
def _farm(tmp_path_factory: pytest.TempPathFactory, channel: TestChannel) -> Iterator[Farm]:
    with serve(lambda request: None) as server:
        yield Farm(tmp_path_factory.mktemp("farm") / "farm", channel, server)


@pytest.fixture
def farm(_farm: Farm) -> Farm:
    """A farm at its beginning."""
    _farm.clear()
    return _farm


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """A cluster in which nothing runs yet."""
    cluster = Cluster(tmp_path / "cluster")
    yield cluster
    cluster.close()
