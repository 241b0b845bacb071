"""A function for many items at once, in threads that nobody waits for when a command is interrupted."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from queue import Empty, SimpleQueue
from typing import TypeVar

IN_FLIGHT = 64
"""Questions at a time."""

Given = TypeVar("Given")
Returned = TypeVar("Returned")


def in_parallel(work: Callable[[Given], Returned], items: Iterable[Given], threads: int = IN_FLIGHT) -> list[Returned]:
    """What a function gives for each item, in no order; the first error is raised when all have ended.

    The threads are daemons: an interrupted command does not wait for them.
    """
    todo = SimpleQueue[Given]()
    for item in items:
        todo.put(item)
    done: list[Returned] = []
    errors: list[BaseException] = []

    def run() -> None:
        while not errors:
            try:
                done.append(work(todo.get_nowait()))
            except Empty:
                return
            except BaseException as error:
                errors.append(error)

    if todo.qsize() == 1:  # nothing to wait for side by side
        return [work(todo.get_nowait())]
    started = [threading.Thread(target=run, name="store", daemon=True) for _ in range(min(threads, todo.qsize()))]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
    if errors:
        raise errors[0]
    return done
