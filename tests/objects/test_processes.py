"""Connections and processes: threads, event loops, spawned and forked children, and a quiet end (R29, H61, H69)."""

from __future__ import annotations

import asyncio
import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from envbuild.errors import UnreachableError
from envbuild.objects.failures import PassingError, SomeSizesError
from tests.objects.conftest import CLOUDS, Place, everywhere

READ = """
import sys
from envbuild.objects.opening import open_objects

def read(url):
    return open_objects(url).read("a/b")
"""


def run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@everywhere(*CLOUDS)
def test_a_process_ends_at_once_and_prints_nothing(place: Place) -> None:
    place.fill("a/b", b"there")
    done = run(READ + "print(read(sys.argv[1]), open_objects(sys.argv[1]).sizes(['a/b']))", place.url)
    assert (done.returncode, done.stdout, done.stderr) == (0, "b'there' {'a/b': 5}\n", "")


@everywhere(*CLOUDS)
def test_a_process_that_cannot_reach_its_store_prints_nothing_of_the_libraries(place: Place) -> None:
    assert place.proxy is not None
    place.proxy.refuse_all = True
    code = (
        READ
        + """
from envbuild.errors import UnreachableError
from envbuild.objects.retrying import Patience
try:
    open_objects(sys.argv[1], patience=Patience(attempts=2, pause=0.01)).read("a/b")
except UnreachableError as error:
    print(error.reference)
"""
    )
    done = run(code, place.url)
    assert (done.returncode, done.stdout, done.stderr) == (0, "unreachable\n", "")


@everywhere(*CLOUDS)
def test_a_forked_child_is_refused_and_the_parent_goes_on(place: Place) -> None:
    place.fill("a/b", b"there")
    code = (
        READ
        + """
import os
from envbuild.errors import UnreachableError
objects = open_objects(sys.argv[1])
objects.read("a/b")
child = os.fork()
if not child:
    try:
        objects.read("a/b")
    except UnreachableError as error:
        os._exit(7 if error.reference == "forked" and not error.retryable else 8)
    os._exit(9)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), objects.read("a/b"))
"""
    )
    done = subprocess.run(
        [sys.executable, "-c", code, place.url], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.stdout == "7 b'there'\n", done.stderr


@everywhere(*CLOUDS)
@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_children_that_are_spawned_open_the_address(place: Place, method: str, tmp_path: Path) -> None:
    place.fill("a/b", b"there")
    (tmp_path / "reading.py").write_text(READ)
    code = """
import multiprocessing, sys
sys.path.insert(0, sys.argv[2])
import reading
if __name__ == "__main__":
    objects = reading.open_objects(sys.argv[1])
    objects.read("a/b")
    with multiprocessing.get_context(sys.argv[3]).Pool(2) as pool:
        print(pool.map(reading.read, [sys.argv[1]] * 4))
        pool.close()
        pool.join()
"""
    path = tmp_path / "main.py"
    path.write_text(code)
    environ = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, str(path), place.url, str(tmp_path), method],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=environ,
    )
    assert done.stdout == f"{[b'there'] * 4}\n", done.stderr


@everywhere(*CLOUDS)
def test_many_threads_and_a_running_event_loop_may_ask(place: Place) -> None:
    place.fill("a/b", b"there")
    objects = place.open()
    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(lambda _: objects.read("a/b"), range(64))) == {b"there"}

    async def notebook() -> bytes | None:
        return objects.read("a/b")

    assert asyncio.run(notebook()) == b"there"


@everywhere(*CLOUDS)
def test_connections_are_never_pickled(place: Place) -> None:
    objects = place.open()
    objects.read("a/b")
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(objects)


def test_errors_cross_processes() -> None:
    passing = pickle.loads(pickle.dumps(PassingError("it passes", 3.0)))
    assert (passing.message, passing.after, passing.retryable) == ("it passes", 3.0, True)
    first = UnreachableError("first", reference="refused", hint="do")
    some = pickle.loads(pickle.dumps(SomeSizesError(first, {"a": 1}, ("b",))))
    assert (some.message, some.reference, some.found, some.open) == ("first", "refused", {"a": 1}, ("b",))
