"""Locks among processes: they die with their holder, tell who holds, and never have two holders."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from envbuild.errors import LockTimeoutError
from envbuild.machine import kernel_lock
from envbuild.machine.kernel_lock import KernelLock, hold
from tests.support.cache import CHECKOUT

HOLD = """
import sys, time
from pathlib import Path
from envbuild.machine.kernel_lock import KernelLock
with KernelLock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""

COUNT = """
import sys
from pathlib import Path
from envbuild.machine.kernel_lock import KernelLock
folder = Path(sys.argv[1])
for _ in range(100):
    with KernelLock(folder / "lock"):
        marker = folder / "marker"
        marker.touch(exist_ok=False)   # a second holder would fail here
        count = folder / "count"
        count.write_text(str(int(count.read_text()) + 1))
        marker.unlink()
"""


def spawn(code: str, *arguments: str) -> subprocess.Popen[str]:
    environ = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    return subprocess.Popen([sys.executable, "-c", code, *arguments], env=environ, text=True, stdout=subprocess.PIPE)


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    process = spawn(HOLD, str(tmp_path / "lock"))
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_killed_holder_frees_the_lock_at_once(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    assert not KernelLock(tmp_path / "lock").try_acquire()
    holder.kill()
    holder.wait()
    start = time.monotonic()
    with KernelLock(tmp_path / "lock", timeout=60):
        assert time.monotonic() - start < 10


def test_a_stopped_holder_is_named(
    tmp_path: Path, holder: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel_lock, "NOTICE_AFTER", 0.2)
    holder.send_signal(signal.SIGSTOP)
    said: list[str] = []
    start = time.monotonic()
    with pytest.raises(LockTimeoutError) as caught:
        KernelLock(tmp_path / "lock", timeout=1, notice=said.append).acquire()
    assert 1 <= time.monotonic() - start < 10
    for part in (f"process {holder.pid}", os.uname().nodename, "since 20", str(tmp_path / "lock")):
        assert part in caught.value.message
    assert caught.value.exit_code == 7
    assert len(said) == 1
    holder.send_signal(signal.SIGCONT)


def test_shared_and_exclusive(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with KernelLock(path, shared=True), KernelLock(path, shared=True):
        assert not KernelLock(path).try_acquire()
    with KernelLock(path):
        assert not KernelLock(path, shared=True).try_acquire()


def test_a_lock_file_that_lost_its_name_is_no_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    entered: list[bool] = []
    first = KernelLock(path)
    first.acquire()

    def wait() -> None:
        with KernelLock(path, timeout=10):
            entered.append(path.exists())

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.1)
    path.unlink()
    first.release()
    thread.join(10)
    assert entered == [True]  # the waiter took the lock on the file that has the name


def test_eight_processes_and_a_sweeper_never_hold_it_twice(tmp_path: Path) -> None:
    (tmp_path / "count").write_text("0")
    processes = [spawn(COUNT, str(tmp_path)) for _ in range(8)]
    while any(process.poll() is None for process in processes):
        lock = KernelLock(tmp_path / "lock", timeout=0)
        if lock.try_acquire():
            (tmp_path / "lock").unlink()
            lock.release()
        time.sleep(0.001)
    for process in processes:
        assert process.stdout is not None
        process.stdout.close()
    assert [process.wait() for process in processes] == [0] * 8
    assert (tmp_path / "count").read_text() == "800"


def test_many_locks_and_none_after_a_failure(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in "cab"]
    with hold(paths, timeout=1):
        assert not any(KernelLock(path).try_acquire() for path in paths)
    with KernelLock(tmp_path / "c"):
        with pytest.raises(LockTimeoutError), hold(paths, timeout=0.05):
            pass
        lock = KernelLock(tmp_path / "a")
        assert lock.try_acquire()
        lock.release()


def test_programs_do_not_inherit_it(tmp_path: Path) -> None:
    lock = KernelLock(tmp_path / "lock")
    lock.acquire()
    child = subprocess.Popen(["sleep", "30"])
    lock.release()
    assert KernelLock(tmp_path / "lock").try_acquire()
    child.kill()
    child.wait()
