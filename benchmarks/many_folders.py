"""``lock`` and ``realize`` of a folder of 1,000 recipes on 20 bases, from nothing: cost of a recipe, and its growth.

Why: a new checkout, and a change of a base, lock and realize hundreds of recipes at once. Solves, downloads and builds
that are equal are done once, bases are solved before what extends them, and the cost of a recipe must not grow with how
many there are; nor may memory grow by more than what their locks are. Measured at a quarter, at half and at all of the
recipes, with as many bases for each; the 50 recipes of a base ask for 20 different things.
"""

from __future__ import annotations

import statistics
from pathlib import Path

from benchmarks.bench import Bench, envbuild, forget_environments, pypi_recipe, remove
from benchmarks.measure import Result, Sample, Side, interleave
from tests.support.wheel_index import WheelIndex
from tests.support.wheels import make_wheel

LOCKING = "uv, one process for each solve that is another one; then reading recipes and writing locks."
REALIZING = "An environment of the interpreter (venv) for each that is another one; then links, roots and records."

BASES = 20


def run(bench: Bench) -> list[Result]:
    """Measure it."""
    most = 100 if bench.quick else 1000
    wheels = bench.folder / "wheels"
    for number in range(40):
        make_wheel(wheels, f"toy-{number}", "1.0")
    url = bench.serve(WheelIndex(folder=wheels)).url
    counts = (most // 4, most // 2, most)
    return [*_measured(bench, url, counts, "lock"), *_measured(bench, url, counts, "realize")]


def _measured(bench: Bench, url: str, counts: tuple[int, int, int], verb: str) -> list[Result]:
    sides = [_side(bench, url, count, count * BASES // counts[2], verb) for count in reversed(counts)]
    samples = interleave(sides, bench.rounds(3, 1))
    quarter, half, whole = (statistics.median(item.cpu for item in samples[f"{count} recipes"]) for count in counts)
    growth = ((whole - half) / (counts[2] - counts[1])) / ((half - quarter) / (counts[1] - counts[0]))
    most = counts[2]
    of = f"{most} recipes on {BASES} bases"
    wall = statistics.median(item.wall for item in samples[f"{most} recipes"])
    results = [
        Result(
            name=f"{verb} of a folder of {of}, from nothing",
            target="none",
            unit="ms each",
            value=wall / most * 1000,
            samples=samples,
            what_limits=LOCKING if verb == "lock" else REALIZING,
        ),
        Result(
            name=f"{verb}: processor cost of a recipe in the second half / in the second quarter (1 is linear)",
            target="<= 1.3",
            limit=1.3,
            unit="growth",
            of="cpu",
            value=growth,
            samples=samples,
        ),
    ]
    return [*results, _peak(f"{verb} of {of}: largest process", samples[f"{most} recipes"])]


def _peak(name: str, samples: list[Sample]) -> Result:
    return Result(
        name=name,
        target="<= 250 MB",
        limit=250.0,
        unit="MB",
        value=statistics.median(item.peak for item in samples) / 1e6,
        samples={name: samples},
    )


def _side(bench: Bench, url: str, count: int, bases: int, verb: str) -> Side:
    name = f"{verb}-{count}"
    environ = bench.environ(name)
    project = bench.project(name, {"envbuild.yaml": "recipes: recipes\n"})
    _write(project / "recipes", url, count, bases)
    home = Path(environ["ENVBUILD_HOME"])
    if verb == "realize":
        bench.say(f"locking {count} recipes")
        bench.setup(envbuild("lock", "recipes", "--quiet"), environ, project)

    def forget(_: int) -> None:
        forget_environments(home, project)
        remove(home / "store")
        for lock in (project / "recipes").glob("*.lock.yaml") if verb == "lock" else ():
            lock.unlink()

    return Side(
        name=f"{count} recipes",
        command=lambda _: envbuild(verb, "recipes", "--quiet"),
        environ=environ,
        folder=project,
        prepare=forget,
    )


def _write(folder: Path, url: str, count: int, bases: int) -> None:
    folder.mkdir(exist_ok=True)
    for base in range(bases):
        packages = tuple(f"toy-{(base + number) % 20}" for number in range(5))
        (folder / f"base-{base}.yaml").write_text(pypi_recipe(url, packages))
    for number in range(count):
        text = pypi_recipe(url, (f"toy-{20 + number // bases % 20}",), extends=f"base-{number % bases}.yaml")
        (folder / f"r{number:04d}.yaml").write_text(text)
