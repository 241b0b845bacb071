"""Solves that are sent to a real Dask cluster: the same lock, and where it might be another, none is left to it."""

from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path
from typing import Any

import pytest

from envbuild.machine.virtual import current_platform
from envbuild.reporter import Recorder
from envbuild.session import Session
from tests.distributed.cluster import Cluster, until
from tests.distributed.conftest import Farm
from tests.distributed.test_pool import ELSEWHERE, SECRET, Recording, pool
from tests.faults.world import one_error

__all__ = ["pool"]

NOBODY = "dask://127.0.0.1:1"
SOON = {"DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "1s"}
DATED = "exclude-newer: 2099-01-01\n"  # what the channel holds was made today
SERIES = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture
def recipes(farm: Farm) -> list[str]:
    """Answers that are the same tomorrow: of conda, wheels upon it, wheels alone, a source without a wheel."""
    texts = {
        "plain": farm.small(),
        "mixed-dated": farm.mixed(),
        "wheels": f"interpreter: host\npython: '{SERIES}.*'\n{farm.pypi_lines('tool-box:')}",
        "source": f"python: {farm.series}\n{farm.conda_lines()}{farm.pypi_lines('brewed:')}",
    }
    for name, text in texts.items():
        farm.recipe(name, f"{DATED}platforms: [{current_platform()}]\n{text}")
    return [f"{name}.yaml" for name in texts]


def cleared(farm: Farm, recipes: list[str]) -> list[Path]:
    """The paths of locks that are not there; no store knows any of it."""
    farm.clear()
    paths = [farm.project / f"{Path(name).stem}.lock.yaml" for name in recipes]
    for path in paths:
        path.unlink(missing_ok=True)
    return paths


def locked(farm: Farm, recipes: list[str], *words: str, **options: Any) -> tuple[dict[str, bytes], str]:
    """The bytes of the locks that a command writes where nothing is known, and what it said."""
    paths = cleared(farm, recipes)
    said = farm.run("lock", *recipes, *words, **options).err
    return {path.name: path.read_bytes() for path in paths}, said


def through(farm: Farm, address: str) -> tuple[str, ...]:
    return "--store", str(farm.store), "--executor", address


def test_locks_are_the_same_bytes_near_and_far_and_workers_solve_them(
    farm: Farm, cluster: Cluster, recipes: list[str]
) -> None:
    near, _ = locked(farm, recipes)
    address = cluster.scheduler()
    cluster.worker("one")
    cluster.worker("two")
    far, said = locked(farm, recipes, *through(farm, address))
    assert far == near
    assert "is not left to" not in said
    solved = cluster.results("one", "solve") + cluster.results("two", "solve")
    assert len(solved) == len(farm.records("solve")) == 6  # three of conda's, and three of wheels
    assert not (farm.home / "cache" / "rattler").exists(), "this machine has read no channel"
    farm.fresh()
    for name in far:
        (farm.project / name).unlink()
    farm.run("lock", *recipes, *through(farm, address))
    assert {name: (farm.project / name).read_bytes() for name in far} == near
    assert solved == cluster.results("one", "solve") + cluster.results("two", "solve")  # pulled, not solved again


def test_a_worker_that_means_other_addresses_or_reaches_no_index_leaves_its_solves_to_this_machine(
    farm: Farm, cluster: Cluster, recipes: list[str], tmp_path: Path
) -> None:
    (farm.project / "own.yaml").write_text(
        f"{DATED}interpreter: host\npython: '{SERIES}.*'\nplatforms: [{current_platform()}]\n"
        "pypi: {packages: {tool-box: }}\n",
        encoding="utf-8",
    )
    mine = {"UV_DEFAULT_INDEX": f"{farm.server.url}/simple"}
    near, _ = locked(farm, ["own.yaml"], environ=mine)
    address = cluster.scheduler()
    cluster.worker("other", environ={"UV_DEFAULT_INDEX": f"{farm.server.url}/other"})
    far, said = locked(farm, ["own.yaml"], *through(farm, address), environ=mine)
    assert far == near
    assert f"is not left to {address}: the indices of solve pypi {current_platform()} have other addresses" in said
    assert "(on the worker other)" in said
    assert not cluster.results("other", "solve")
    cluster.kill("other")
    cluster.worker("same", environ=mine)
    far, said = locked(farm, ["own.yaml"], *through(farm, address), environ=mine)
    assert (far, "is not left to" in said, len(cluster.results("same", "solve"))) == (near, False, 1)
    cluster.kill("same")
    nowhere = "http://127.0.0.1:1"
    cluster.worker("shut-in", environ={"HTTP_PROXY": nowhere, "http_proxy": nowhere, "NO_PROXY": "", "no_proxy": ""})
    near, _ = locked(farm, recipes[:1])
    far, said = locked(farm, recipes[:1], *through(farm, address))
    assert far == near
    assert "a channel does not answer" in said
    assert "(on the worker shut-in)" in said


def test_without_workers_a_scheduler_or_a_store_solves_are_done_here_and_that_is_said(
    farm: Farm, cluster: Cluster, recipes: list[str]
) -> None:
    near, _ = locked(farm, recipes[:1])
    far, said = locked(farm, recipes[:1], "--executor", NOBODY)
    assert (far, "none is written here" in said) == (near, True)
    far, said = locked(farm, recipes[:1], *through(farm, NOBODY), environ=SOON)
    assert (far, f"no scheduler answers at {NOBODY}" in said) == (near, True)
    address = cluster.scheduler()
    far, said = locked(farm, recipes[:1], *through(farm, address), environ={"ENVBUILD_LOCK_TIMEOUT": "2"})
    assert (far, f"is not left to {address}" in said) == (near, True)
    cluster.worker("one", environ={"ENVBUILD_FAULT": "mid-solve:kill"})
    far, said = locked(farm, recipes[:1], *through(farm, address), environ={"ENVBUILD_LOCK_TIMEOUT": "2"})
    assert (far, "has lost its last worker" in said) == (near, True)


def test_a_scheduler_that_dies_leaves_its_solves_to_this_machine_and_those_that_come_after(
    farm: Farm, cluster: Cluster, recipes: list[str]
) -> None:
    near, _ = locked(farm, recipes)
    address = cluster.scheduler()
    cluster.worker("one", environ={"ENVBUILD_FAULT": "mid-solve:sleep=600000"})
    paths = cleared(farm, recipes)
    running = farm.start("lock", *recipes, *through(farm, address))
    until(lambda: list(cluster.home("one").glob("cache/rattler/repodata/*")), "a solve")
    cluster.kill("scheduler")
    said = farm.ended(running, ("lock",), 0.0, 0).err
    assert {path.name: path.read_bytes() for path in paths} == near
    assert f"is not left to {address}: {address} was lost" in said


def test_what_may_be_another_answer_tomorrow_or_lies_here_is_asked_of_nobody(farm: Farm, recipes: list[str]) -> None:
    folder = farm.channel.folder.as_uri()
    farm.recipe("undated", farm.small())
    farm.recipe("folder", f"{DATED}conda:\n  channels: ['{folder}']\n  packages: {{data-files: '2.0'}}\n")
    _, said = locked(farm, ["undated.yaml", "folder.yaml"], *through(farm, NOBODY), environ=SOON)
    assert "is not left to" not in said
    farm.recipe("plain", f"{DATED}{farm.conda_lines('data-files: ==7')}")
    farm.clear()
    error = one_error(farm.run("lock", "plain.yaml", *through(farm, NOBODY), environ=SOON, code=11))
    assert "error[unsatisfiable]" in error


def test_a_solve_is_sent_without_what_words_mean_here(
    farm: Farm, pool: Recording, recipes: list[str], tmp_path: Path
) -> None:
    environ = {
        **farm.environ,
        "XDG_CONFIG_HOME": str(tmp_path / "mine"),
        "UV_INDEX_URL": f"https://ann:{SECRET}@{ELSEWHERE}/simple",
    }
    settings = tmp_path / "mine" / "envbuild" / "config.yaml"
    settings.parent.mkdir(parents=True)
    mirrors = {"https://conda.example": [f"https://ann:{SECRET}@{ELSEWHERE}/conda"]}
    settings.write_text(f"channel-alias: https://{ELSEWHERE}\nmirrors: {json.dumps(mirrors)}\n", encoding="utf-8")
    (farm.project / "own.yaml").write_text(
        f"{DATED}interpreter: host\npython: '{SERIES}.*'\npypi: {{packages: {{tool-box: }}}}\n", encoding="utf-8"
    )
    cleared(farm, [*recipes, "own.yaml"])
    recorder = Recorder()
    session = Session(
        farm.project, stores=[str(farm.store)], environ=environ, executor=pool, keep_going=True, reporter=recorder
    )
    session.lock_each(*(farm.project / name for name in [*recipes, "own.yaml"]))
    sent = [pickle.loads(pickle.loads(data)[1][0][-1]) for data in pool.sent if b"run_envelope" in data]
    assert len(sent) == 7
    for data in (*pool.sent, *pool.came):
        assert SECRET.encode() not in data
        assert ELSEWHERE.encode() not in data
        assert str(farm.home).encode() not in data
    assert not any(task.job.derivation.channels or task.job.derivation.indices for task in sent)
