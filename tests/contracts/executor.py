"""What every executor does. A new executor's test is a subclass that says how to make one."""

from __future__ import annotations

import threading
import time

import pytest

from envbuild.errors import BuildError
from envbuild.executors import Executor
from envbuild.job import LANES


def double(number: int) -> int:
    return 2 * number


def fail(message: str) -> None:
    raise BuildError(message, hint="try")


def leave(code: int) -> None:
    raise SystemExit(code)


class ExecutorContract:
    """Inherit, and define ``executor`` as a fixture that closes it."""

    def test_every_lane_has_slots_that_stay_the_same(self, executor: Executor):
        for lane in LANES:
            assert executor.slots(lane) >= 1
            assert executor.slots(lane) == executor.slots(lane)

    @pytest.mark.parametrize("lane", LANES)
    def test_the_future_has_what_the_function_returns(self, executor: Executor, lane):
        futures = [executor.submit(lane, double, number) for number in range(20)]
        assert [future.result(timeout=20) for future in futures] == [2 * number for number in range(20)]

    def test_the_future_has_what_the_function_raises(self, executor: Executor):
        error = executor.submit("cpu", fail, "no compiler").exception(timeout=20)
        assert isinstance(error, BuildError)
        assert (error.message.partition(" (on ")[0], error.hint) == ("no compiler", "try")  # where, if it was far away

    def test_a_function_that_wants_to_exit_ends_only_itself(self, executor: Executor):
        assert isinstance(executor.submit("cpu", leave, 3).exception(timeout=20), SystemExit)
        assert executor.submit("cpu", double, 4).result(timeout=20) == 8

    def test_callbacks_are_called_once_it_ended(self, executor: Executor):
        ended = threading.Event()
        executor.submit("io", double, 1).add_done_callback(lambda _: ended.set())
        assert ended.wait(20)

    def test_after_closing_nothing_is_taken(self, executor: Executor):
        before = executor.submit("cpu", double, 5)
        assert executor.close(patience=20)
        assert before.cancelled() or before.result(timeout=20) == 10
        with pytest.raises(RuntimeError, match="closed"):
            executor.submit("cpu", double, 1)
        assert executor.close()

    def test_many_short_jobs_take_little(self, executor: Executor):
        began = time.monotonic()
        futures = [executor.submit(LANES[number % 2], double, number) for number in range(500)]
        assert sum(future.result(timeout=20) for future in futures) == 499 * 500
        assert time.monotonic() - began < 10
