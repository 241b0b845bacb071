"""What ``graph_scale`` measures of envbuild: ``python -m benchmarks.graph_child DOES SHAPE COUNT SALT HOME``.

``DOES`` is ``first``: make the derivations and their keys, the graph, ask the store for each, plan. ``run``: the same,
and do what is to be done, as a realize does it: local executor, results recorded, ``durability: fast``; where all is
there already, that is a no-op. ``core``: no store; a lock's packages become derivations of real kinds, a graph, a plan
in which nothing is known, and a plan in which everything is, which is run.
"""

import sys
from functools import partial
from pathlib import Path

from benchmarks.trivial import register, shaped
from envbuild import worker
from envbuild.addresses import Addresses
from envbuild.compile import build_graph
from envbuild.demand import find_known
from envbuild.derivations import Output
from envbuild.digest import digest_bytes
from envbuild.executors import open_executor
from envbuild.graph import Graph
from envbuild.lock import Lock, LockedEnvironment
from envbuild.machine.workspace import Workspace
from envbuild.package import CondaPackage, Platform
from envbuild.plan import Plan
from envbuild.reporter import Reporter, Several
from envbuild.scheduler import Scheduler
from envbuild.timeline import TimelineRecorder


def lock_of(count: int) -> Lock:
    """A lock of so many conda packages in the old format, each of which needs the one before it."""
    packages = tuple(
        CondaPackage(
            name=f"p{number}",
            version="1.0",
            build="0",
            build_number=0,
            subdir="linux-64",
            file=f"p{number}-1.0-0.tar.bz2",
            sha256=digest_bytes(str(number).encode()),
            channel="conda-forge",
            size=100_000,
            depends=(f"p{number - 1} >=1",) if number else (),
        )
        for number in range(count)
    )
    environment = LockedEnvironment(
        platform=Platform("linux-64"), python=None, interpreter="none", system=(), conda=packages
    )
    return Lock(request=digest_bytes(b""), platforms=(environment,))


def core(count: int) -> None:
    """The graph of a lock: compiled, planned both ways, and scheduled."""
    lock = lock_of(count // 2)
    graph = build_graph(lock, lock.platforms[0])
    assert Plan(graph, {}, prepared_kinds={"link"}).summary().needed
    whole = Graph(graph, [item.key for item in graph])
    known = {item.key: {"out": Output(sha256=item.key, size=1)} for item in graph}
    outcome = Scheduler(open_executor("synchronous"), Reporter()).run(Plan(whole, known), _nothing)
    assert outcome.hits == len(graph)


def _nothing(task: worker.Task) -> worker.Done:
    raise AssertionError(f"{task.job.derivation.label} is a hit")


def first(shape: str, count: int, salt: str, home: Path) -> None:
    """Derivations that nobody has seen."""
    workspace = Workspace(home, Addresses(root=str(home)), durability="fast")
    graph = Graph(shaped(shape, count, salt))
    plan = Plan(graph, find_known(graph, workspace.known))
    assert plan.summary().needed == (("trivial", count),)


def run(shape: str, count: int, salt: str, home: Path) -> None:
    """All of it, with what is there already."""
    workspace = Workspace(home, Addresses(root=str(home)), durability="fast")
    graph = Graph(shaped(shape, count, salt))
    plan = Plan(graph, find_known(graph, workspace.known), prepared_kinds={"link"})
    work = partial(worker.run, workspace=workspace, results=workspace.store.results)
    scheduler = Scheduler(open_executor("local"), Several(Reporter(), TimelineRecorder()))
    outcome = scheduler.run(plan, work)
    assert all(target in outcome.outputs for target in graph.targets), outcome.error()


def main(does: str, shape: str, count: str, salt: str, home: str) -> None:
    """See the module."""
    register()
    if does == "core":
        core(int(count))
    else:
        {"first": first, "run": run}[does](shape, int(count), salt, Path(home))


if __name__ == "__main__":
    main(*sys.argv[1:])
