"""How many questions are in flight at a store that does not keep up."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack, suppress

import pytest

from envbuild.errors import UnreachableError
from envbuild.objects.window import FAR_BEHIND, FEW, LATE, Window


def lose(window: Window) -> None:
    with suppress(UnreachableError), window.one():
        raise UnreachableError("busy", retryable=True)


def test_nothing_is_bounded_until_something_fails() -> None:
    window = Window()
    with ExitStack() as many:
        for _ in range(300):
            many.enter_context(window.one())
    assert window.most is None


def test_failures_of_one_moment_halve_it_once_and_answers_open_it_slowly() -> None:
    window = Window()
    begun, fail = threading.Barrier(33), threading.Event()

    def one() -> None:
        with suppress(UnreachableError), window.one():
            begun.wait()
            fail.wait()
            raise UnreachableError("busy", retryable=True)

    threads = [threading.Thread(target=one) for _ in range(32)]
    for thread in threads:
        thread.start()
    begun.wait()
    fail.set()
    for thread in threads:
        thread.join()
    assert window.most is not None
    first = window.most
    assert 1 <= first <= 16
    for _ in range(1000):
        with window.one():
            pass
    assert first < window.most < 64
    lose(window)
    assert window.most == 1


def test_no_more_are_inside_than_may_be_and_all_come_in_in_the_end() -> None:
    window = Window()
    lose(window)
    guard = threading.Lock()
    inside, worst = 0, 0

    def one() -> None:
        nonlocal inside, worst
        with window.one():
            with guard:
                inside += 1
                worst = max(worst, inside)
            with guard:
                inside -= 1

    threads = [threading.Thread(target=one) for _ in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert window.most is not None
    assert worst <= window.most < 13  # one more for each round of answers: the root of twice their number


def test_a_refusal_is_an_answer() -> None:
    window = Window()
    lose(window)
    with pytest.raises(UnreachableError), window.one():
        raise UnreachableError("no", retryable=False)
    assert window.most == 2


def test_an_answer_that_comes_late_halves_it_once_and_leaves_a_few() -> None:
    window = Window()
    with ExitStack() as many:
        for _ in range(40):
            many.enter_context(window.one())
        window.answered(time.monotonic())
        assert window.most is None, "in time"
        began = time.monotonic() - LATE - 1
        window.answered(began)
        assert window.most == 20
        window.answered(began)
        assert window.most == 20, "it was under way already"
    for _ in range(100):
        window._cut = 0.0  # as if each were asked after the one before had come late
        window.answered(time.monotonic() - LATE - 1)
    assert window.most == FEW
    lose(window)
    assert window.most < FEW, "what fails bounds it further"
    window.answered(time.monotonic() - LATE - 1)
    assert window.most < FEW


def test_an_answer_that_comes_late_lets_nobody_else_in_and_one_in_time_does() -> None:
    window = Window()
    lose(window)
    assert window.most == 1
    with window.one():
        window.answered(time.monotonic() - LATE - 1)
    assert window.most == 1
    with window.one():
        window.answered(time.monotonic())
    assert window.most == 2


def test_at_a_server_that_is_far_behind_one_question_is_enough() -> None:
    window = Window()
    with ExitStack() as many:
        for _ in range(3):
            many.enter_context(window.one())
        window.answered(time.monotonic() - FAR_BEHIND - 1)
    assert window.most == 1.5, "what is in flight counts before it is halved: one at a time now"
    window._cut = 0.0
    window.answered(time.monotonic() - FAR_BEHIND - 1)
    assert window.most == 1


def test_nodes_at_a_slow_server_come_to_wait_for_less_than_they_would(monkeypatch: pytest.MonkeyPatch) -> None:
    """200 nodes, 28 answers a second: four of each in flight wait for 28 seconds, of the 30 after which they give up.

    One node stands for all: what it has in flight, each of the others has too.
    """
    clock, waits = 0.0, []
    monkeypatch.setattr("envbuild.objects.window.time.monotonic", lambda: clock)
    window = Window()
    for _ in range(200):
        in_flight = int(window.most or 20)
        waits.append(in_flight * 200 / 28)
        with ExitStack() as many:
            for _ in range(in_flight):
                many.enter_context(window.one())
            began, clock = clock, clock + waits[-1]
            window.answered(began)
    assert max(waits[10:]) < FAR_BEHIND
