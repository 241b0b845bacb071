"""Pictures for tests of pages: of as many derivations as wanted, of every kind and state, with a run.

The derivations are real values, and so are plan, graph and timeline; only what stores know, and the clock, are made up.
"""

from __future__ import annotations

from envbuild.derivations.build_wheel import BuildWheel
from envbuild.derivations.fetch import Fetch
from envbuild.derivations.link import Link, PackageInput
from envbuild.derivations.transmute import Transmute
from envbuild.digest import Digest, digest_bytes
from envbuild.environments.realized import Planned, Row
from envbuild.forecast import forecast
from envbuild.graph import Graph
from envbuild.job import estimate
from envbuild.misses import Earlier, Miss
from envbuild.package import ChannelOrigin, CondaPackage, IndexOrigin, Platform, SourcePackage, Wheel
from envbuild.pictures.picture import Picture, picture
from envbuild.plan import Plan
from envbuild.price import Moved, Source
from envbuild.timeline import TimelineRecorder

HOSTILE = "</script><img src=x onerror=alert(1)>&\u2028\"'`${7*7}"
"""A label that no page may take for anything but text."""


def digest(text: str) -> Digest:
    return digest_bytes(text.encode())


def conda(name: str, number: int) -> CondaPackage:
    return CondaPackage(
        name=name,
        version=f"{number % 5}.{number}",
        build=f"h{number:07x}_0",
        build_number=0,
        channel="conda-forge",
        subdir="linux-64",
        file=f"{name}-{number % 5}.{number}-h{number:07x}_0{'.tar.bz2' if number % 9 == 0 else '.conda'}",
        sha256=digest(name),
        size=20_000 + number * number * 4_000,
        license="BSD-3-Clause",
        asked=number % 20 == 0,
    )


def wheel(name: str, number: int) -> Wheel:
    version = f"{number % 7}.{number}.1"
    file = f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
    return Wheel(name=name, version=version, file=file, sha256=digest(name), index="default", size=9_000 * (number + 1))


def fetch(package: CondaPackage | Wheel | SourcePackage, title: str = "") -> Fetch:
    origin: ChannelOrigin | IndexOrigin
    if isinstance(package, CondaPackage):
        origin = ChannelOrigin(channel="conda-forge", subdir="linux-64", file=package.file)
    else:
        origin = IndexOrigin(index="default", project=package.name, file=package.file)
    label = title or f"{package.name} {package.version}"
    return Fetch(sha256=package.sha256, file=package.file, size=package.size, origin=origin, title=label)


