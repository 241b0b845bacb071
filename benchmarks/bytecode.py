"""The first import of a science stack in an environment just made, with ``bytecode: true`` and without.

Why: the first step of a flow on a new node imports numpy, pandas, scikit-learn and matplotlib once, and Python compiles
what it imports. Both environments are linked anew for each round, with everything in the store and the caches, so both
sides meet an environment that nobody has started. Which side writes compiled files is part of what is measured. The
second result is what the files cost: linking with them, against linking without.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.bench import PYPI_SET, SERIES, Bench, envbuild, forget_environments, pypi_recipe, pypi_wheels
from benchmarks.measure import Result, Side, interleave, once
from tests.support.wheel_index import WheelIndex

IMPORTS = "import numpy, pandas, sklearn, sklearn.ensemble, matplotlib.pyplot"
FIRST = "Loading 200 MB of compiled libraries and running the modules: what `python` needs with compiled files there."
LINK = "5,000 more files, and hashing each source that one of them stands beside."


def run(bench: Bench) -> list[Result]:
    """Measure it."""
    server = bench.serve(WheelIndex(folder=pypi_wheels()))
    environ = bench.environ("ours")
    plain = pypi_recipe(server.url, PYPI_SET)
    project = bench.project("ours", {"plain.yaml": plain, "compiled.yaml": f"bytecode: true\n{plain}"})
    home = Path(environ["ENVBUILD_HOME"])
    bench.setup(envbuild("realize", "plain.yaml", "compiled.yaml"), environ, project)

    def linked(name: str) -> Callable[[int], None]:
        def prepare(_: int) -> None:
            forget_environments(home, project)
            once(envbuild("realize", f"{name}.yaml"), environ, project)

        return prepare

    def python(_: int) -> list[str]:
        (prefix,) = (path for path in (home / "prefixes").iterdir() if (path / "bin").is_dir())
        return [str(prefix / "bin" / "python"), "-c", IMPORTS]

    def side(title: str, name: str) -> Side:
        return Side(
            name=title,
            command=python,
            environ={**environ, "PYTHONPATH": "", "MPLCONFIGDIR": str(bench.folder / "matplotlib")},
            folder=project,
            prepare=linked(name),
        )

    def link(title: str, name: str) -> Side:
        return Side(
            name=title,
            command=lambda _: envbuild("realize", f"{name}.yaml"),
            environ=environ,
            folder=project,
            prepare=lambda _: forget_environments(home, project),
        )

    bench.say(f"Python {SERIES}, {sys.platform}")
    first = interleave(
        [side("with `bytecode: true`", "compiled"), side("without", "plain")], bench.rounds(8, 2), warm_up=1
    )
    bench.say("linking")
    links = interleave(
        [link("with `bytecode: true`", "compiled"), link("without", "plain")], bench.rounds(8, 2), warm_up=1
    )
    return [
        Result(name="first import of a science stack", target="none", samples=first, what_limits=FIRST),
        Result(name="warm link of the same, with compiled modules", target="none", samples=links, what_limits=LINK),
    ]
