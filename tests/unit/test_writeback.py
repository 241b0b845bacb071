"""Writeback: one thread at a time, whoever asks meanwhile is served once more, nobody is ever told of a failure."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from envbuild.machine import publish
from envbuild.machine.writeback import Writeback


class Disk:
    """What is asked of the system, one round at a time."""

    def __init__(self) -> None:
        self.rounds: list[str] = []
        self.begun = threading.Semaphore(0)
        self.free = threading.Semaphore(0)

    def sync(self, descriptor: int) -> int:
        self.rounds.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        self.begun.release()
        self.free.acquire()
        return 0


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    """A disk that takes as long as the test says."""
    made = Disk()

    def call() -> Callable[[int], int]:
        return made.sync

    monkeypatch.setattr(publish, "_syncfs", call)
    return made


def ended() -> None:
    for thread in threading.enumerate():
        if thread.name == "writeback":
            thread.join()


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="NO /proc: which folder a descriptor is cannot be seen")
def test_who_asks_while_it_writes_is_served_by_one_more_round(disk: Disk, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    begun = Writeback("safe")
    begun.begin(tmp_path / "a")
    disk.begun.acquire()
    for _ in range(50):
        begun.begin(tmp_path / "a")
    begun.begin(tmp_path / "b")
    assert sum(thread.name == "writeback" for thread in threading.enumerate()) == 1
    disk.free.release()
    disk.begun.acquire()
    disk.free.release()
    ended()
    assert disk.rounds == [str(tmp_path / "a"), str(tmp_path / "b")]
    disk.free.release()
    begun.begin(tmp_path / "a")  # and again when there is something new
    disk.begun.acquire()
    ended()
    assert len(disk.rounds) == 3


def test_a_folder_that_is_gone_is_nobodys_trouble(disk: Disk, tmp_path: Path) -> None:
    begun = Writeback("safe")
    begun.begin(tmp_path / "gone")
    ended()
    assert not disk.rounds
    disk.free.release()
    begun.begin(tmp_path)
    ended()
    assert disk.rounds


def test_where_nothing_is_waited_for_nothing_is_begun(disk: Disk, tmp_path: Path) -> None:
    Writeback("fast").begin(tmp_path)
    ended()
    assert not disk.rounds
