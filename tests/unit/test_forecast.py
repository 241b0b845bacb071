"""How long a plan may take, what it learns that from, and which bytes come from where: pure."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest

from envbuild.errors import EnvbuildError
from envbuild.forecast import Learned, Rate, forecast, learn
from envbuild.job import estimate
from envbuild.package import ChannelOrigin, FolderOrigin, GitOrigin, IndexOrigin, InterpreterOrigin, UrlOrigin
from envbuild.plan import Plan
from envbuild.price import Moved, Source, add_up, source_of
from envbuild.timeline import Span, Timeline, TimelineRecorder, timeline_from_tree, timeline_to_tree
from tests.support.drawn import digest, made_graph, played

GRAPH = made_graph(40)
FETCHES = [item for item in GRAPH if item.kind == "fetch"]
(BUILD,) = [item for item in GRAPH if item.kind == "build-wheel"]
LINK = GRAPH[GRAPH.targets[0]]


def span(item, took: int, *, size: int = 0, source: Source | None = None, state: str = "done") -> Span:  # type: ignore[no-untyped-def]
    return Span(
        key=item.key,
        kind=item.kind,
        phase="realise",
        label=item.label,
        input=None,
        lane="io",
        slot=0,
        start=0,
        end=took,
        size=size,
        inputs=len(item.inputs),
        state=state,
        source=source,
    )


def run(*spans: Span) -> Timeline:
    return Timeline(began="2026-11-21T00:00:00Z", milliseconds=1, hits=0, slots={"io": 1, "cpu": 1}, spans=spans)


def costs(each: int) -> dict:
    return {item.key: each for item in GRAPH}


@pytest.mark.parametrize("slots", [1, 2, 5, 1000])
def test_slots_bound_what_is_done_at_once(slots: int) -> None:
    both = {"io": slots, "cpu": slots}
    found = forecast(GRAPH, {}, (), costs(100), both)  # type: ignore[arg-type]
    rounds = -(-len(FETCHES) // slots)
    assert found.milliseconds >= rounds * 100 + 100
    assert found.milliseconds >= found.chain_milliseconds == 300
    if slots == 1000:
        assert found.milliseconds == 300


def test_the_longest_chain_is_one_that_waits() -> None:
    told = {**costs(10), BUILD.key: 5000}
    found = forecast(GRAPH, {}, (), told, {"io": 64, "cpu": 4})
    assert found.chain[-2:] == (BUILD.key, LINK.key)
    assert found.chain_milliseconds == 5020
    for before, after in pairwise(found.chain):
        assert before in GRAPH.inputs(after)


def test_what_is_here_or_only_pulled_costs_no_more_than_that() -> None:
    known = {item.key: {} for item in FETCHES}
    found = forecast(GRAPH, known, (BUILD.key,), costs(100), {"io": 1, "cpu": 1})
    transmutes = sum(item.kind == "transmute" for item in GRAPH)
    assert found.milliseconds == 100 * (transmutes + 1)  # the pull goes beside them
    nothing = forecast(GRAPH, {item.key: {} for item in GRAPH}, (), {}, {"io": 1, "cpu": 1})
    assert (nothing.milliseconds, nothing.chain) == (0, ())


def test_a_forecast_is_what_a_run_with_these_times_takes() -> None:
    slots = {"io": 3, "cpu": 2}
    timeline = played(GRAPH, slots)
    told = {each.key: each.end - each.start for each in timeline.spans if each.phase != "prepare"}
    found = forecast(GRAPH, {}, (), told, slots)  # type: ignore[arg-type]
    assert abs(found.milliseconds - timeline.milliseconds) < timeline.milliseconds * 0.2


def test_a_build_costs_what_it_took_else_what_its_package_took_else_nobody_knows() -> None:
    assert learn([]).cost(BUILD, None, None) is None
    other = next(item for item in made_graph(100) if item.label.startswith("brewed-0") and item.kind == "build-wheel")
    assert learn([run(span(other, 700)), run(span(other, 900))]).cost(BUILD, None, None) == 700
    assert learn([run(span(BUILD, 40), span(other, 700))]).cost(BUILD, None, None) == 40
    assert learn([run(span(BUILD, 40, state="failed"))]).cost(BUILD, None, None) is None


def test_a_source_costs_what_it_asked_for_small_and_large_files() -> None:
    here, there = Source(kind="index", name="default"), Source(kind="store", name="team")
    spans = [span(FETCHES[0], 50, size=1_000, source=here)] * 3 + [span(FETCHES[1], 1050, size=5_000_000, source=here)]
    learned = learn([run(*spans)])
    assert learned.rates == {here: Rate(fixed=50, bytes_per_millisecond=5_000)}
    assert learned.cost(FETCHES[0], here, 10_000_000) == 50 + 2_000
    assert learned.cost(FETCHES[0], here, None) == 50
    assert learned.cost(FETCHES[0], there, FETCHES[0].size) == estimate(FETCHES[0])


def test_a_link_costs_by_its_inputs() -> None:
    large = made_graph(400)
    learned = learn([run(span(large[large.targets[0]], len(large.inputs(large.targets[0])) * 20))])
    assert learned.cost(LINK, None, None) == len(LINK.inputs) * 20
    assert Learned().cost(LINK, None, None) == estimate(LINK)


def test_jobs_of_one_slot_follow_one_another_and_no_slot_is_too_many() -> None:
    slots = {"io": 3, "cpu": 2}
    timeline = played(GRAPH, slots)
    assert {each.key for each in timeline.spans} == {item.key for item in GRAPH}
    for lane, number in slots.items():
        assert {each.slot for each in timeline.spans if each.lane == lane} <= set(range(number))
        for slot in range(number):
            line = sorted((each.start, each.end) for each in timeline.spans if (each.lane, each.slot) == (lane, slot))
            assert all(end <= start for (_, end), (start, _) in pairwise(line))


def test_a_timeline_is_kept_as_it_was() -> None:
    timeline = played(GRAPH, {"io": 3, "cpu": 2})
    assert timeline_from_tree(json.loads(json.dumps(timeline_to_tree(timeline)))) == timeline


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"spans": None},
        {"spans": [[]]},
        {"spans": [["k"] * 12]},
        {"slots": []},
        {"slots": {"io": -1}},
        {"milliseconds": 1.5},
        {"milliseconds": True},
        {"began": 7},
    ],
)
def test_what_is_no_timeline_is_refused(change: dict) -> None:
    tree = {**timeline_to_tree(run()), **change}
    with pytest.raises(EnvbuildError) as caught:
        timeline_from_tree(tree)
    assert caught.value.reference == "bad-timeline"


def test_a_failed_job_gives_its_slot_back() -> None:
    now = [0.0]
    recorder = TimelineRecorder(clock=lambda: now[0])
    plan = Plan(GRAPH, {}, keep_going=True)
    for _ in range(3):
        (job,) = plan.ready("io", 1)
        plan.started(job)
        recorder.started(job)
        now[0] += 1
        plan.failed(job, OSError())
        recorder.failed(job, OSError())
    found = recorder.timeline(0, {"io": 1, "cpu": 1}, {})
    assert [(each.slot, each.state, each.start, each.end) for each in found.spans] == [
        (0, "failed", start, start + 1000) for start in (0, 1000, 2000)
    ]


def test_every_file_counts_once_where_it_stands_first() -> None:
    channel, store = Source(kind="channel", name="conda-forge"), Source(kind="store", name="team")
    files = [
        (channel, digest("a"), 10),
        (store, digest("a"), 10),
        (store, digest("b"), 30),
        (store, digest("c"), None),
        (channel, digest("a"), 10),
    ]
    assert add_up(files) == (
        Moved(source=store, files=2, size=30, unknown=1),
        Moved(source=channel, files=1, size=10),
    )
    assert add_up([]) == ()


@pytest.mark.parametrize(
    ("origin", "text"),
    [
        (ChannelOrigin(channel="conda-forge", subdir="noarch", file="x"), "conda-forge"),
        (IndexOrigin(index="default", project="x", file="x"), "index default"),
        (UrlOrigin(url="https://example.org/x.whl", file="x.whl"), "https://example.org/x.whl"),
        (GitOrigin(url="https://example.org/x.git", commit="0" * 40, file="x"), "git https://example.org/x.git"),
        (FolderOrigin(path="libs/x", file="x"), "folder libs/x"),
        (InterpreterOrigin(implementation="cpython", version="3.12.1", build="1", file="x"), "interpreters"),
    ],
)
def test_every_origin_is_a_source(origin, text: str) -> None:  # type: ignore[no-untyped-def]
    assert str(source_of(origin)) == text
