"""Lock the PyPI set, against ``uv pip compile``.

Cold: empty caches on both sides, a loopback index with PEP 658 metadata, every answer 50 ms late: the target is judged
there, for that is how far a near index is. A loopback index that answers at once leaves uv 0.1 s, so that starting
Python would decide, which no real lock is about; that row is shown for information. Warm: uv's cache (ours and theirs)
is warm, but there is no lock and nothing to reuse. Why: people lock again and again while they write a recipe;
envbuild adds edges, extras, sizes and a canonical text to what uv finds, and that must not be felt.
"""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.bench import PYPI_SET, SERIES, Bench, envbuild, pypi_recipe, pypi_wheels, remove, uv
from benchmarks.measure import Result, Side, interleave
from tests.support.wheel_index import WheelIndex

WHAT_LIMITS = (
    "uv's own resolution; before it starting Python and reading the recipe (0.1 s), after it the edges of the lock and "
    "three syncs (0.04 s). METADATA is asked for while uv resolves."
)

LATENCY = 0.05


def run(bench: Bench) -> list[Result]:
    """Measure it."""
    server = bench.serve(WheelIndex(folder=pypi_wheels()))
    ours, theirs = bench.environ("ours"), bench.environ("theirs")
    project = bench.project("ours", {"x.yaml": pypi_recipe(server.url, PYPI_SET)})
    requirements = bench.folder / "requirements.in"
    requirements.write_text("\n".join(PYPI_SET) + "\n")
    home = Path(ours["ENVBUILD_HOME"])
    compile_command = [uv(), "pip", "compile", "--quiet", "--format", "pylock.toml", "--python", sys.executable]
    compile_command += ["--python-version", SERIES, "--python-platform", "linux", "--index-url", f"{server.url}/simple"]
    compile_command += ["--output-file", str(bench.folder / "pylock.toml"), str(requirements)]

    def no_lock(_: int) -> None:
        remove(project / "x.lock.yaml")
        remove(home / "stamps")
        remove(home / "store" / "results" / "solve")

    def nothing_of_ours(number: int) -> None:
        no_lock(number)
        remove(home)

    def no_pylock(_: int) -> None:
        remove(bench.folder / "pylock.toml")

    def nothing_of_theirs(number: int) -> None:
        no_pylock(number)
        remove(Path(theirs["UV_CACHE_DIR"]))

    def sides(ours_first: object, theirs_first: object) -> list[Side]:
        return [
            Side(
                name="envbuild lock",
                command=lambda _: envbuild("lock", "x.yaml"),
                environ=ours,
                folder=project,
                prepare=ours_first,  # type: ignore[arg-type]
            ),
            Side(
                name="uv pip compile",
                command=lambda _: compile_command,
                environ=theirs,
                folder=bench.folder,
                prepare=theirs_first,  # type: ignore[arg-type]
            ),
        ]

    bench.say(f"cold, {LATENCY * 1000:.0f} ms away")
    server.latency = LATENCY
    cold = interleave(sides(nothing_of_ours, nothing_of_theirs), bench.rounds(12, 4))
    server.latency = 0.0
    bench.say("cold, no distance")
    near = interleave(sides(nothing_of_ours, nothing_of_theirs), bench.rounds(6, 2))
    bench.say("warm")
    warm = interleave(sides(no_lock, no_pylock), bench.rounds(20, 6), warm_up=2)
    return [
        Result(
            name=f"lock of the PyPI set, cold, every answer of the index {LATENCY * 1000:.0f} ms late",
            target="<= 1.3x",
            limit=1.3,
            samples=cold,
            what_limits=WHAT_LIMITS,
        ),
        Result(
            name="the same from an index at no distance (information: starting Python decides)",
            target="none",
            samples=near,
        ),
        Result(
            name="lock of the PyPI set, warm",
            target="<= uv + 0.25 s",
            limit=0.25,
            unit="difference",
            samples=warm,
            what_limits=WHAT_LIMITS,
        ),
    ]
