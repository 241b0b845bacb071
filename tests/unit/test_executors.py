from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest

from envbuild.errors import UsageError
from envbuild.executors import open_executor
from envbuild.executors.local import IO_SLOTS, LocalExecutor
from envbuild.executors.synchronous import SynchronousExecutor
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


def test_executors_are_opened_by_name():
    assert isinstance(open_executor("synchronous"), SynchronousExecutor)
    local = open_executor("local", jobs=3)
    assert (local.slots("cpu"), local.slots("io")) == (3, IO_SLOTS)
    assert open_executor("local").slots("cpu") >= 1


@pytest.mark.parametrize(
    ("name", "jobs", "reference"),
    [("dask://host:8786", None, "unknown-executor"), ("", None, "unknown-executor"), ("local", 0, "bad-jobs")],
)
def test_what_cannot_be_opened_is_a_usage_error(name, jobs, reference):
    with pytest.raises(UsageError) as caught:
        open_executor(name, jobs=jobs)
    assert (caught.value.reference, caught.value.exit_code) == (reference, 2)
