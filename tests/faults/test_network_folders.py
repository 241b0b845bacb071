"""R31: a store in a folder that two clients mount over NFS, by versions 3 and 4.

The kernel must be able to mount NFS, and this machine to export a folder (``nfs-kernel-server``); or
``ENVBUILD_TEST_NFS`` names two mounts of one export, ``/mnt/a:/mnt/b``. Without either the test says so and is not run.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from envbuild.objects.folder import FolderObjects
from envbuild.objects.probe import probe
from tests.case import CHECKOUT
from tests.faults.conftest import Mounts
from tests.faults.counts import Counts
from tests.faults.figures import count
from tests.faults.test_names import MOVES, WRITERS, moved_by_many

GIVEN = [Path(part) for part in os.environ.get("ENVBUILD_TEST_NFS", "").split(":") if part]
PUT = """
import hashlib, sys
from envbuild.objects.opening import open_objects
objects = open_objects(sys.argv[1])
sys.stdin.readline()
for number in range(40):
    data = str(number).encode() * 1000
    name = hashlib.sha256(data).hexdigest()
    print(objects.put(f"blobs/sha256/{name[:2]}/{name}", data))
"""


@pytest.fixture(params=["3", "4.2"])
def clients(request: pytest.FixtureRequest, tmp_path: Path, mounted: Mounts) -> Iterator[tuple[Path, Path]]:
    """One folder, as two clients see it."""
    if len(GIVEN) == 2:
        name = uuid.uuid4().hex
        yield GIVEN[0] / name, GIVEN[1] / name
        shutil.rmtree(GIVEN[0] / name, ignore_errors=True)
        return
    if "\tnfs" not in Path("/proc/filesystems").read_text():
        pytest.skip("NFS NOT RUN: this kernel cannot mount NFS, and ENVBUILD_TEST_NFS names no two mounts")
    export = shutil.which("exportfs")
    if export is None or os.geteuid() != 0:
        pytest.skip("NFS NOT RUN: root and nfs-kernel-server are needed, or two mounts in ENVBUILD_TEST_NFS")
    folder = tmp_path / "export"
    folder.mkdir()
    where = f"127.0.0.1:{folder}"
    done = subprocess.run(
        [export, "-o", "rw,sync,no_root_squash,insecure,fsid=77", where], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"NFS NOT RUN: {done.stderr.strip()}")
    with ExitStack() as stack:
        stack.callback(subprocess.run, [export, "-u", where], check=False)
        stack.callback(mounted.end)
        places = tmp_path / "a", tmp_path / "b"
        for place in places:
            mounted(place, "-t", "nfs", "-o", f"vers={request.param},nosharecache,actimeo=1", where)
        yield places[0] / "store", places[1] / "store"


def test_R31_two_clients_of_one_export_agree(clients: tuple[Path, Path], counts: Counts) -> None:
    probe(FolderObjects(clients[0]))
    urls = [f"file://{client}" for client in clients]
    kept = moved_by_many(FolderObjects(clients[0]), *urls)
    count("moves of one name over NFS that are kept, each once", kept, WRITERS * MOVES)
    running = [
        subprocess.Popen(
            [sys.executable, "-c", PUT, urls[number % 2]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        )
        for number in range(counts.processes)
    ]
    told = [process.communicate("go\n", timeout=300)[0].split() for process in running]
    assert [sum(answers[number] == "created" for answers in told) for number in range(40)] == [1] * 40
    for client in clients:
        for item in FolderObjects(client).list("blobs/"):
            assert hashlib.sha256((client / item.name).read_bytes()).hexdigest() == Path(item.name).name
    count("blobs put over NFS by many at once, created once each", 40, 40)
