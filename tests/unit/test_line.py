"""Large downloads come a few at a time, and more where more makes all faster."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from envbuild.machine.line import FIRST, LARGE, Line


@dataclass
class Crowd:
    """Downloads in threads of their own, each of which stays on the line until it is sent away."""

    line: Line
    inside: list[int] = field(default_factory=list)
    told: dict[int, Callable[[int], None]] = field(default_factory=dict)
    ends: dict[int, threading.Event] = field(default_factory=dict)
    threads: dict[int, threading.Thread] = field(default_factory=dict)

    def come(self, number: int, size: int = LARGE) -> None:
        """One more; those before it wait in front of it."""

        def stay() -> None:
            with self.line.place(size) as came:
                self.told[number] = came
                self.inside.append(number)
                self.ends[number].wait(30)

        self.ends[number] = threading.Event()
        self.threads[number] = threading.Thread(target=stay, daemon=True)
        self.threads[number].start()
        eventually(lambda: number in self.inside or number in range(len(self.inside) + self.waiting()))

    def waiting(self) -> int:
        """How many are not in."""
        return len(self.line._waiting)

    def go(self, number: int) -> None:
        """One is done."""
        self.ends[number].set()
        self.threads[number].join(30)


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.001)
    assert holds()


@dataclass
class Clock:
    """Stands still until it is set."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def crowd(count: int, clock: Clock, given_up: Callable[[], bool] = lambda: False) -> Crowd:
    found = Crowd(Line(given_up, clock))
    for number in range(count):
        found.come(number)
    eventually(lambda: found.inside == list(range(min(count, FIRST))))
    return found


def after(found: Crowd, clock: Clock, moved: int, inside: int) -> None:
    """Bytes come for a second, and then so many are, or have been, in."""
    clock.now += 1
    found.told[found.inside[0]](moved)
    eventually(lambda: len(found.inside) == inside)
    eventually(lambda: found.line._inside >= min(inside, found.line._allowed))


def test_small_ones_and_those_of_unknown_size_wait_for_nobody() -> None:
    found = crowd(4, Clock())
    for number, size in ((4, LARGE - 1), (5, 0)):
        found.come(number, size)
        assert number in found.inside
    with found.line.place(None) as came:
        came(10)


def test_the_largest_come_first() -> None:
    found = crowd(3, Clock())
    for number in (3, 4, 5):
        found.come(number, LARGE + number % 5)
    for ended, entered in ((0, 4), (1, 3), (4, 2), (3, 5)):
        found.go(ended)
        eventually(lambda entered=entered: found.inside[-1] == entered)  # type: ignore[misc]


def test_one_that_ends_lets_in_the_one_that_came_first() -> None:
    found = crowd(4, Clock())
    found.go(1)
    eventually(lambda: found.inside == [0, 1, 2])
    found.go(0)
    eventually(lambda: found.inside == [0, 1, 2, 3])


def test_more_are_let_in_for_as_long_as_all_become_faster() -> None:
    clock = Clock()
    found = crowd(16, clock)
    after(found, clock, 2_000_000, 4)
    after(found, clock, 4_000_000, 8)
    after(found, clock, 4_100_000, 8)  # no faster: four at a time again
    after(found, clock, 9_000_000, 8)
    for number in range(4):
        found.go(number)
    time.sleep(0.02)
    assert len(found.inside) == 8
    found.go(4)
    eventually(lambda: len(found.inside) == 9)


def test_where_all_become_much_slower_others_are_let_in() -> None:
    clock = Clock()
    found = crowd(9, clock)
    after(found, clock, 1_000_000, 4)
    after(found, clock, 1_000_000, 4)  # two at a time again
    found.go(0)
    found.go(1)
    after(found, clock, 600_000, 4)
    after(found, clock, 400_000, 6)


def test_whoever_waits_in_vain_is_let_in_to_meet_it() -> None:
    over = threading.Event()
    found = crowd(5, Clock(), over.is_set)
    over.set()
    eventually(lambda: sorted(found.inside) == list(range(5)))
