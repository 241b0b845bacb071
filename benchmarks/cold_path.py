"""Realize with a lock and nothing else: against py-rattler and uv, near, 30 ms away, and through a slow line.

Why: the first time on a laptop, in CI, on a fresh node. Both sides download from the same loopback server, unpack and
link; for conda the lock (here) and the records (there) are given, for solving is no part of the question. envbuild
hashes every file and keeps it in its store before the engine unpacks it. Through a line of 100 Mbit/s nothing but the
line should count: the bytes divided by its bandwidth are the floor, and what is above it was not overlapped.
"""

from __future__ import annotations

import os
import resource
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import old_channel, synthetic_channel
from benchmarks.bench import (
    PYPI_SET,
    Bench,
    base_python,
    envbuild,
    pypi_recipe,
    pypi_wheels,
    remove,
    uv,
)
from benchmarks.conda_warm import recipe, records
from benchmarks.measure import Result, Side, interleave
from tests.support.channel import TestChannel, made_channel
from tests.support.servers import Server
from tests.support.wheel_index import WheelIndex

BANDWIDTH = 100e6 / 8
"""Bytes a second: 100 Mbit/s."""

LATENCY = 0.03

CONDA = (
    "Processors: unpacking and linking by py-rattler; each package is written twice (the store's file, the engine's "
    "unpacked copy), hashed, and held against its list of files. Before that, starting Python and reading the lock."
)
PYPI = "Processors: as of the row without a distance. What uv and envbuild wait for is the same: pages, then wheels."
LINE = "The line; then what the last package needs after its last byte, and linking everything."


class _Sides:
    """Two commands on one server, and what they leave behind."""

    def __init__(self, name: str, bench: Bench, server: Server) -> None:
        self.environ, self.theirs = bench.environ(f"{name}-ours"), bench.environ(f"{name}-theirs")
        self.server = server
        self.home = Path(self.environ["ENVBUILD_HOME"])

    def two(
        self, project: Path, theirs: str, command: Sequence[str], gone: Sequence[Path], *, locked: bool
    ) -> list[Side]:
        """The sides; ours with its lock or without."""

        def nothing_of_ours(_: int) -> None:
            for path in (self.home, project / ".envs", *(() if locked else (project / "x.lock.yaml",))):
                remove(path)

        def nothing_of_theirs(_: int) -> None:
            for path in gone:
                remove(path)

        ours = Side(
            name="envbuild realize",
            command=lambda _: envbuild("realize", "x.yaml"),
            environ=self.environ,
            folder=project,
            prepare=nothing_of_ours,
        )
        return [
            ours,
            Side(
                name=theirs,
                command=lambda _: command,
                environ=self.theirs,
                folder=project,
                prepare=nothing_of_theirs,
            ),
        ]


def _conda(bench: Bench, name: str, folder: Path, channel: TestChannel) -> tuple[_Sides, list[Side], int]:
    """The sides for a channel's folder, and the bytes of its packages."""
    server = bench.serve(folder)
    sides = _Sides(name, bench, server)
    project = bench.project(f"{name}-ours", {"x.yaml": recipe(folder, server.url, channel)})
    direct = bench.folder / f"{name}-direct"
    listing = records(folder, server.url, direct)
    script = str(Path(__file__).with_name("direct_rattler.py"))
    bench.setup(envbuild("lock", "x.yaml"), sides.environ, project)
    command = [sys.executable, script, str(listing), str(direct / "cache"), str(direct / "prefix")]
    size = sum(path.stat().st_size for path in folder.glob("*/*") if path.name.endswith((".conda", ".tar.bz2")))
    gone = (direct / "cache", direct / "prefix")
    return sides, sides.two(project, "py-rattler directly", command, gone, locked=True), size


def _pypi(bench: Bench, *, locked: bool) -> tuple[_Sides, list[Side], int]:
    name = "locked-wheels" if locked else "wheels"
    server = bench.serve(WheelIndex(folder=pypi_wheels()))
    sides = _Sides(name, bench, server)
    project = bench.project(f"{name}-ours", {"x.yaml": pypi_recipe(server.url, PYPI_SET)})
    bench.setup(envbuild("realize", "x.yaml"), sides.environ, project)
    python = base_python(next(path for path in (sides.home / "prefixes").iterdir() if (path / "bin").is_dir()))
    environment = bench.folder / name / "environment"
    make = f"{uv()} venv --quiet --python {python} {environment}"
    install = f"{uv()} pip install --quiet --python {environment} --index-url {server.url}/simple {' '.join(PYPI_SET)}"
    size = sum(path.stat().st_size for path in pypi_wheels().glob("*.whl"))
    gone = (environment, Path(sides.theirs["UV_CACHE_DIR"]))
    command = ["sh", "-ec", f"{make}; {install}"]
    return sides, sides.two(project, "uv venv + uv pip install", command, gone, locked=locked), size


def _compared(two: list[Side], rounds: int, name: str, target: str, limit: float, why: str) -> list[Result]:
    """How the sides compare, and how busy envbuild keeps the processors, on which the server runs too."""
    before = resource.getrusage(resource.RUSAGE_SELF)
    samples = interleave(two, rounds)
    after = resource.getrusage(resource.RUSAGE_SELF)
    compared = Result(name=name, target=target, limit=limit, samples=samples, what_limits=why)
    served = (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / (len(two) * (rounds + 1))
    ours = next(iter(samples.values()))
    used = statistics.median(sample.cpu for sample in ours) + served
    busy = Result(
        name=f"{name}: share of the processors' time in use",
        target="none",
        unit="share",
        value=used / compared.median(0) / (os.cpu_count() or 1),
    )
    return [compared, busy]


def run(bench: Bench) -> list[Result]:
    """Measure it."""
    channel = made_channel()
    folder = synthetic_channel.made(channel)
    results: list[Result] = []
    for form, place in ((".conda", folder), (".tar.bz2", old_channel.made(channel))):
        sides, two, size = _conda(bench, form[1:].replace(".", "-"), place, channel)
        for latency in (0.0, LATENCY):
            sides.server.latency = latency
            where = f", every answer {latency * 1000:.0f} ms late" if latency else ""
            bench.say(f"{form}{where}")
            name = f"conda, 60 packages as {form}, locked, cold from a loopback server{where}"
            results += _compared(two, bench.rounds(7, 2), name, "< 1.0x", 1.0, CONDA)
        if form == ".conda":
            results.append(_through_a_line(bench, "conda, 60 packages as .conda", sides, two, size))
    sides, two, _ = _pypi(bench, locked=False)
    sides.server.latency = LATENCY
    bench.say("wheels, far")
    name = f"PyPI set, cold, every answer of the index {LATENCY * 1000:.0f} ms late"
    results += _compared(two, bench.rounds(5, 2), name, "<= 1.3x", 1.3, PYPI)
    sides, two, size = _pypi(bench, locked=True)
    results.append(_through_a_line(bench, "PyPI set", sides, two, size))
    return results


def _through_a_line(bench: Bench, name: str, sides: _Sides, two: list[Side], size: int) -> Result:
    """What a slow line costs beyond its bytes."""
    bench.say(f"{name}, through a slow line")
    sides.server.latency, sides.server.bandwidth = 0.0, BANDWIDTH
    samples = interleave(two, bench.rounds(3, 1), warm_up=0)
    floor = size / BANDWIDTH
    result = Result(
        name=f"{name}, locked, cold through 100 Mbit/s, against bytes / bandwidth ({floor:.2f} s)",
        target="<= 1.05x",
        limit=1.05,
        samples=samples,
        what_limits=LINE,
    )
    result.value = result.median(0) / floor
    return result
