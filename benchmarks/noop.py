"""A ``realize`` with nothing to do, against ``python -c "import click"``.

Why: editors, Makefiles and schedulers call ``realize`` before every command; it must cost no more than starting Python
and reading one stamp. click is in every command line, so importing it is the floor.
"""

from __future__ import annotations

import sys

from benchmarks.bench import Bench, envbuild, pypi_recipe
from benchmarks.measure import Result, Side, interleave
from tests.support.wheel_index import WheelIndex
from tests.support.wheels import make_wheel

WHAT_LIMITS = (
    "Starting Python and importing click is most of it; the rest is reading the stamp and every input's bytes."
)


def run(bench: Bench) -> list[Result]:
    """Measure it."""
    wheels = bench.folder / "wheels"
    make_wheel(wheels, "toy", "1.0")
    server = bench.serve(WheelIndex(folder=wheels))
    environ = bench.environ("ours")
    project = bench.project("ours", {"x.yaml": pypi_recipe(server.url, ("toy",))})
    bench.setup(envbuild("realize", "x.yaml"), environ, project)
    server.forget()
    sides = [
        Side(name="envbuild realize", command=lambda _: envbuild("realize", "x.yaml"), environ=environ, folder=project),
        Side(
            name='python -c "import click"',
            command=lambda _: [sys.executable, "-c", "import click"],
            environ=environ,
            folder=project,
        ),
    ]
    samples = interleave(sides, bench.rounds(40, 10), warm_up=2)
    if server.requests:
        raise AssertionError(f"a no-op realize asked the index: {server.requests[0].path}")
    return [
        Result(
            name="no-op realize, whole process",
            target="<= 2.5x",
            limit=2.5,
            samples=samples,
            what_limits=WHAT_LIMITS,
        )
    ]
