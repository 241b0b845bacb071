"""``affected`` on a checkout of 1,000 recipes: which of them hold a package, asked when a vulnerability is told.

Why: the question comes when everybody waits for the answer. Each recipe has a lock of real packages on two platforms,
so that all of their lines have to be looked through. Nothing is asked of a network; a lock that holds the package is
told with its versions.
"""

from __future__ import annotations

import shutil

from benchmarks.bench import SERIES, Bench, envbuild, pypi_wheels
from benchmarks.measure import Result, Side, interleave
from tests.support.wheel_index import WheelIndex

RECIPES = 1000
PACKAGES = ("requests", "numpy", "pandas", "scikit-learn", "matplotlib")


def run(bench: Bench) -> list[Result]:
    """Measure it."""
    server = bench.serve(WheelIndex(folder=pypi_wheels()))
    head = f'interpreter: host\npython: "{SERIES}"\npypi:\n  index: {server.url}/simple\n  packages:\n'
    recipe = head + "".join(f"    {name}:\n" for name in PACKAGES)
    environ = bench.environ("ours")
    project = bench.project("ours", {"r0000.yaml": recipe, "envbuild.yaml": ""})
    bench.setup(envbuild("lock", "r0000.yaml"), environ, project)
    for number in range(1, RECIPES):
        for ending in ("yaml", "lock.yaml"):
            shutil.copy(project / f"r0000.{ending}", project / f"r{number:04}.{ending}")
    server.forget()
    lines = sum(line.startswith("      - {") for line in (project / "r0000.lock.yaml").read_text().splitlines())
    bench.say(f"{RECIPES} locks of {lines} packages")

    def side(name: str, package: str) -> Side:
        return Side(
            name=name,
            command=lambda _: envbuild("affected", "--package", package),
            environ=environ,
            folder=project,
        )

    sides = [side("all of them hold it", "numpy>=1"), side("none of them holds it", "openssl<3.3")]
    samples = interleave(sides, bench.rounds(10, 3))
    if server.requests:
        raise AssertionError(f"affected asked the index: {server.requests[0].path}")
    results = []
    for name, found in samples.items():
        one = {name: found}
        result = Result(name=f"affected --package, {RECIPES} recipes, {name}", target="< 1 s", samples=one)
        result.limit, result.unit, result.value = 1.0, "seconds", result.median(0)
        results.append(result)
    return results
