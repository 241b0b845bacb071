"""Which of Dask's workers may do a job: a pure choice.

Rules of the file: values in, words of ``Client.submit`` out; nothing is asked and nothing is imported.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from envbuild.package import PLATFORMS
from envbuild.value import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """What is known of a worker.

    Attributes:
        host: Its machine.
        threads: How many jobs it does at once.
        marks: Names of its resources.
        platform: What it runs on, by its own word; empty when it did not say.
    """

    host: str
    threads: int = 1
    marks: tuple[str, ...] = ()
    platform: str = ""


def place(workers: Sequence[Worker], platform: str, tags: Collection[str] = ()) -> dict[str, Any] | None:
    """What ``Client.submit`` is told, so that a job goes to a worker that fits; None when none does.

    Workers that are marked with the platform come before those that only run on it: they are found by their marks, so
    that one that joins later may do it, too. Those that only run on it are found by their machine, which a worker that
    was restarted keeps.

    Args:
        workers: Who is there.
        platform: Empty for any.
        tags: What else a worker must be marked with.
    """
    able = [worker for worker in workers if set(tags) <= set(worker.marks)]
    resources: dict[str, float] = dict.fromkeys(sorted(tags), 1)
    if not platform:
        return ({"resources": resources} if resources else {}) if able else None
    for mark in (platform, f"platform={platform}"):
        if any(mark in worker.marks for worker in able):
            return {"resources": {**resources, mark: 1}}
    hosts = {worker.host for worker in able if worker.platform == platform and not marked(worker)}
    if not hosts:
        return None
    return {"workers": sorted(hosts), **({"resources": resources} if resources else {})}


def marked(worker: Worker) -> bool:
    """Whether somebody said which platforms it builds for; then it builds for no other."""
    return any(mark.removeprefix("platform=") in PLATFORMS for mark in worker.marks)
