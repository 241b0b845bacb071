"""R26: uploads that are killed: nothing is seen of them, the next one makes the object, and leftovers are told of."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

from envbuild.objects.opening import unfinished_uploads
from tests.case import CHECKOUT
from tests.faults.counts import Counts
from tests.faults.figures import count
from tests.flows.test_shared_clouds import CloudTeam, cloud
from tests.objects.conftest import CLOUDS, Place, everywhere, place
from tests.objects.test_rights import DENIED

__all__ = ["cloud", "place"]

SIZE = 48_000_000
PUT = """
import sys
from pathlib import Path
from envbuild.objects.opening import open_objects
print(open_objects(sys.argv[1]).put(sys.argv[2], Path(sys.argv[3])), flush=True)
"""


class Into:
    """Takes bytes for their digest."""

    def __init__(self) -> None:
        self.state = hashlib.sha256()

    def write(self, data: bytes) -> None:
        self.state.update(data)

    def restart(self) -> None:
        self.state = hashlib.sha256()


@everywhere(*CLOUDS)
def test_R26_a_killed_upload_is_absent_or_whole(place: Place, tmp_path: Path, counts: Counts) -> None:
    """Killed as soon as its k-th request is on its way, and a random moment later."""
    assert place.proxy is not None
    objects = place.open()
    large = tmp_path / "large"
    large.write_bytes(os.urandom(SIZE))
    digest = hashlib.sha256(large.read_bytes()).hexdigest()
    chance = random.Random(place.kind)
    method = {"s3": "*", "gs": "POST", "az": "PUT"}[place.kind]
    absent = 0
    for turn in range(counts.signals):
        name = f"blobs/sha256/{turn:02x}/{digest}"
        place.proxy.forget()
        place.proxy.latency = 0.05 if place.kind != "gs" else 0.0
        process = subprocess.Popen(
            [sys.executable, "-c", PUT, place.url, name, str(large)],
            env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
            stdout=subprocess.PIPE,
        )
        wanted = 1 if place.kind == "gs" else chance.randint(2, 7)
        until = time.monotonic() + 60
        while place.proxy.count(method) < wanted and process.poll() is None:
            assert time.monotonic() < until
            time.sleep(0.001)
        time.sleep(chance.uniform(0, 0.04))
        process.kill()
        process.communicate(timeout=60)
        place.proxy.latency = 0.0
        place.proxy.settle()  # what the kernel had taken already arrives
        into = Into()
        there = objects.fetch(name, into)
        assert objects.sizes([name]) == ({name: SIZE} if there else {})
        assert [item.size for item in objects.list(f"blobs/sha256/{turn:02x}/")] == ([SIZE] if there else [])
        assert not there or into.state.hexdigest() == digest
        absent += not there
        assert objects.put(name, large) == ("exists" if there else "created")
        assert objects.sizes([name]) == {name: SIZE}
        objects.delete(name)
        count(f"killed uploads of 48 MB that were absent or whole, {place.kind}", 1, 1)
    assert absent, "no kill was in the middle of an upload"
    left = unfinished_uploads(place.url)
    assert all(key.startswith("team/store/blobs/sha256/") and key.endswith(digest) for key, _ in left)
    assert unfinished_uploads(place.url.replace("team/store", "team/stores")) == []
    if place.kind == "s3":
        assert 0 < len(left) <= counts.signals  # those whose first request had come through
        assert all(began > 0 for _, began in left)  # moto says the same moment of all
    else:
        assert left == []  # one request at Google's; blocks that Azure forgets


def test_R26_store_info_tells_of_uploads_that_were_never_finished(cloud: CloudTeam, tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(os.urandom(SIZE))
    (info,) = json.loads(cloud.run("store", "info", "--json").out)["stores"]
    assert (info["state"], info["unfinished"], info["since"]) == ("ready", 0, None)
    cloud.proxy.latency = 0.3
    process = subprocess.Popen([sys.executable, "-c", PUT, cloud.url, "blobs/large", str(large)], env=cloud.environ)
    until = time.monotonic() + 60
    while not cloud.proxy.count("PUT", "*/blobs/large"):
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.01)
    process.kill()
    process.wait(timeout=60)
    cloud.proxy.latency = 0.0
    told = cloud.run("store", "info").err
    assert "cloud has 1 unfinished upload, the oldest of 20" in told
    (info,) = json.loads(cloud.run("store", "info", "--json").out)["stores"]
    assert info["unfinished"] == 1
    # who may not list them is told of everything else
    cloud.proxy.fault("GET", "/b-*", status=403, skip=1, body=DENIED, times=9)
    (info,) = json.loads(cloud.run("store", "info", "--json").out)["stores"]
    assert (info["state"], info["unfinished"]) == ("ready", None)
