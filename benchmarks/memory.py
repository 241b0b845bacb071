"""The largest process of locking against a channel of 300 MB, and of realizing 12,000 files.

Why: steps of flows run in containers of some hundred megabytes, and a process that needs more is killed there, without
a word. What counts is the largest process of the whole tree (``launch.py``): envbuild's own, or that of an engine.

Locking is measured for each kind of index that channels have (one file, one compressed file, shards), cold: with no
copy of the index; and again with one, as all later locks are.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks import large_channel, synthetic_channel
from benchmarks.bench import Bench, envbuild, forget_environments, remove
from benchmarks.conda_warm import recipe
from benchmarks.measure import Result, Sample, Side, interleave
from tests.support.channel import made_channel, this_platform

LOCKING, REALIZING = 250_000_000, 200_000_000

LIMITS = {
    "plain": "py-rattler, which maps the index into memory and reads the records of names that the solve meets.",
    "compressed": "The same, of the file that it was unpacked into.",
    "sharded": "py-rattler, which brings one small file for each name that the solve meets.",
}
REALIZED = "py-rattler's process, which links; envbuild's own holds no list of files."


def run(bench: Bench) -> list[Result]:
    """Measure it."""
    return [*_locking(bench), *_realizing(bench)]


def _locking(bench: Bench) -> list[Result]:
    platform = this_platform()
    size = large_channel.BYTES // 30 if bench.quick else large_channel.BYTES
    bench.say(f"a channel of {size / 1e6:.0f} MB")
    folder = large_channel.made(platform, size)
    results = []
    for kind, limits in LIMITS.items():
        server = bench.serve(folder / kind)
        environ = bench.environ(kind)
        wanted = "".join(f"    {name}:\n" for name in large_channel.asked(size))
        text = f'platforms: [{platform}]\nconda:\n  channels: ["{server.url}"]\n  packages:\n{wanted}'
        project = bench.project(kind, {"x.yaml": text})
        for again in (False, True):

            def forget(_: int, project: Path = project, environ: dict[str, str] = environ, again: bool = again) -> None:
                remove(project / "x.lock.yaml")
                home = Path(environ["ENVBUILD_HOME"])
                for name in ("store",) if again else ("store", "cache"):
                    remove(home / name)

            side = Side(
                name="envbuild lock",
                command=lambda _: envbuild("lock", "x.yaml"),
                environ=environ,
                folder=project,
                prepare=forget,
            )
            samples = interleave([side], bench.rounds(3, 1), warm_up=int(again))
            state = "with a copy of the index" if again else "cold"
            name = f"lock against a channel of {size / 1e6:.0f} MB, {kind}, {state}: largest process"
            results.append(_row(name, samples, LOCKING, limits))
    return results


def _realizing(bench: Bench) -> list[Result]:
    channel = made_channel()
    folder = synthetic_channel.made(channel)
    server = bench.serve(folder)
    results = []
    for state in ("cold", "warm"):
        environ = bench.environ(f"realize-{state}")
        project = bench.project(f"realize-{state}", {"x.yaml": recipe(folder, server.url, channel)})
        bench.setup(envbuild("lock", "x.yaml"), environ, project)
        home = Path(environ["ENVBUILD_HOME"])

        def forget(_: int, project: Path = project, home: Path = home, cold: bool = state == "cold") -> None:
            forget_environments(home, project)
            for name in ("store", "cache") if cold else ():
                remove(home / name)

        side = Side(
            name="envbuild realize",
            command=lambda _: envbuild("realize", "x.yaml"),
            environ=environ,
            folder=project,
            prepare=forget,
        )
        samples = interleave([side], bench.rounds(3, 1), warm_up=int(state == "warm"))
        name = f"realize ~60 conda packages and 12,000 files, {state}: largest process"
        results.append(_row(name, samples, REALIZING, REALIZED))
    return results


def _row(name: str, samples: dict[str, list[Sample]], limit: int, what_limits: str) -> Result:
    """The largest of all rounds: a container has one limit, and no median."""
    (found,) = samples.values()
    return Result(
        name=name,
        target=f"< {limit / 1e6:.0f} MB",
        limit=limit / 1e6,
        unit="MB",
        of="peak",
        value=max(item.peak for item in found) / 1e6,
        samples=samples,
        what_limits=what_limits,
    )
