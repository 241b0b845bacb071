"""rattler's process: whose failure ends it, and who pays for that."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from envbuild.errors import BuildError
from envbuild.linkers import rattler_process
from tests.support.channel import this_platform


@pytest.fixture(autouse=True)
def ended() -> Iterator[None]:
    rattler_process.end()
    yield
    rattler_process.end()


def job(folder: Path, **more: object) -> dict[str, object]:
    """A prefix without packages: all that rattler does is start."""
    folder.mkdir(exist_ok=True)
    return {
        "cache": str(folder / "cache"),
        "prefix": str(folder / "prefix"),
        "final": str(folder / "prefix"),
        "ways": ["copy"],
        "platform": this_platform(),
        "records": [],
        **more,
    }


def test_a_job_is_answered(tmp_path: Path) -> None:
    assert "error" not in rattler_process.run_job(job(tmp_path))


def test_jobs_beside_jobs_that_fail_are_done(tmp_path: Path) -> None:
    """Each failure ends the process that all share; nobody else's job may fail for it, however often it happens."""
    bad = [job(tmp_path / f"bad{number}", platform="no-such-platform") for number in range(6)]
    good = [job(tmp_path / f"good{number}") for number in range(6)]
    with ThreadPoolExecutor(max_workers=6) as threads:
        both = [item for pair in zip(bad, good, strict=True) for item in pair]
        answers = list(threads.map(rattler_process.run_job, both))
    assert ["error" in answer for answer in answers] == [True, False] * 6


def test_a_process_that_dies_by_itself_gets_a_second_chance_and_no_third(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[int] = []
    submit = rattler_process._Child.submit

    def doomed(child: rattler_process._Child, number: int, what: dict[str, object]) -> object:
        started.append(child.process.pid)
        os.kill(child.process.pid, signal.SIGKILL)
        child.process.wait()
        return submit(child, number, what)

    monkeypatch.setattr(rattler_process._Child, "submit", doomed)
    with pytest.raises(BuildError, match="ended without an answer"):
        rattler_process.run_job(job(tmp_path))
    assert len(set(started)) == 2
