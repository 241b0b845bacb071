"""Realize numpy, pandas, scikit-learn, matplotlib, requests and pyarrow, against ``uv venv`` + ``uv pip install``.

Cold: no lock, no store, no caches, everything from a loopback index: both sides resolve, download and install. Why:
the first time on a laptop or in CI. Warm: a lock, the store and the caches are there, only the prefix is not. Why:
the next recipe or the next node of the same image.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.bench import (
    PYPI_SET,
    UNSYNCED,
    Bench,
    base_python,
    envbuild,
    forget_environments,
    pypi_recipe,
    pypi_wheels,
    remove,
    uv,
    without_syncs,
)
from benchmarks.measure import Result, Side, interleave
from tests.support.wheel_index import WheelIndex

COLD = (
    "Every wheel is hashed, looked into, and written to the store (fsync) before uv unpacks it, and what uv has "
    "unpacked is hashed against RECORD; uv unpacks while it downloads, keeps no wheel, hashes nothing, syncs nothing."
)
WARM = (
    "uv's call (0.1 s); starting Python and importing what plans and links (0.1 s); then RECORDs and scripts, "
    "while the system already writes the tree, which is synced before it gets its name: no peer does that."
)


def _uv(index: str, environment: Path, python: str) -> list[str]:
    make = f"{uv()} venv --quiet --python {python} {environment}"
    install = f"{uv()} pip install --quiet --python {environment} --index-url {index}/simple {' '.join(PYPI_SET)}"
    return ["sh", "-ec", f"{make}; {install}"]


def run(bench: Bench) -> list[Result]:
    """Measure it."""
    server = bench.serve(WheelIndex(folder=pypi_wheels()))
    ours, theirs = bench.environ("ours"), bench.environ("theirs")
    project = bench.project("ours", {"x.yaml": pypi_recipe(server.url, PYPI_SET)})
    home, environment = Path(ours["ENVBUILD_HOME"]), bench.folder / "theirs" / "environment"

    bench.setup(envbuild("realize", "x.yaml"), ours, project)
    python = base_python(next(path for path in (home / "prefixes").iterdir() if (path / "bin").is_dir()))

    def nothing_of_ours(_: int) -> None:
        for path in (home, project / ".envs", project / "x.lock.yaml"):
            remove(path)

    def nothing_of_theirs(_: int) -> None:
        for path in (environment, Path(theirs["UV_CACHE_DIR"])):
            remove(path)

    def sides(ours_first: object, theirs_first: object) -> list[Side]:
        return [
            Side(
                name="envbuild realize",
                command=lambda _: envbuild("realize", "x.yaml"),
                environ=ours,
                folder=project,
                prepare=ours_first,  # type: ignore[arg-type]
            ),
            Side(
                name="uv venv + uv pip install",
                command=lambda _: _uv(server.url, environment, python),
                environ=theirs,
                folder=bench.folder,
                prepare=theirs_first,  # type: ignore[arg-type]
            ),
        ]

    bench.say("cold")
    cold = interleave(sides(nothing_of_ours, nothing_of_theirs), bench.rounds(5, 2))
    bench.say("cold, nothing synced")
    cold_unsynced = interleave(without_syncs(sides(nothing_of_ours, nothing_of_theirs)), bench.rounds(5, 2))
    bench.say("warm")
    warm = interleave(
        sides(lambda _: forget_environments(home, project), lambda _: remove(environment)),
        bench.rounds(20, 6),
        warm_up=2,
    )
    bench.say("warm, nothing synced")
    unsynced = interleave(
        without_syncs(sides(lambda _: forget_environments(home, project), lambda _: remove(environment))),
        bench.rounds(20, 6),
        warm_up=1,
    )
    return [
        Result(
            name="PyPI set, cold from a loopback index", target="<= 1.5x", limit=1.5, samples=cold, what_limits=COLD
        ),
        Result(name=f"PyPI set, cold from a loopback index{UNSYNCED}", target="none", samples=cold_unsynced),
        Result(name="PyPI set, warm", target="<= 2.5x", limit=2.5, samples=warm, what_limits=WARM),
        Result(name=f"PyPI set, warm{UNSYNCED}", target="none", limit=None, samples=unsynced, what_limits=WARM),
    ]
