"""The executor of Dask does what every executor does."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from envbuild.errors import UnreachableError
from envbuild.executors.dask_engine import DaskExecutor, _pass_on, open_dask
from envbuild.executors.far import follow
from envbuild.machine.virtual import current_platform
from tests.contracts.executor import ExecutorContract, double
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


def test_a_worker_that_stands_still_keeps_nobody_from_asking_the_others(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path / "cluster")
    try:
        address = cluster.scheduler()
        cluster.worker("asleep")
        cluster.worker("awake", "--resources", f"{current_platform()}=1")
        cluster.stop("asleep")
        executor = open_dask(address)
        assert executor.lacks(current_platform()) is None
        assert executor.lacks("win-64") == "a worker of win-64"
        assert executor.send(double, 4, name="two", platform=current_platform()).result(timeout=60) == 8
        assert executor.close(patience=20)
    finally:
        cluster.close()


class Broken:
    """A result that is lost while it is fetched, as when a scheduler dies in that moment."""

    def __await__(self) -> Generator[None, None, object]:
        raise OSError("stream is closed")
        yield

    def cancelled(self) -> bool:
        return False


def test_a_result_that_is_lost_on_its_way_keeps_nobody_waiting() -> None:
    sent: Future[object] = Future()
    ours: Future[object] = Future()
    follow(sent, ours, name="a build", address="dask://host:8786")
    asyncio.run(_pass_on(Broken(), sent))
    error = ours.exception(timeout=0)
    assert isinstance(error, UnreachableError)
    assert (error.reference, error.retryable) == ("executor-lost", True)
