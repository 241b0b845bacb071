"""A plan for 10,000 recipes and 5,000 nodes, by simulation: ``python -m benchmarks.farm``.

Nothing is built and nothing is measured: the real ``Plan`` is played with a clock that is only a number, on workers
that are only counted, with what jobs cost taken from the lines below. It answers how many machines are enough, what
equal work being done once saves, what losing half of the machines costs, and when the store is the limit.

The numbers are the same each time; ``docs/scaling.md`` quotes them.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from envbuild.graph import Graph
from envbuild.job import LANES, Job
from envbuild.plan import Plan

THREADS = 4
"""Jobs that a worker does at once."""

OVERHEAD = 60
"""Milliseconds for a job on top of its work: sent, home and store opened, record put."""

STORE_LATENCY, IN_FLIGHT = 30, 64
"""Milliseconds of a request to the store, and how many a node has under way."""

STORE_BANDWIDTH, NODE_BANDWIDTH = 12_500_000, 1_250_000
"""Bytes in a millisecond: 100 Gbit/s from the store to all nodes together, 10 Gbit/s into each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a plan needs to know of a derivation, and what it costs."""

    key: str
    kind: str
    inputs: tuple[str, ...] = ()
    size: int = 0
    cost: int = 0

    @property
    def label(self) -> str:
        """What people see."""
        return self.key


@dataclass(frozen=True, slots=True, kw_only=True)
class Team:
    """Recipes, as the files that each of them links, and the graph of what has to be done once for all."""

    recipes: list[tuple[str, ...]]
    sizes: dict[str, int]
    graph: Graph
    asked: int


def team(recipes: int, bases: int = 20, seed: int = 1) -> Team:
    """Recipes on bases: 60 conda packages in a base, 15 and 10 wheels of its own in a recipe, a build in every tenth.

    Conda packages come out of 3,000, wheels out of 6,000, the popular ones most often; 3 of 100 conda packages are of
    the older format, and are transmuted.
    """
    random = Random(seed)
    sizes: dict[str, int] = {}
    work: dict[str, Work] = {}

    def some(kind: str, pool: int, number: int) -> list[str]:
        return [f"{kind}-{int(pool * random.random() ** 2)}" for _ in range(number)]

    def package(name: str) -> str:
        if name not in sizes:
            sizes[name] = int(300_000 * math.exp(1.6 * _normal(random)))
            old = name.startswith("conda") and random.random() < 0.03
            work[f"{name} file"] = Work(
                key=f"{name} file", kind="fetch", size=sizes[name], cost=60 + sizes[name] // 50_000
            )
            if old:
                cost = OVERHEAD + sizes[name] // 8_000
                work[name] = Work(key=name, kind="transmute", inputs=(f"{name} file",), size=sizes[name], cost=cost)
        return name if name in work else f"{name} file"

    def build(number: int) -> str:
        name = f"own-{number}"
        sizes[name] = 2_000_000
        cost = OVERHEAD + int(90_000 * math.exp(0.9 * _normal(random)))
        work[f"{name} source"] = Work(key=f"{name} source", kind="fetch", size=500_000, cost=80)
        work[name] = Work(key=name, kind="build-wheel", inputs=(f"{name} source",), size=sizes[name], cost=cost)
        return name

    grounds = [some("conda", 3_000, 60) for _ in range(bases)]
    found, asked = [], 0
    for number in range(recipes):
        names = dict.fromkeys([*grounds[number % bases], *some("conda", 3_000, 15), *some("wheel", 6_000, 10)])
        keys = [package(name) for name in names]
        keys += [build(number)] if number % 10 == 0 else []
        asked += len(keys)
        found.append(tuple(name for name in (*names, *([f"own-{number}"] if number % 10 == 0 else []))))
    wanted = sorted({*work} - {each for item in work.values() for each in item.inputs})
    return Team(recipes=found, sizes=sizes, graph=Graph(work.values(), wanted), asked=asked)  # type: ignore[arg-type, type-var]


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A farm's run: seconds, jobs done, jobs done twice, and how busy its threads were."""

    seconds: float
    jobs: int
    again: int
    busy: float


