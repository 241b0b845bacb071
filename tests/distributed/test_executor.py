"""The executor of Dask does what every executor does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from envbuild.executors.dask_engine import DaskExecutor, open_dask
from tests.contracts.executor import ExecutorContract
from tests.distributed.cluster import Cluster


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A scheduler with one worker."""
    cluster = Cluster(tmp_path_factory.mktemp("contract") / "cluster")
    try:
        address = cluster.scheduler()
        cluster.worker("one")
        yield address
    finally:
        cluster.close()


class TestDask(ExecutorContract):
    @pytest.fixture
    def executor(self, address: str) -> Iterator[DaskExecutor]:
        executor = open_dask(address)
        yield executor
        assert executor.close(patience=20)
