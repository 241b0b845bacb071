"""``lock`` and ``plan`` of 200 recipes on one base, everything known: cost per recipe, and whether it is linear.

Why: a team keeps hundreds of recipes in one checkout, and CI checks all of them on every change. Nothing is solved,
fetched or linked here: this is the price of reading recipes and locks, keys, graphs and plans. Measured at a quarter,
at half and at all of the recipes; the process's start is paid once.
"""

from __future__ import annotations

import shlex
import statistics

from benchmarks.bench import PYPI_SET, Bench, envbuild, pypi_recipe, pypi_wheels
from benchmarks.measure import Result, Side, interleave
from tests.support.wheel_index import WheelIndex
from tests.support.wheels import make_wheel

WHAT_LIMITS = (
    "Reading each recipe and lock (YAML events, one JSON line a package), and one canonical JSON and sha256 per key."
)


def run(bench: Bench) -> list[Result]:
    """Measure it."""
    most = 40 if bench.quick else 200
    wheels = bench.folder / "wheels"
    wheels.mkdir()
    for wheel in pypi_wheels().glob("*.whl"):
        (wheels / wheel.name).symlink_to(wheel)
    for number in range(20):
        make_wheel(wheels, f"toy-{number}", "1.0")
    server = bench.serve(WheelIndex(folder=wheels))
    environ = bench.environ("ours")
    names = [f"r{number:03d}.yaml" for number in range(most)]
    texts = {
        name: pypi_recipe(server.url, (f"toy-{number % 20}", f"toy-{number // 20}"), extends="base.yaml")
        if number % 20 != number // 20
        else pypi_recipe(server.url, (f"toy-{number % 20}",), extends="base.yaml")
        for number, name in enumerate(names)
    }
    project = bench.project("ours", {"base.yaml": pypi_recipe(server.url, PYPI_SET), **texts})
    bench.say(f"locking {most} recipes the first time")
    bench.setup(envbuild("lock", "base.yaml"), environ, project)
    bench.setup(envbuild("lock", *names), environ, project)
    server.forget()
    counts = (most // 4, most // 2, most)

    def side(count: int) -> Side:
        both = [envbuild("lock", *names[:count]), envbuild("plan", *names[:count])]
        script = " && ".join(map(shlex.join, both))
        return Side(name=f"{count} recipes", command=lambda _: ["sh", "-ec", script], environ=environ, folder=project)

    samples = interleave([side(count) for count in reversed(counts)], bench.rounds(7, 3))
    if server.requests:
        raise AssertionError(f"known recipes asked the index: {server.requests[0].path}")
    quarter, half, whole = (statistics.median(item.cpu for item in samples[f"{count} recipes"]) for count in counts)
    growth = ((whole - half) / (counts[2] - counts[1])) / ((half - quarter) / (counts[1] - counts[0]))
    return [
        Result(
            name=f"lock + plan of {most} recipes on one base, all known",
            target="<= 10 ms a recipe",
            limit=10.0,
            unit="ms each",
            value=statistics.median(item.wall for item in samples[f"{most} recipes"]) / most * 1000,
            samples=samples,
            what_limits=WHAT_LIMITS,
        ),
        Result(
            name="processor cost of a recipe in the second half / in the second quarter (1 is linear)",
            target="<= 1.3",
            limit=1.3,
            unit="growth",
            of="cpu",
            value=growth,
            samples=samples,
        ),
    ]
