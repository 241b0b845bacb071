"""A package larger than memory should be: transmuted whole, and the process stays small.

Under ``./dev torture`` the package file has 2 GB, else 24 MB.
"""

from __future__ import annotations

import bz2
import hashlib
import io
import json
import random
import shutil
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest

from envbuild.digest import digest_file
from tests.case import Case
from tests.faults.counts import COUNTS
from tests.faults.figures import count, worst
from tests.support.tars import file, index, write_channel

MOST = 200 << 20
PIECE = (64 << 20) if COUNTS.full else (4 << 20)
PIECES = 31 if COUNTS.full else 6
ROOM = 8 * PIECE * PIECES


def large_package(path: Path) -> dict[str, str]:
    """A package of files that cannot be compressed, written as bz2 streams one after the other.

    Returns:
        The sha256 of each file.
    """
    content = random.Random(7).randbytes(PIECE)
    packed = bz2.compress(content)
    digests = {}
    with path.open("wb") as stream:
        for number in range(PIECES):
            member = tarfile.TarInfo(f"share/big/{number}")
            member.size = len(content)
            stream.write(bz2.compress(member.tobuf()) + packed)
            digests[member.name] = hashlib.sha256(content).hexdigest()
        end = io.BytesIO()
        with tarfile.open(fileobj=end, mode="w") as archive:
            paths = [
                {"_path": name, "path_type": "hardlink", "sha256": digest, "size_in_bytes": PIECE}
                for name, digest in digests.items()
            ]
            listing = json.dumps({"paths": paths, "paths_version": 1}).encode()
            for entry in (index(name="big"), file("info/paths.json", listing)):
                member = tarfile.TarInfo(entry.name)
                member.size = len(entry.content)
                archive.addfile(member, io.BytesIO(entry.content))
        stream.write(bz2.compress(end.getvalue()))
    return digests


def peak_of(case: Case, *arguments: str) -> int:
    """Run a command to its end and give the largest memory that its own process had, in bytes."""
    peak = 0
    with subprocess.Popen(
        [sys.executable, "-m", "envbuild", *arguments], cwd=case.project, env=case.environ, stderr=subprocess.PIPE
    ) as process:
        while process.poll() is None:
            status = Path(f"/proc/{process.pid}/status").read_text()
            if "VmHWM:" in status:
                peak = max(peak, int(status.partition("VmHWM:")[2].split()[0]) << 10)
            time.sleep(0.02)
        assert process.stderr is not None
        assert process.returncode == 0, process.stderr.read().decode()
    return peak


@pytest.mark.skipif(sys.platform != "linux", reason="ONLY LINUX tells a process's peak while it runs")
@pytest.mark.parametrize("wanted", [".conda", ".tar.bz2"])
def test_a_large_package_is_transmuted_in_little_memory(case: Case, tmp_path: Path, wanted: str) -> None:
    if shutil.disk_usage(tmp_path).free < ROOM:
        pytest.skip(f"NO ROOM for a large package: {ROOM >> 30} GiB are needed below {tmp_path}")
    path = tmp_path / "channel" / "noarch" / "big-1.0-0.tar.bz2"
    path.parent.mkdir(parents=True)
    digests = large_package(path)
    if wanted == ".tar.bz2":
        from envbuild.transmuting.rewrite import Package, rewrite

        conda = path.with_name("big-1.0-0.conda")
        rewrite(Package(path=path, file=path.name), conda, 1)
        path.unlink()
        path = conda
    url = write_channel(tmp_path / "channel", (path, {"name": "big"}))
    size = path.stat().st_size
    case.file("envbuild.yaml", f"conda-format: {wanted}\n")
    case.recipe(f"conda:\n  channels: ['{url}']\n  packages:\n    big:\n").run("lock", "x.yaml")
    began = time.monotonic()
    peak = peak_of(case, "realize", "x.yaml")
    worst(f"MB of memory while a package of {size / 1e9:.2g} GB becomes a {wanted}", peak / 1e6)
    worst(f"seconds until a package of {size / 1e9:.2g} GB is a {wanted} and linked", time.monotonic() - began)
    assert peak < MOST
    prefix = (case.project / ".envs" / "x").resolve()
    for name, digest in digests.items():
        assert digest_file(prefix / name) == digest
    assert len(list((case.home / "store" / "results" / "transmute").rglob("*.json"))) == 1
    assert not list(case.home.rglob("info.tar.zst"))
    count("large packages transmuted in less than 200 MiB", 1, 1)
