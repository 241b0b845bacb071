"""Realize about 60 conda packages (12,000 files) with a lock and nothing else, against py-rattler called directly.

Why: the first time on a laptop, in CI, on a fresh node. Both sides download from the same loopback server, unpack and
link; the lock (here) and the records (there) are given, for solving is no part of the question. envbuild hashes every
file and keeps it in its store before the engine unpacks it; what that costs must hide behind the downloads.
"""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks import synthetic_channel
from benchmarks.bench import Bench, envbuild, remove
from benchmarks.conda_warm import recipe, records
from benchmarks.measure import Result, Side, interleave
from tests.support.channel import made_channel

WHAT_LIMITS = (
    "Unpacking and linking by py-rattler; each package is written twice (the store's file, the engine's unpacked copy)."
)


def run(bench: Bench) -> list[Result]:
    """Measure it."""
    channel = made_channel()
    folder = synthetic_channel.made(channel)
    server = bench.serve(folder)
    environ = bench.environ("ours")
    home = Path(environ["ENVBUILD_HOME"])
    project = bench.project("ours", {"x.yaml": recipe(folder, server.url, channel)})
    direct, cache = bench.folder / "direct", bench.folder / "direct" / "cache"
    listing = records(folder, server.url, direct)
    script = str(Path(__file__).with_name("direct_rattler.py"))
    bench.setup(envbuild("lock", "x.yaml"), environ, project)

    def nothing_of_ours(_: int) -> None:
        for path in (home, project / ".envs"):
            remove(path)

    def nothing_of_theirs(_: int) -> None:
        for path in (cache, direct / "prefix"):
            remove(path)

    sides = [
        Side(
            name="envbuild realize",
            command=lambda _: envbuild("realize", "x.yaml"),
            environ=environ,
            folder=project,
            prepare=nothing_of_ours,
        ),
        Side(
            name="py-rattler directly",
            command=lambda _: [sys.executable, script, str(listing), str(cache), str(direct / "prefix")],
            environ=bench.environ("theirs"),
            folder=direct,
            prepare=nothing_of_theirs,
        ),
    ]
    return [
        Result(
            name="conda, ~60 packages and 12,000 files, locked, cold from a loopback server (informational: 1.3x)",
            target="none",
            samples=interleave(sides, bench.rounds(8, 3)),
            what_limits=WHAT_LIMITS,
        )
    ]