def made_graph(count: int, *, hostile: bool = False, name: str = "train") -> Graph:
    """A graph of about so many derivations: conda packages, some to be rewritten, wheels, and some builds."""
    made: list[Fetch | Transmute | BuildWheel] = []
    inputs: list[PackageInput] = []
    for number in range(count * 5 // 9):
        package = conda(f"lib{'abcdefghijklmnop'[number % 16]}-{number}", number)
        made.append(fetch(package, HOSTILE if hostile and number == 3 else ""))
        if package.file.endswith(".tar.bz2"):
            file = package.file.replace(".tar.bz2", ".conda")
            title = f"{package.name} {package.version}"
            made.append(Transmute(input=made[-1].key, file=file, title=title, input_size=package.size))
        inputs.append(PackageInput(key=made[-1].key, package=package))
    for number in range(count // 3):
        package = wheel(f"wheel-{number}", number)
        made.append(fetch(package))
        inputs.append(PackageInput(key=made[-1].key, package=package))
    for number in range(max(1, count // 60)):
        named, file = f"brewed-{number}", f"brewed-{number}-1.{number}.tar.gz"
        source = SourcePackage(
            name=named, version=f"1.{number}", file=file, sha256=digest(named), index="default", size=80_000
        )
        made.append(fetch(source, f"{named} 1.{number} source"))
        requires = tuple(item for item in inputs if isinstance(item.package, Wheel))[:3]
        build = BuildWheel(
            source=made[-1].key,
            package=source,
            python="3.12",
            abi=None,
            platform=Platform("linux-64"),
            floor="2.28",
            requires=requires,
            host=(),
            interpreter="host",
        )
        made.append(build)
        inputs.append(PackageInput(key=build.key, package=source))
    link = Link(platform=Platform("linux-64"), python="3.12", interpreter="conda", packages=tuple(inputs), name=name)
    return Graph((*made, link), (link.key,))


def state_of(graph: Graph, key: Digest, number: int) -> str:
    kind = graph[key].kind
    if kind == "link":
        return "miss"
    if kind == "build-wheel":
        return "needs build"
    return ("hit", "hit", "hit", "far", "miss", "hit")[number % 6] if kind == "fetch" else "hit"


def made_picture(count: int, *, hostile: bool = False, run: bool = True) -> Picture:
    """A picture of about so many derivations, in all states."""
    graph = made_graph(count, hostile=hostile)
    states = {key: state_of(graph, key, number) for number, key in enumerate(graph.order())}
    costs = {key: estimate(graph[key]) for key, state in states.items() if state not in {"hit", "not needed"}}
    known = {key: {} for key, state in states.items() if state == "hit"}
    slots = {"io": 8, "cpu": 4}
    expected = forecast(graph, known, (), costs, slots, {"link"})  # type: ignore[arg-type]
    earlier = Earlier(made_graph(count - 5))
    sources = [Source(kind="channel", name="conda-forge"), Source(kind="store", name="team")]
    rows = []
    for key in graph.order():
        derivation, todo = graph[key], key in costs
        miss: Miss | None = earlier.why(derivation, graph) if todo else None
        source = sources[states[key] == "far"] if todo and derivation.kind == "fetch" else None
        moves = derivation.size if source is not None else None
        rows.append(
            Row(
                kind=derivation.kind,
                label=derivation.label,
                key=key,
                size=derivation.size,
                state=states[key],
                store="team" if states[key] == "far" else None,
                source=source,
                moves=moves,
                milliseconds=costs.get(key),
                miss=miss,
            )
        )
    moved = tuple(
        Moved(
            source=each,
            files=sum(row.source == each for row in rows),
            size=sum(row.moves or 0 for row in rows if row.source == each),
        )
        for each in sources
    )
    planned = Planned(
        names=("train",),
        platform=Platform("linux-64"),
        rows=tuple(rows),
        fetch_bytes=sum(each.size for each in moved),
        unknown_sizes=0,
        milliseconds=expected.milliseconds,
        builds=1,
        sources=moved,
        chain=expected.chain,
        chain_milliseconds=expected.chain_milliseconds,
        earlier="2026-11-20T08:15:00Z",
    )
    timelines = [played(graph, slots)] if run else []
    return picture(planned, graph, timelines)


def played(graph: Graph, slots):  # type: ignore[no-untyped-def]
    """The timeline of a run from nothing, by a clock that is only a number."""
    import heapq

    now = [0.0]
    recorder = TimelineRecorder(clock=lambda: now[0] / 1000)
    plan = Plan(graph, {}, prepared_kinds={"link"})
    running: list = []
    free = dict(slots)
    number = 0
    while not plan.over:
        for lane in ("io", "cpu"):
            for job in plan.ready(lane, free[lane]) if free[lane] else ():  # type: ignore[arg-type]
                plan.started(job)
                recorder.started(job)
                free[lane] -= 1
                number += 1
                took = (
                    20
                    if job.phase == "prepare"
                    else estimate(job.derivation) // (20 if "brewed" in job.derivation.label else 1)
                )
                heapq.heappush(running, (now[0] + took, number, job))
        now[0], _, job = heapq.heappop(running)
        free[job.lane] += 1
        plan.finished(job, {})
        recorder.finished(job, 0, job.derivation.size or 0)
    return recorder.timeline(0, slots, {})
