"""Programs: their output, their environment, and that none outlives this process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from envbuild.errors import BuildError
from envbuild.machine.process import TAIL, clean_environment, end_all, run
from tests.support.cache import CHECKOUT

ENVIRON = {"PATH": os.environ["PATH"]}

# Runs a program that starts a child of its own and ignores SIGTERM; tells both process ids.
PARENT = """
import os, sys, threading
from envbuild.machine.process import run
script = 'trap "" TERM; sleep 300 & echo $$ $! > "$1"; wait; sleep 300'
def work():
    run(["sh", "-c", script, "sh", sys.argv[1]], environ={"PATH": os.environ["PATH"]})
thread = threading.Thread(target=work)
thread.start()
thread.join()
"""


def alive(number: int) -> bool:
    try:
        text = Path(f"/proc/{number}/stat").read_text()
    except OSError:
        return False
    return text.rsplit(")", 1)[1].split()[0] != "Z"


def wait_for(condition: object, seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():  # type: ignore[operator]
            return True
        time.sleep(0.02)
    return False


def test_output_exit_code_and_input(tmp_path: Path) -> None:
    done = run(["sh", "-c", "cat; echo oops >&2; pwd; exit 3"], environ=ENVIRON, cwd=tmp_path, stdin=b"given\n")
    assert (done.returncode, done.tail) == (3, f"given\noops\n{tmp_path}\n")


def test_input_that_nobody_reads() -> None:
    assert run(["true"], environ=ENVIRON, stdin=bytes(10 << 20)).returncode == 0


def test_only_the_end_of_the_output_is_kept() -> None:
    done = run(["sh", "-c", "head -c 30000000 /dev/zero | tr '\\0' x; echo end"], environ=ENVIRON)
    assert len(done.tail) == TAIL
    assert done.tail.endswith("xend\n")


def test_arguments_are_not_a_command_line() -> None:
    evil = "$(touch /tmp/x); `id` ' \" \n -n"
    assert run(["printf", "%s", evil], environ=ENVIRON).tail == evil


def test_no_such_program() -> None:
    with pytest.raises(BuildError) as caught:
        run(["no-such-program"], environ=ENVIRON)
    assert caught.value.reference == "no-program"


def test_a_timeout_ends_the_whole_group() -> None:
    start = time.monotonic()
    with pytest.raises(BuildError) as caught:
        run(["sh", "-c", "sleep 300 & wait"], environ=ENVIRON, timeout=0.3)
    assert caught.value.reference == "too-slow"
    assert time.monotonic() - start < 5


def test_what_a_program_leaves_behind_is_ended(tmp_path: Path) -> None:
    done = run(["sh", "-c", "sleep 300 & echo $! > left; echo done"], environ=ENVIRON, cwd=tmp_path)
    assert done.tail == "done\n"
    assert wait_for(lambda: not alive(int((tmp_path / "left").read_text())))


def test_it_has_a_session_of_its_own_and_no_descriptors_of_ours() -> None:
    with Path(os.devnull).open() as extra:
        os.set_inheritable(extra.fileno(), True)
        done = run(["sh", "-c", "ls /proc/self/fd; ps -o sid= -p $$"], environ=ENVIRON)
    *numbers, session = (int(word) for word in done.tail.split())
    assert session != os.getsid(0)
    assert set(numbers) <= {0, 1, 2, 3}


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="process states are read from /proc")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_programs_end_when_this_process_is_killed(tmp_path: Path, number: signal.Signals) -> None:
    told = tmp_path / "pids"
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(told)], env={**os.environ, "PYTHONPATH": str(CHECKOUT)}
    )
    assert wait_for(lambda: told.exists() and len(told.read_text().split()) == 2)
    pids = [int(word) for word in told.read_text().split()]
    assert all(alive(pid) for pid in pids)
    parent.send_signal(number)
    parent.wait(timeout=10)
    assert wait_for(lambda: not any(alive(pid) for pid in pids), 5)


def test_end_all_frees_the_threads_that_wait(tmp_path: Path) -> None:
    codes: list[int] = []
    script = 'trap "" TERM; : > "$$"; while :; do sleep 1; done'
    threads = [
        threading.Thread(
            target=lambda: codes.append(run(["sh", "-c", script], environ=ENVIRON, cwd=tmp_path).returncode)
        )
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    assert wait_for(lambda: len(list(tmp_path.glob("[0-9]*"))) == 3)
    end_all(grace=0.5)
    for thread in threads:
        thread.join(30)
    assert codes == [-signal.SIGKILL] * 3


def test_what_leaks_and_what_not() -> None:
    given = {
        "PATH": "/bin", "HOME": "/h", "PYTHONPATH": "x", "PIP_INDEX_URL": "x", "UV_INDEX": "x", "CONDA_EXE": "x",
        "LD_LIBRARY_PATH": "x", "LD_PRELOAD": "x", "TMPDIR": "/proc", "https_proxy": "p", "SSL_CERT_FILE": "c",
        "UV_INDEX_CORP_PASSWORD": "secret", "AWS_SECRET_ACCESS_KEY": "secret", "ENVBUILD_FAULT": "x",
    }  # fmt: skip
    assert clean_environment(given, network=False) == {"PATH": "/bin", "HOME": "/h"}
    more = set(clean_environment(given, network=True)) - {"PATH", "HOME"}
    assert more == {"https_proxy", "SSL_CERT_FILE", "UV_INDEX_CORP_PASSWORD"}


def test_lines_are_heard_as_they_are_printed() -> None:
    heard: list[tuple[str, float]] = []
    done = run(
        ["sh", "-c", "printf 'one\\ntw'; sleep 0.5; printf 'o\\nrest'"],
        environ=ENVIRON,
        heard=lambda line: heard.append((line, time.monotonic())),
    )
    assert [line for line, _ in heard] == ["one", "two"]
    assert heard[1][1] - heard[0][1] > 0.3
    assert done.tail == "one\ntwo\nrest"
