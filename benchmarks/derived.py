"""A derived recipe with one more pure-Python package, against the same recipe written out and done from nothing.

Why: the everyday change. The base is locked and realized; the derived recipe is new: ``realize`` locks it, fetches
one wheel and links. Each round adds another package, so nothing of a round before can help. The other side is one
recipe that names everything, with an empty home, from the same loopback index.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.bench import PYPI_SET, Bench, envbuild, pypi_recipe, pypi_wheels, remove
from benchmarks.measure import Result, Side, interleave
from tests.support.wheel_index import WheelIndex
from tests.support.wheels import make_wheel

WHAT_LIMITS = "uv's resolution with the base pinned, and linking the whole environment again (all hard links)."


def run(bench: Bench) -> list[Result]:
    """Measure it."""
    rounds = bench.rounds(5, 2)
    wheels = bench.folder / "wheels"
    wheels.mkdir()
    for wheel in pypi_wheels().glob("*.whl"):
        (wheels / wheel.name).symlink_to(wheel)
    for number in range(rounds + 1):
        make_wheel(wheels, f"toy-{number}", "1.0")
    server = bench.serve(WheelIndex(folder=wheels))
    ours, theirs = bench.environ("ours"), bench.environ("theirs")
    derived = {
        f"d{number}.yaml": pypi_recipe(server.url, (f"toy-{number}",), extends="base.yaml")
        for number in range(rounds + 1)
    }
    project = bench.project("ours", {"base.yaml": pypi_recipe(server.url, PYPI_SET), **derived})
    written_out = {
        f"d{number}.yaml": pypi_recipe(server.url, (*PYPI_SET, f"toy-{number}")) for number in range(rounds + 1)
    }
    other = bench.project("theirs", written_out)
    bench.setup(envbuild("realize", "base.yaml"), ours, project)
    sides = [
        Side(
            name="derived: lock + realize",
            command=lambda number: envbuild("realize", f"d{number}.yaml"),
            environ=ours,
            folder=project,
        ),
        Side(
            name="written out, from nothing",
            command=lambda number: envbuild("realize", f"d{number}.yaml"),
            environ=theirs,
            folder=other,
            prepare=lambda _: remove(Path(theirs["ENVBUILD_HOME"])),
        ),
    ]
    return [
        Result(
            name="derived recipe, one pure-Python package more",
            target="<= 0.25x",
            limit=0.25,
            samples=interleave(sides, rounds),
            what_limits=WHAT_LIMITS,
        )
    ]
