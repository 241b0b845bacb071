"""What the engine maps of an index is given back while it solves; the answer is never at risk."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from envbuild.addresses import Addresses
from envbuild.derivations.fetch import Fetch
from envbuild.digest import digest_bytes
from envbuild.machine.workspace import Workspace
from envbuild.package import UrlOrigin
from envbuild.solvers import rattler_call, rattler_child

_MAPS_A_FILE = """
import hashlib, mmap, sys, time
from pathlib import Path
from envbuild.solvers import rattler_child as child

def mapped():
    lines = Path("/proc/self/status").read_text().splitlines()
    files = ("RssFile:", "RssShmem:")  # on a disk, and in memory
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith(files))

path = Path(sys.argv[1], "index.json")
with path.open("rb") as stream:
    index = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    digest = hashlib.sha256(index).hexdigest()
    before, until = mapped(), time.monotonic() + 60
    with child._giving_back(sys.argv[1]):
        while mapped() > before - (24 << 20) and time.monotonic() < until:
            time.sleep(0.01)
    given = before - mapped()
    assert hashlib.sha256(index).hexdigest() == digest
print("given back" if given >= 24 << 20 else f"{given} of {before}")
"""

_LOSES_IT = """
import threading, time
from envbuild.solvers import rattler_child as child
answers = [[(1 << 40, (1 << 40) + 4096)]]  # nothing is there
child._mapped = lambda cache: answers.pop() if answers else []
child._give_back("/", threading.Event())
"""


@pytest.mark.skipif(not Path("/proc/self/maps").is_file(), reason="LINUX ONLY: no other system tells what is mapped")
def test_pages_of_an_index_that_were_read_are_given_back_and_read_the_same_again(tmp_path: Path) -> None:
    (tmp_path / "index.json").write_bytes(bytes(range(256)) * (32 << 12))
    done = subprocess.run([sys.executable, "-c", _MAPS_A_FILE, str(tmp_path)], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("given back\n", "")


def test_a_child_whose_index_goes_meanwhile_ends_at_once() -> None:
    done = subprocess.run([sys.executable, "-c", _LOSES_IT], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (rattler_child.AGAIN, "")


def test_it_is_asked_again_and_keeps_its_indices_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "child.py"
    script.write_text(
        "import json, os, sys\nfrom pathlib import Path\n"
        f"if not json.loads(Path(sys.argv[1]).read_text())['whole']:\n    os._exit({rattler_child.AGAIN})\n"
        "Path(sys.argv[2]).write_text(json.dumps({'answered': 'with all in memory'}))\n"
    )
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: importlib.util.spec_from_file_location(name, str(script))
    )
    sha256 = digest_bytes(b"x")
    fetch = Fetch(sha256=sha256, file="x.conda", origin=UrlOrigin(url="https://files.example/x.conda", file="x.conda"))
    with Workspace(tmp_path / "home", Addresses(root=str(tmp_path)), environ={}) as workspace:
        answer = rattler_call.ask_rattler("any", {}, [], tmp_path, workspace.for_job(fetch, {}))
    assert answer == {"answered": "with all in memory"}
