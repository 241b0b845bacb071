"""R29: a store that was used before is asked by threads, by children of every start method, and in an event loop.

Nothing hangs: each round has 60 seconds. A forked child cannot use its parent's connections, and is told so.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.case import CHECKOUT
from tests.faults.counts import Counts
from tests.faults.figures import count
from tests.faults.world import differences
from tests.flows.test_shared_clouds import CloudTeam, cloud
from tests.objects.conftest import CLOUDS, Place, everywhere, place

__all__ = ["cloud", "place"]

PROGRAM = '''
import asyncio, sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from envbuild.errors import UnreachableError
from envbuild.objects.opening import open_objects

opened = {}

def read(url):
    """As a task does: an address crosses processes, and is opened there."""
    return open_objects(url).read("a/b")

def inherited(url):
    """As nobody should: what the parent had opened."""
    try:
        return opened[url].read("a/b")
    except UnreachableError as error:
        assert error.reference == "forked" and not error.retryable and "spawn" in error.hint, error
        return error.message.encode()

def pooled(method, ask, url):
    with ProcessPoolExecutor(2, mp_context=get_context(method)) as pool:
        return list(pool.map(ask, [url] * 4))

async def notebook(objects):
    """A cell: it calls us while its loop runs, and from threads beside it."""
    beside = (asyncio.to_thread(objects.read, "a/b") for _ in range(8))
    return [objects.read("a/b"), *objects.sizes(["a/b"]), *await asyncio.gather(*beside)]

def main(url, how):
    objects = opened[url] = open_objects(url)
    assert objects.read("a/b") == b"there"
    if how == "threads":
        with ThreadPoolExecutor(16) as pool:
            found = list(pool.map(lambda _: objects.read("a/b"), range(64)))
    elif how == "loop":
        found = [item for item in asyncio.run(notebook(objects)) if item != "a/b"]
    elif how == "fork":
        told = pooled(how, inherited, url)
        assert all(b"was opened before this process was forked" in item for item in told), told
        found = []
    else:
        found = pooled(how, read, url)
    assert set(found) <= {b"there"} and objects.read("a/b") == b"there"
    print("done", len(found))

if __name__ == "__main__":
    main(*sys.argv[1:])
'''
FOUND = {"threads": 64, "loop": 9, "spawn": 4, "forkserver": 4, "fork": 0}


@everywhere(*CLOUDS)
@pytest.mark.parametrize("how", FOUND)
def test_R29_a_store_that_was_used_before(place: Place, how: str, tmp_path: Path, counts: Counts) -> None:
    place.fill("a/b", b"there")
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    for _ in range(counts.rounds):
        done = subprocess.run(
            [sys.executable, str(program), place.url, how],
            env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert (done.returncode, done.stdout) == (0, f"done {FOUND[how]}\n"), done.stderr
        what = "refused in forked children" if how == "fork" else f"used by {how} after the process had used it"
        count(f"rounds in which a store was {what}", 1, 1)


NOTEBOOK = """
import asyncio, sys
from envbuild.session import Session

async def cell():
    (made,) = Session().realize("small.yaml")
    return made.prefix

first = asyncio.run(cell())
print(first)
"""


def test_R29_a_session_works_inside_a_running_event_loop(cloud: CloudTeam, counts: Counts) -> None:
    cloud.run("realize", "small.yaml")
    whole = cloud.tree("small")
    cloud.close()
    for _ in range(counts.rounds):
        cloud.another()
        done = subprocess.run(
            [sys.executable, "-c", NOTEBOOK],
            cwd=cloud.project,
            env=cloud.environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
        assert not differences(cloud.tree("small"), whole)
        count("rounds in which a session took all from a bucket inside a running event loop", 1, 1)
