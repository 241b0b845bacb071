"""A Metaflow flow of two environments: with nothing to do against plain ``python flow.py run``, and its first run.

Why: a flow is started over and over while it is written, and every start pays for what its environments cost when
nothing has changed. The plain side is the same flow without environments; both run two steps, one task each.

The first run (solve, fetch, link, run) is held against Metaflow's own ``--environment=pypi`` where its tools can be
had: it needs micromamba and a conda channel that has Python.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from benchmarks.bench import SERIES, Bench, remove
from benchmarks.measure import Result, Sample, Side, interleave
from tests.metaflow.needs import need_channel, need_wheels
from tests.support.channel import made_channel
from tests.support.wheel_index import WheelIndex
from tests.support.wheels import make_wheel

FLOW = """from metaflow import FlowSpec, pypi, step


class Two(FlowSpec):
    {first}
    @step
    def start(self):
        self.next(self.end)

    {second}
    @step
    def end(self):
        pass


if __name__ == "__main__":
    Two()
"""

NOTHING = (
    "Two stamps are read and every input's bytes hashed; Python finds Metaflow through links, and each task enters "
    "through `sh`, which sources activation scripts where there are any."
)
FIRST = "Two solves by uv, side by side; then as a first `realize`."


def _flow(bench: Bench, name: str, first: str, second: str) -> Path:
    folder = bench.project(name, {})
    (folder / "envbuild.yaml").write_text("interpreter: host\n")
    (folder / "flow.py").write_text(FLOW.format(first=first, second=second))
    return folder


def _environ(bench: Bench, name: str, index: str) -> dict[str, str]:
    environ = bench.environ(name)
    place = bench.folder / name
    return environ | {
        "USER": "bench",
        "METAFLOW_USER": "bench",
        "METAFLOW_HOME": str(place / "metaflow-config"),
        "METAFLOW_DATASTORE_SYSROOT_LOCAL": str(place / "runs"),
        "ENVBUILD_INDEX_URL": f"{index}/simple",
        "PIP_INDEX_URL": f"{index}/simple",
    }


def run(bench: Bench) -> list[Result]:
    """Measure it."""
    wheels = bench.folder / "wheels"
    shutil.copytree(need_wheels(), wheels)
    for version in ("1.0", "1.1"):
        make_wheel(wheels, "toy", version)
    server = bench.serve(WheelIndex(folder=wheels))
    packages = ("@pypi(packages={'toy': '1.0'})", "@pypi(packages={'toy': '1.1'})")
    project, plain = _flow(bench, "ours", *packages), _flow(bench, "plain", "", "")
    ours, theirs = _environ(bench, "ours", server.url), _environ(bench, "plain", server.url)
    home = Path(ours["ENVBUILD_HOME"])
    start = [sys.executable, "flow.py", "--quiet", "--no-pylint"]
    with_environments = [*start, "--environment=envbuild", "run"]
    bench.setup(with_environments, ours, project)
    server.forget()
    nothing = interleave(
        [
            Side(
                name="--environment=envbuild",
                command=lambda _: with_environments,
                environ=ours,
                folder=project,
            ),
            Side(name="python flow.py run", command=lambda _: [*start, "run"], environ=theirs, folder=plain),
        ],
        bench.rounds(20, 3),
    )
    if server.requests:
        raise AssertionError(f"a start with nothing to do asked the index: {server.requests[0].path}")

    def nothing_of_ours(_: int) -> None:
        for path in (home, project / ".envs"):
            remove(path)

    first = [
        Side(
            name="--environment=envbuild",
            command=lambda _: with_environments,
            environ=ours,
            folder=project,
            prepare=nothing_of_ours,
        ),
        *_of_metaflow(bench, server.url, packages, start),
    ]
    missing = "" if len(first) > 1 else " (Metaflow's own is not measured: there is no micromamba on this machine)"
    return [
        Result(
            name="start of a flow of two environments, nothing to do",
            target="<= 0.3 s more",
            limit=0.3,
            unit="difference",
            samples=nothing,
            what_limits=NOTHING,
        ),
        _first(f"first run of a flow of two environments{missing}", interleave(first, bench.rounds(5, 1))),
    ]


def _first(name: str, samples: dict[str, list[Sample]]) -> Result:
    if len(samples) > 1:
        return Result(name=name, target="<= 1.0x", limit=1.0, samples=samples, what_limits=FIRST)
    result = Result(name=name, target="information", samples=samples, what_limits=FIRST)
    result.value, result.unit = result.median(0), "seconds"
    return result


def _of_metaflow(bench: Bench, index: str, packages: tuple[str, str], start: list[str]) -> list[Side]:
    """Metaflow's own environments for the same steps, where its tools are there."""
    if shutil.which("micromamba") is None:
        return []
    project = _flow(bench, "metaflow", *packages)
    environ = _environ(bench, "metaflow", index) | {
        "METAFLOW_ENVBUILD_LEAVE_OWN": "1",
        "CONDA_CHANNELS": f"{made_channel().url},{need_channel().as_uri()}",
    }
    place = bench.folder / "metaflow"

    def nothing_of_theirs(_: int) -> None:
        for path in (place / "runs", place / "uv-cache", Path(environ["HOME"])):
            remove(path)

    return [
        Side(
            name=f"--environment=pypi of Metaflow, Python {SERIES}",
            command=lambda _: [*start, "--environment=pypi", "run"],
            environ=environ,
            folder=project,
            prepare=nothing_of_theirs,
        )
    ]
