"""Work that is sent to a real Dask cluster: what goes where, what comes back, and what is lost when something dies."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from envbuild.machine.virtual import current_platform
from envbuild.package import PLATFORMS
from tests.case import CHECKOUT
from tests.distributed.cluster import Cluster, until
from tests.distributed.conftest import Farm
from tests.faults.world import differences, one_error, remove


def realized(farm: Farm, address: str, name: str = "brewed", **options) -> dict:  # type: ignore[no-untyped-def]
    """Realize a recipe through a cluster; what it says."""
    out = farm.run(*words(farm, address, name), "--json", **options).out
    (found,) = json.loads(out)["environments"]
    return found


def words(farm: Farm, address: str, name: str = "brewed") -> list[str]:
    return ["realize", f"{name}.yaml", "--locked", "--store", str(farm.store), "--executor", address]


def test_builds_and_transmutes_are_done_by_workers_and_linked_here(farm: Farm, cluster: Cluster) -> None:
    here = json.loads(farm.run("realize", "brewed.yaml", "--locked", "--json").out)["environments"][0]
    tree = farm.tree("brewed")
    farm.clear()
    address = cluster.scheduler()
    cluster.worker("one")
    cluster.worker("two")
    found = realized(farm, address)
    assert (found["built"], found["transmuted"]) == (here["built"], here["transmuted"]) == (1, 1)
    assert not differences(farm.tree("brewed"), tree)
    for kind in ("build-wheel", "transmute"):
        assert len(cluster.results("one", kind) + cluster.results("two", kind)) == len(farm.records(kind)) == 1
        assert not [*cluster.home("one").glob("prefixes/*"), *cluster.home("two").glob("prefixes/*")]
    farm.fresh()
    again = realized(farm, address)  # whatever was done is in the store: nothing is sent
    assert (again["built"], again["transmuted"], again["pulled"] > 0) == (0, 0, True)


@pytest.mark.parametrize(
    "using", [("run", "brewed.yaml", "--", "python", "-c", "import brewed"), ("shell", "brewed.yaml")]
)
def test_what_is_run_and_entered_is_built_by_workers_when_it_is_not_there(
    farm: Farm, cluster: Cluster, using: tuple[str, ...]
) -> None:
    address = cluster.scheduler()
    cluster.worker("one")
    verb, *words = using
    there = ("--locked", "--store", str(farm.store), "--executor", address)
    farm.run(verb, *there, *words, environ={"SHELL": "/bin/true"})
    assert len(cluster.results("one")) == len(farm.records("build-wheel")) == 1


def test_a_worker_that_dies_loses_what_it_was_doing_and_another_one_does_it(farm: Farm, cluster: Cluster) -> None:
    address = cluster.scheduler()
    cluster.worker("one", environ={"ENVBUILD_FAULT": "mid-wheel-build:kill"})
    running = farm.start(*words(farm, address), "--json")
    until(lambda: cluster.dead("one"), "the death of a worker")
    cluster.worker("two")
    ended = farm.ended(running, ("realize",), 0.0, 0)
    assert json.loads(ended.out)["environments"][0]["built"] == 1
    assert len(cluster.results("two")) == len(farm.records("build-wheel")) == 1


def test_a_scheduler_that_dies_costs_what_was_under_way(farm: Farm, cluster: Cluster) -> None:
    cluster.scheduler()
    cluster.worker("one", environ={"ENVBUILD_FAULT": "mid-wheel-build:sleep=600000"})
    running = farm.start(*words(farm, cluster.address))
    until(lambda: cluster.builds("one") and farm.records("transmute"), "a build")
    cluster.kill("scheduler")
    error = one_error(farm.ended(running, ("realize",), 0.0, 5))
    assert f"error[executor-lost]: {cluster.address} was lost" in error
    cluster.kill("one")
    address = cluster.scheduler()
    cluster.worker("two")
    found = realized(farm, address)
    assert (found["built"], found["transmuted"]) == (1, 0)  # what was done is not done again


@pytest.mark.parametrize(("number", "code"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130)])
def test_a_client_that_ends_takes_nothing_from_its_workers(
    farm: Farm, cluster: Cluster, number: int, code: int
) -> None:
    address = cluster.scheduler()
    cluster.worker("one", environ={"ENVBUILD_FAULT": "mid-wheel-build:sleep=1500"})
    running = farm.start(*words(farm, address))
    until(lambda: cluster.builds("one"), "a build")
    running.send_signal(number)
    farm.ended(running, ("realize",), 0.0, code)
    until(lambda: farm.records("build-wheel"), "the end of a build that nobody waits for")
    found = realized(farm, address)
    assert (found["built"], len(cluster.results("one"))) == (0, 1)


def test_a_build_goes_to_the_worker_that_is_marked_for_it(farm: Farm, cluster: Cluster) -> None:
    (farm.project / "envbuild.yaml").write_text("builders: {brewed: [gpu]}\n", encoding="utf-8")
    try:
        address = cluster.scheduler()
        cluster.worker("plain")
        refused = farm.run(*words(farm, address), code=11)
        assert f"brewed 1.0 wants a worker of {current_platform()} with gpu, and {address} has none" in refused.err
        assert "hint: start one: dask worker … --resources 'gpu=1'" in refused.err
        cluster.worker("strong", "--resources", "gpu=1")
        assert realized(farm, address)["built"] == 1
        assert (len(cluster.results("plain")), len(cluster.results("strong"))) == (0, 1)
    finally:
        (farm.project / "envbuild.yaml").unlink()


def test_a_builder_of_another_platform_is_left_alone_and_one_of_ours_is_not(farm: Farm, cluster: Cluster) -> None:
    other = next(each for each in PLATFORMS if each != current_platform())
    address = cluster.scheduler()
    cluster.worker("other", "--resources", f"{other}=1")
    assert realized(farm, address)["built"] == 1  # here, for this machine is a builder of its own platform
    assert (len(cluster.results("other")), len(cluster.results("other", "transmute"))) == (0, 1)
    farm.clear()
    cluster.worker("ours", "--resources", f"{current_platform()}=1")
    assert realized(farm, address)["built"] == 1
    assert (len(cluster.results("other")), len(cluster.results("ours"))) == (0, 1)


def test_a_worker_of_another_version_or_without_the_store_says_so_in_one_line(
    farm: Farm, cluster: Cluster, tmp_path: Path
) -> None:
    address = cluster.scheduler()
    (tmp_path / "sitecustomize.py").write_text("import envbuild.version as it; it.__version__ = '0.0.1'\n")
    cluster.worker("old", environ={"PYTHONPATH": f"{tmp_path}{os.pathsep}{CHECKOUT}"})
    refused = one_error(farm.run(*words(farm, address), code=2))
    assert "envbuild here is 0.0.1" in refused
    assert "(on the worker old)" in refused
    cluster.kill("old")
    place = farm.project / "mounted"  # the same path everywhere, and another folder for each process
    place.symlink_to(farm.store)
    try:
        cluster.worker("blind")
        arguments = ["realize", "brewed.yaml", "--locked", "--executor", address, "--store", "/proc/self/cwd/mounted"]
        refused = farm.run(*arguments, code=5).err
        assert (
            "error[no-store-here]: the store file:///proc/self/cwd/mounted cannot be used here: there is no" in refused
        )
        assert "(on the worker blind)" in refused
        another = cluster.folder / "blind" / "mounted"
        farm.run("store", "init", str(another))
        refused = farm.run(*arguments, code=5).err
        assert "error[not-handed-over]: a worker says that" in refused
        assert "is it the same store there?" in refused
        remove(another)
        another.symlink_to(farm.store)
        farm.run(*arguments)
        assert len(farm.records("build-wheel")) == 1  # what the worker had made already, handed over now
    finally:
        place.unlink()


def test_a_worker_without_a_tool_says_so_and_who_it_is(farm: Farm, cluster: Cluster) -> None:
    address = cluster.scheduler()
    cluster.worker("bare")
    refused = farm.run(*words(farm, address, "needy"), code=9).err
    assert "error[no-toolchain]: brewed 1.0 was not built: the recipe declares the toolchain 'gcc 99'" in refused
    assert "(on the worker bare)" in refused


def test_a_build_that_takes_its_workers_with_it_is_named(farm: Farm, cluster: Cluster) -> None:
    address = cluster.scheduler(allowed_failures=1)
    killing = {"ENVBUILD_FAULT": "mid-wheel-build:kill"}
    cluster.worker("one", "--resources", f"{current_platform()}=1", environ=killing)
    cluster.worker("two", "--resources", f"{current_platform()}=1", environ=killing)
    refused = farm.run(*words(farm, address), code=9).err
    assert "error[worker-lost]: build-wheel brewed 1.0 ended 2 workers" in refused


def test_an_executor_needs_a_store_that_is_shared_and_one_that_only_a_clone_names_is_not_used(
    farm: Farm, tmp_path: Path
) -> None:
    nobody = "dask://127.0.0.1:1"
    refused = one_error(farm.run("realize", "brewed.yaml", "--locked", "--executor", nobody, code=2))
    assert "error[no-shared-store]" in refused
    for verb in (("image",), ("bundle", "--host-python", farm.series)):
        arguments = ("brewed.yaml", "--locked", "--output", str(tmp_path / verb[0]), "--executor", nobody)
        assert "error[no-shared-store]" in one_error(farm.run(*verb, *arguments, code=2))
    soon = {"DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "1s"}
    refused = one_error(farm.run(*words(farm, nobody), environ=soon, code=5))
    assert f"error[no-scheduler]: no scheduler answers at {nobody}" in refused
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules['distributed'] = None\n")
    without = {"PYTHONPATH": f"{tmp_path}{os.pathsep}{CHECKOUT}"}
    refused = farm.run(*words(farm, nobody), environ=without, code=2).err
    assert f"error[missing-extra]: {nobody} needs Dask" in refused
    assert "pip install 'envbuild[dask]'" in refused
    (farm.project / "envbuild.yaml").write_text(f"executor: {nobody}\n", encoding="utf-8")
    try:
        ended = farm.run("realize", "brewed.yaml", "--locked", "--store", str(farm.store))
        assert f"{nobody} is not used: only the project names it" in ended.err
        farm.run(*words(farm, nobody), "--json", environ=without)  # with nothing to send, nobody is asked
        refused = farm.run("realize", "both.yaml", "--locked", environ={"ENVBUILD_TRUST": nobody}, code=2)
        assert "error[no-shared-store]" in refused.err
    finally:
        (farm.project / "envbuild.yaml").unlink()