def make(graph: Graph, workers: int, *, lost_at: float | None = None) -> Made:
    """Play a plan on a farm; at ``lost_at`` seconds half of the workers are gone, with what they were doing."""
    plan = Plan(graph, {})
    waiting: deque[Job] = deque()
    free = list(range(workers * THREADS))
    running: list[tuple[int, int, int, Job]] = []
    clock, number, done, again, worked = 0, 0, 0, 0, 0
    death = None if lost_at is None else int(lost_at * 1000)
    while True:
        for lane in LANES:
            for job in plan.ready(lane):
                plan.started(job)
                waiting.append(job)
        while waiting and free:
            job = waiting.popleft()
            number += 1
            heapq.heappush(running, (clock + graph[job.key].cost, number, free.pop(), job))  # type: ignore[attr-defined]
        if not running:
            return Made(seconds=clock / 1000, jobs=done, again=again, busy=worked / max(1, clock * workers * THREADS))
        if death is not None and running[0][0] >= death:
            clock, death, alive = death, None, workers * THREADS // 2
            lost = [item for item in running if item[2] >= alive]
            running = [item for item in running if item[2] < alive]
            heapq.heapify(running)
            free = [thread for thread in free if thread < alive]
            again += len(lost)
            waiting.extendleft(item[3] for item in lost)
            continue
        clock, _, thread, job = heapq.heappop(running)
        free.append(thread)
        done, worked = done + 1, worked + graph[job.key].cost  # type: ignore[attr-defined]
        plan.finished(job, {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """Nodes that start together: requests and bytes from the store, and seconds until half, and all, have the files."""

    requests: int
    size: int
    half: float
    last: float


def start(made: Team, nodes: int, seed: int = 2) -> Started:
    """Let nodes bring one environment each, the popular ones most often, all at once and with nothing at home."""
    random = Random(seed)
    chosen = [made.recipes[int(len(made.recipes) * random.random() ** 3)] for _ in range(nodes)]
    bytes_of = sorted(sum(made.sizes[name] for name in names) for names in chosen)
    requests = sum(len(names) + 3 for names in chosen)
    waits = max(math.ceil((len(names) + 3) / IN_FLIGHT) + 2 for names in chosen) * STORE_LATENCY
    clock, moved, ends = 0.0, 0.0, []
    for place, size in enumerate(bytes_of):  # the smallest is first: what is left shares the store evenly
        rate = min(NODE_BANDWIDTH, STORE_BANDWIDTH / (nodes - place))
        clock, moved = clock + (size - moved) / rate, float(size)
        ends.append((clock + waits) / 1000)
    return Started(requests=requests, size=sum(bytes_of), half=ends[len(ends) // 2], last=ends[-1])


def _normal(random: Random) -> float:
    """About a normal deviate, from what every Python gives alike."""
    return sum(random.random() for _ in range(12)) - 6.0


def lines(recipes: int = 10_000, nodes: int = 5_000) -> Iterator[str]:
    """The page's table."""
    made = team(recipes)
    needed = len(made.graph)
    yield f"{recipes} recipes ask for {made.asked} packages; {needed} jobs are left when equal work is done once"
    yield ""
    titles = ("workers", "threads", "minutes", "busy", "minutes, half of them lost half-way", "jobs done twice")
    yield _row(*titles)
    for workers in (1, 4, 16, 64, 256):
        whole = make(made.graph, workers)
        lost = make(made.graph, workers, lost_at=whole.seconds / 2) if workers > 1 else None
        loss = (f"{lost.seconds / 60:.1f}", f"{lost.again}") if lost else ("-", "-")
        yield _row(f"{workers}", f"{workers * THREADS}", f"{whole.seconds / 60:.1f}", f"{whole.busy:.0%}", *loss)
    longest = max(item.cost for item in made.graph) / 60_000  # type: ignore[attr-defined]
    yield ""
    yield f"the longest build takes {longest:.1f} minutes: no number of workers is faster"
    yield ""
    for count in (nodes // 50, nodes // 5, nodes):
        begun = start(made, count)
        yield (
            f"{count:>5} nodes at once: {begun.requests:>7} requests, {begun.size / 1e9:>8.1f} GB;"
            f" half have theirs after {begun.half:>6.1f} s, all after {begun.last:>6.1f} s"
        )


def _row(*cells: str) -> str:
    return "  ".join(cell.rjust(width) for cell, width in zip(cells, (8, 8, 8, 5, 35, 16), strict=True))


def main() -> None:
    """Print it."""
    for line in lines():
        print(line)


if __name__ == "__main__":
    main()
