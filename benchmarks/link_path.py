"""Linking an environment whose packages are unpacked already, against ``cp -al`` of the very same tree.

Why: ``cp -al`` makes the same folders, symbolic links and hard links, and nothing else: no program that fills prefixes
with hard links can be faster, so the ratio says how close to what the file system allows a warm ``realize`` is. Ours is
the whole command, from the start of Python to the exit: 12,000 files of 60 conda packages, and the PyPI set. Each is
measured twice: as configured by default, which waits for the disk, and with ``durability: fast``, as ``cp`` does it.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks import conda_warm, synthetic_channel
from benchmarks.bench import (
    PYPI_SET,
    UNSYNCED,
    Bench,
    envbuild,
    forget_environments,
    pypi_recipe,
    pypi_wheels,
    remove,
    without_syncs,
)
from benchmarks.measure import Result, Side, interleave
from tests.support.channel import made_channel
from tests.support.wheel_index import WheelIndex

CONDA = (
    "py-rattler writes files that hold the prefix's path anew, a record for each package, and looks at each package's "
    "list of files: `cp` reads one folder after the other. Before that Python and py-rattler's process start (0.2 s)."
)
PYPI = (
    "uv's two calls (0.1 s) and the start of Python (0.1 s); then RECORDs and scripts, which `cp` copies as they are."
)


def _measured(bench: Bench, name: str, side: str, recipe: str, limits: str) -> list[Result]:
    """The two rows of one environment."""
    environ = bench.environ(side)
    project = bench.project(side, {"x.yaml": recipe})
    home, copy = Path(environ["ENVBUILD_HOME"]), bench.folder / side / "copy"
    bench.setup(envbuild("realize", "x.yaml"), environ, project)
    made = next(path for path in (home / "prefixes").iterdir() if (path / "bin").is_dir())
    model = bench.folder / side / "model"  # has the links to the caches that the environment has
    bench.setup(["cp", "-al", str(made), str(model)], environ, project)
    files = sum(1 for path in model.rglob("*"))
    bench.say(
        f"{name}: {files} entries, {sum(path.lstat().st_nlink > 2 for path in model.rglob('*.*'))} of them shared"
    )
    sides = [
        Side(
            name="envbuild realize",
            command=lambda _: envbuild("realize", "x.yaml"),
            environ=environ,
            folder=project,
            prepare=lambda _: forget_environments(home, project),
        ),
        Side(
            name="cp -al",
            command=lambda _: ["cp", "-al", str(model), str(copy)],
            environ=environ,
            folder=project,
            prepare=lambda _: remove(copy),
        ),
    ]
    synced = interleave(sides, bench.rounds(10, 2), warm_up=1)
    unsynced = interleave(without_syncs(sides), bench.rounds(10, 2), warm_up=1)
    return [
        Result(name=name, target="none", samples=synced, what_limits=limits),
        Result(name=f"{name}{UNSYNCED}", target="none", samples=unsynced, what_limits=limits),
    ]


def run(bench: Bench) -> list[Result]:
    """Measure it."""
    channel = made_channel()
    folder = synthetic_channel.made(channel)
    conda, pypi = bench.serve(folder), bench.serve(WheelIndex(folder=pypi_wheels()))
    return [
        *_measured(
            bench,
            "link path, conda, 12,000 files",
            "conda",
            conda_warm.recipe(folder, conda.url, channel),
            CONDA,
        ),
        *_measured(bench, "link path, PyPI set", "pypi", pypi_recipe(pypi.url, PYPI_SET), PYPI),
    ]
