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
from envbuild.executors import open_executor
from envbuild.graph import Graph
from envbuild.machine.workspace import Workspace
from envbuild.plan import Plan
from envbuild.reporter import Reporter, Several
from envbuild.scheduler import Scheduler
from envbuild.timeline import TimelineRecorder
from tests.support.chained_lock import chained_lock


def core(count: int) -> None:
    """The graph of a lock: compiled, planned both ways, and scheduled."""
    lock = chained_lock(count // 2)
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
