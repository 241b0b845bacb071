"""Graph, plan and scheduler cost what the graph is: counted in steps of the interpreter, which no load changes.

Keys are texts that count, too, when they are looked up in a set or compared, so that a table that is made anew for
every event is seen. A cost that grows with the square of the graph would be five times as large in a graph five times
as large.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any

import pytest

from envbuild.compile import build_graph
from envbuild.demand import find_known
from envbuild.derivations import Output, Outputs
from envbuild.digest import Digest, digest_bytes
from envbuild.executors.synchronous import SynchronousExecutor
from envbuild.graph import Graph
from envbuild.lock import Lock
from envbuild.plan import Plan
from envbuild.reporter import Reporter
from envbuild.scheduler import Outcome, Scheduler
from envbuild.worker import Done, Task
from tests.support.chained_lock import chained_lock
from tests.toy import Toy

SMALL, LARGE = 150, 800
OUT: Outputs = {"out": Output(sha256=digest_bytes(b"out"), size=3)}


class Name(str):
    """A key whose hashing and comparing are steps that are counted."""

    __slots__ = ()

    def __hash__(self) -> int:
        return str.__hash__(self)

    def __eq__(self, other: object) -> bool:
        return str.__eq__(self, other)  # type: ignore[arg-type]


def steps(work: Callable[[], object]) -> int:
    """How many steps of the interpreter a piece of work takes.

    It is done twice: from Python 3.12 on, steps of a function are told from its second call on.
    """
    count = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal count
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
        count = 0
        work()
    finally:
        sys.settrace(before)
    return count


def toys(shape: str, count: int) -> list[Toy]:
    keys = [Digest(Name(hashlib.sha256(str(number).encode()).hexdigest())) for number in range(count)]
    inputs: list[tuple[Digest, ...]] = [()] * count
    if shape == "chain":
        inputs = [tuple(keys[max(0, number - 1) : number]) for number in range(count)]
    elif shape in {"wide", "prepared"}:
        inputs[-1] = tuple(keys[:-1])
    elif shape == "pairs":
        inputs = [tuple(keys[number - 1 : number]) if number % 2 else () for number in range(count)]
    kinds = ["link" if shape == "prepared" and number == count - 1 else "fetch" for number in range(count)]
    return [
        Toy(
            name=str(number), given_key=keys[number], inputs=inputs[number], kind=kinds[number], size=number * 1_000_000
        )
        for number in range(count)
    ]


def scheduled(plan: Plan, work: Callable[[Task], Done]) -> Outcome:
    return Scheduler(SynchronousExecutor(), Reporter()).run(plan, work)


def succeeds(task: Task) -> Done:
    return Done(outputs=tuple(OUT.items()), milliseconds=1)


def fails(task: Task) -> Done:
    if task.job.phase == "prepare" or task.inputs:
        return succeeds(task)
    raise OSError("no")


def is_missed(task: Task) -> Done:
    return Done(outputs=(), milliseconds=1, missed=True) if task.job.phase == "pull" else succeeds(task)


def plan_of(graph: Graph, known: bool = False, **options: Any) -> Plan:
    return Plan(graph, dict.fromkeys(graph.derivations, OUT) if known else {}, prepared_kinds={"link"}, **options)


def planned(derivations: list[Toy]) -> None:
    plan = plan_of(Graph(derivations))
    assert len(plan.needed) == len(derivations)
    plan.summary()


def known(derivations: list[Toy]) -> None:
    """All are hits, and every one is wanted."""
    graph = Graph(derivations, [item.key for item in derivations])
    outcome = scheduled(plan_of(graph, known=True), fails)
    assert outcome.hits == len(derivations)


def done(derivations: list[Toy]) -> None:
    outcome = scheduled(plan_of(Graph(derivations)), succeeds)
    assert sum(count for _, count in outcome.done) == len(derivations)


def failed(derivations: list[Toy]) -> None:
    """Whatever has no inputs fails; everything else is blocked."""
    outcome = scheduled(plan_of(Graph(derivations), keep_going=True), fails)
    assert len(outcome.failures) + len(outcome.blocked) == len(derivations)


def missed(derivations: list[Toy]) -> None:
    """Every second is said to be in a shared store, and none is; the others are done first."""
    graph = Graph(derivations)
    outcome = scheduled(plan_of(graph, far=frozenset(list(graph.derivations)[::2])), is_missed)
    assert sum(count for _, count in outcome.done) == len(derivations)


def asked(derivations: list[Toy]) -> None:
    """Nothing is known, and that is asked of each once."""
    questions: list[str] = []

    def ask(some: tuple[Any, ...]) -> dict[Digest, Outputs]:
        questions.extend(item.name for item in some)
        return {}

    assert find_known(Graph(derivations), ask) == {}
    assert sorted(questions) == sorted(item.name for item in derivations)


@pytest.mark.parametrize("work", [planned, known, done, failed, missed, asked])
@pytest.mark.parametrize("shape", ["chain", "wide", "prepared", "pairs", "apart"])
def test_what_a_derivation_costs_does_not_depend_on_how_many_there_are(
    shape: str, work: Callable[[list[Toy]], None]
) -> None:
    work(toys(shape, 10))  # what is imported and looked up once is no part of it
    few, many = (steps(lambda count=count: work(toys(shape, count))) / count for count in (SMALL, LARGE))
    assert many <= 1.1 * few, f"{few:.0f} steps for each of {SMALL}, {many:.0f} for each of {LARGE}"


def test_what_a_package_of_a_lock_costs_to_compile_does_not_depend_on_how_many_there_are() -> None:
    def work(lock: Lock) -> None:
        assert len(build_graph(lock, lock.platforms[0])) == 2 * len(lock.platforms[0].conda) + 1

    work(chained_lock(10))
    few, many = (steps(partial(work, chained_lock(count))) / count for count in (SMALL, LARGE))
    assert many <= 1.1 * few


def grown(count: int) -> None:
    """A run that grows by a pair of derivations whenever a job has ended, and is asked each time what came of it."""
    pairs = toys("pairs", count)
    parts = [Graph(pairs[place : place + 2]) for place in range(0, count, 2)]
    plan, scheduler = plan_of(parts.pop()), Scheduler(SynchronousExecutor(), Reporter())
    tables: set[int] = set()

    def between(snapshot: Callable[[], Outcome]) -> None:
        snapshot()
        if parts:
            scheduler.grow(plan, plan.add(parts.pop(), {}))
            tables.update({id(plan.graph), id(plan.graph.derivations)})

    outcome = scheduler.run(plan, succeeds, between)
    assert sum(number for _, number in outcome.done) == count
    assert len(tables) == 2, "what has grown once is not copied when it grows again"


def test_what_a_growth_costs_does_not_depend_on_what_there_is_already() -> None:
    grown(10)
    few, many = (steps(partial(grown, count)) / count for count in (SMALL, LARGE))
    assert many <= 1.1 * few, f"{few:.0f} steps for each of {SMALL}, {many:.0f} for each of {LARGE}"


def test_a_finished_environment_is_one_question() -> None:
    derivations = toys("wide", 50)
    questions: list[str] = []

    def ask(some: tuple[Any, ...]) -> dict[Digest, Outputs]:
        questions.extend(item.name for item in some)
        return {item.key: OUT for item in some if item.name == "49"}

    assert find_known(Graph(derivations), ask) == {derivations[-1].key: OUT}
    assert questions == ["49"]
