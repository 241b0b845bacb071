"""Many cold nodes at once on one S3 server: is any of them left behind, and does each ask for what it needs alone?

200 processes begin at the same moment, each with an empty home, and realize one environment by its id: 20 wheels of
1 MB, on this machine's Python, so that the closure is 20 MB and linking is cheap. All of them and the server share this
machine's processors, so what a node takes says little, and how alike they are says all. Requests are counted by a proxy
before the server. A server on two processors keeps some of 200 waiting for longer than a connection may take to open:
``ENVBUILD_DEADLINE`` has them ask again.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import time
from pathlib import Path

from benchmarks.bench import Bench, envbuild, pypi_recipe
from benchmarks.bucket import Bucket
from benchmarks.measure import CommandError, Result
from tests.support.wheel_index import WheelIndex
from tests.support.wheels import make_wheel

WHEELS = 20
LIMITS = "The processors, which all nodes and the server share; a node alone takes a second."


def run(bench: Bench) -> list[Result]:
    """Measure it."""
    nodes = bench.rounds(200, 16)
    folder = bench.folder / "wheels"
    folder.mkdir()
    names = tuple(f"part-{number:02}" for number in range(WHEELS))
    for name in names:
        data = random.Random(name).randbytes(1 << 20)
        make_wheel(folder, name, "1.0", files={f"{name.replace('-', '_')}/data.bin": data})
    bucket = Bucket.made(bench)
    set_ = bucket.fill("storm", pypi_recipe(bench.serve(WheelIndex(folder=folder)).url, names))
    proxy = bucket.server.proxy
    environ = {**bucket.environ("node", proxy.server_address[1]), "ENVBUILD_DEADLINE": "600"}
    project = bench.project("node", {"envbuild.yaml": ""})
    proxy.forget()
    seconds = sorted(_storm(set_.identity, nodes, environ, project, bench.folder / "nodes"))
    asked, other = proxy.count("GET"), proxy.count("*") - proxy.count("GET")
    proxy.forget()
    shutil.rmtree(bench.folder / "nodes")
    middle, last = seconds[len(seconds) // 2], seconds[max(0, round(len(seconds) * 0.99) - 1)]
    title = f"{nodes} cold nodes at once, a closure of 20 MB"
    bench.say(f"{nodes} nodes: {middle:.1f} s in the middle, {last:.1f} s for the 99th of 100, {asked} GETs")
    return [
        Result(
            name=f"{title}: p99 / p50 of the time until it is linked ({last:.1f} s / {middle:.1f} s)",
            target="<= 3",
            limit=3,
            unit="growth",
            value=last / middle,
            what_limits=LIMITS,
        ),
        Result(
            name=f"{title}: GETs a node, for {WHEELS} blobs and a closure ({other} other requests in all)",
            target="<= objects + 3",
            limit=WHEELS + 1 + 3,
            unit="requests",
            value=asked / nodes,
        ),
    ]


def _storm(identity: str, nodes: int, environ: dict[str, str], project: Path, homes: Path) -> list[float]:
    """Seconds that each took, from its own start to its end.

    Raises:
        CommandError: When one of them failed.
    """
    homes.mkdir()
    began: dict[int, float] = {}
    running = {}
    for number in range(nodes):
        command = envbuild("realize", identity)
        home = homes / f"{number:03}"
        with home.with_suffix(".txt").open("wb") as stream:
            process = subprocess.Popen(
                command,
                env={**environ, "ENVBUILD_HOME": str(home)},
                cwd=project,
                stdout=subprocess.DEVNULL,
                stderr=stream,
            )
        began[process.pid] = time.monotonic()
        running[process.pid] = process, home.with_suffix(".txt")
    seconds = []
    while began:
        pid, status = os.wait()
        if pid in began:
            seconds.append(time.monotonic() - began.pop(pid))
            process, said = running.pop(pid)
            process.returncode = os.waitstatus_to_exitcode(status)  # waited for here
            if status:
                raise CommandError(f"a node of a storm ended with {process.returncode}: {said.read_text()[-500:]}")
    return seconds
