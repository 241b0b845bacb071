from __future__ import annotations

import pickle
import re
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from envbuild.errors import BuildError, UsageError
from envbuild.executors import open_executor
from envbuild.executors.dask_places import Worker, place
from envbuild.executors.dask_ssh import read_ssh_address
from envbuild.executors.far import call
from envbuild.executors.futures import FuturesExecutor, far_of
from envbuild.executors.local import IO_SLOTS, LocalExecutor
from envbuild.executors.synchronous import SynchronousExecutor
from envbuild.machine.virtual import current_platform
from envbuild.package import PLATFORMS
from tests.contracts.executor import ExecutorContract, double


class TestLocal(ExecutorContract):
    @pytest.fixture
    def executor(self):
        executor = LocalExecutor(jobs=2)
        yield executor
        assert executor.close(patience=20)

    def test_lanes_do_not_wait_for_each_other(self, executor):
        gate = threading.Event()
        stuck = [executor.submit("cpu", gate.wait, 20) for _ in range(2)]
        assert executor.submit("io", double, 2).result(timeout=10) == 4
        gate.set()
        assert all(future.result(timeout=20) for future in stuck)

    def test_as_many_run_at_once_as_there_are_slots(self, executor):
        together = threading.Barrier(IO_SLOTS)
        futures = [executor.submit("io", together.wait, 20) for _ in range(IO_SLOTS)]
        assert sorted(future.result(timeout=20) for future in futures) == list(range(IO_SLOTS))

    def test_no_more_than_the_slots_run_at_once(self, executor):
        running, most, lock = 0, 0, threading.Lock()

        def work(_: int) -> None:
            nonlocal running, most
            with lock:
                running += 1
                most = max(most, running)
            time.sleep(0.01)
            with lock:
                running -= 1

        for future in [executor.submit("cpu", work, number) for number in range(20)]:
            future.result(timeout=20)
        assert most == 2

    def test_closing_cancels_what_has_not_begun_and_does_not_wait_for_ever(self):
        executor = LocalExecutor(jobs=1)
        gate = threading.Event()
        running = executor.submit("cpu", gate.wait, 20)
        while not running.running():
            time.sleep(0.001)
        waiting = executor.submit("cpu", double, 1)
        began = time.monotonic()
        assert not executor.close(patience=0.1)
        assert time.monotonic() - began < 5
        assert waiting.cancelled()
        gate.set()
        assert executor.close(patience=20)

    def test_threads_start_only_when_they_are_needed(self):
        before = threading.active_count()
        executor = LocalExecutor(jobs=4)
        assert threading.active_count() == before
        for number in range(10):
            executor.submit("cpu", double, number).result(timeout=20)
            time.sleep(0.01)
        assert threading.active_count() - before < 4
        assert executor.close(patience=20)

    def test_a_stuck_thread_does_not_keep_the_process(self):
        code = (
            "import time; from envbuild.executors.local import LocalExecutor\n"
            "executor = LocalExecutor(jobs=1); executor.submit('cpu', time.sleep, 60); time.sleep(0.1)\n"
            "executor.close(patience=0.1)"
        )
        began = time.monotonic()
        subprocess.run([sys.executable, "-c", code], check=True, timeout=50)
        assert time.monotonic() - began < 30


class TestSynchronous(ExecutorContract):
    @pytest.fixture
    def executor(self):
        executor = SynchronousExecutor()
        yield executor
        assert executor.close()

    def test_it_runs_in_the_thread_that_submits(self, executor):
        assert executor.submit("cpu", lambda _: threading.get_ident(), None).result(timeout=0) == threading.get_ident()

    def test_an_interrupt_is_the_users(self, executor):
        def interrupted(_: None) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            executor.submit("cpu", interrupted, None)


class TestFutures(ExecutorContract):
    @pytest.fixture
    def executor(self):
        with ThreadPoolExecutor(2) as pool:
            executor = FuturesExecutor(pool)
            yield executor
            assert executor.close(patience=20)

    def test_workers_are_of_the_platform_that_one_of_them_tells_and_have_no_marks(self, executor):
        other = next(each for each in PLATFORMS if each != current_platform())
        assert executor.lacks(current_platform()) is None
        assert executor.lacks(other) == f"a worker of {other}"
        assert executor.lacks("", ("gpu",)) == "a worker with gpu"


def test_what_is_raised_far_away_comes_without_what_it_may_hold_and_says_where():
    def refused(_: None) -> None:
        try:
            raise OSError("Authorization: secret")
        except OSError as error:
            raise BuildError("no compiler", hint="try") from error

    answer = pickle.loads(pickle.dumps(call(refused, None)))
    assert (answer.error.message, answer.error.hint, answer.error.__cause__) == ("no compiler", "try", None)
    assert b"secret" not in pickle.dumps(answer)
    with ThreadPoolExecutor(1) as pool, pytest.raises(BuildError, match=re.escape(f"no compiler (on {answer.where})")):
        FuturesExecutor(pool).send(refused, None, name="a build").result(timeout=20)


def test_a_pool_is_what_has_submit():
    with pytest.raises(UsageError, match="no `submit`"):
        far_of(7)


WORKERS = (
    Worker(host="a", platform="linux-64"),
    Worker(host="b", marks=("linux-aarch64", "gpu"), platform="linux-64"),
    Worker(host="c", marks=("platform=osx-arm64",), platform="osx-arm64"),
)


@pytest.mark.parametrize(
    ("platform", "tags", "where"),
    [
        ("", (), {}),
        ("linux-64", (), {"workers": ["a"]}),
        ("linux-64", ("gpu",), None),
        ("linux-aarch64", ("gpu",), {"resources": {"gpu": 1, "linux-aarch64": 1}}),
        ("osx-arm64", (), {"resources": {"platform=osx-arm64": 1}}),
        ("win-64", (), None),
        ("", ("gpu",), {"resources": {"gpu": 1}}),
        ("", ("tpu",), None),
    ],
)
def test_a_job_goes_where_its_platform_and_its_marks_are(platform, tags, where):
    assert place(WORKERS, platform, tags) == where
    assert place((), platform, tags) is None


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("ssh://build-1", (["build-1"], [{}], "python3")),
        (
            "ssh://ann@build-1:2222,10.0.0.7/opt/envbuild/bin/python",
            (["build-1", "10.0.0.7"], [{"username": "ann", "port": 2222}, {}], "/opt/envbuild/bin/python"),
        ),
    ],
)
def test_an_address_of_ssh_names_machines_and_their_python(address, found):
    assert read_ssh_address(address) == found


@pytest.mark.parametrize("address", ["ssh://", "ssh://a,,b", "ssh://-oProxyCommand=id", "ssh://a:port"])
def test_what_is_no_machine_is_not_given_to_ssh(address):
    with pytest.raises(UsageError) as caught:
        read_ssh_address(address)
    assert caught.value.reference == "bad-address"


def test_executors_are_opened_by_name():
    assert isinstance(open_executor("synchronous"), SynchronousExecutor)
    local = open_executor("local", jobs=3)
    assert (local.slots("cpu"), local.slots("io")) == (3, IO_SLOTS)
    assert open_executor("local").slots("cpu") >= 1


@pytest.mark.parametrize(
    ("name", "jobs", "reference"),
    [("dask:host:8786", None, "unknown-executor"), ("", None, "unknown-executor"), ("local", 0, "bad-jobs")],
)
def test_what_cannot_be_opened_is_a_usage_error(name, jobs, reference):
    with pytest.raises(UsageError) as caught:
        open_executor(name, jobs=jobs)
    assert (caught.value.reference, caught.value.exit_code) == (reference, 2)
