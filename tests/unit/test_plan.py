from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envbuild.digest import Digest
from envbuild.graph import Graph
from envbuild.job import Job, estimate
from envbuild.plan import Plan
from tests.toy import Toy

OUT: dict = {}


def fetch(name: str, size: int | None = None) -> Toy:
    return Toy(name=name, kind="fetch", size=size, purity="fixed")


def link(*inputs: Toy, name: str = "prefix") -> Toy:
    return Toy(name=name, kind="link", inputs=tuple(each.key for each in inputs))


def labels(jobs) -> list[str]:
    return [f"{job.phase} {job.derivation.label}" for job in jobs]


def run_one(plan: Plan, job: Job) -> None:
    plan.started(job)
    plan.finished(job, OUT)


def test_nothing_is_needed_when_the_target_is_known():
    a, b = fetch("a"), fetch("b")
    prefix = link(a, b)
    plan = Plan(Graph([a, b, prefix]), {prefix.key: OUT})
    assert plan.over
    assert plan.succeeded
    assert plan.hits == (prefix.key,)
    assert plan.needed == ()
    assert plan.ready() == ()


def test_inputs_of_hits_are_not_needed():
    source = fetch("source")
    wheel = Toy(name="wheel", kind="build-wheel", inputs=(source.key,))
    prefix = link(wheel)
    plan = Plan(Graph([source, wheel, prefix]), {wheel.key: OUT})
    assert plan.needed == (prefix.key,)
    assert plan.hits == (wheel.key,)
    assert source.key not in plan.outputs


def test_a_link_waits_for_all_its_inputs():
    a, b = fetch("a"), fetch("b")
    prefix = link(a, b)
    plan = Plan(Graph([a, b, prefix]), {})
    first, second = plan.ready()
    run_one(plan, first)
    assert labels(plan.ready()) == labels([second])
    run_one(plan, second)
    assert labels(plan.ready()) == ["realise prefix"]
    assert set(plan.inputs(plan.ready()[0])) == {a.key, b.key}
    run_one(plan, plan.ready()[0])
    assert plan.over
    assert plan.succeeded


def test_the_longest_chain_comes_first():
    small, big = fetch("small", 1_000), fetch("big", 500_000_000)
    prefix = link(small, big)
    assert labels(Plan(Graph([small, big, prefix]), {}).ready()) == ["realise big", "realise small"]
    remembered = Plan(Graph([small, big, prefix]), {}, {small.key: 10**6})
    assert labels(remembered.ready()) == ["realise small", "realise big"]


def test_what_a_long_build_needs_comes_before_a_bigger_download():
    source, data = fetch("source", 1_000), fetch("data", 100_000_000)
    wheel = Toy(name="wheel", kind="build-wheel", inputs=(source.key,))
    prefix = link(data, wheel)
    assert labels(Plan(Graph([data, source, wheel, prefix]), {}).ready()) == ["realise source", "realise data"]


def test_ready_keeps_to_lane_and_limit_and_asks_twice_alike():
    fetches = [fetch(str(index), index * 10**6) for index in range(5)]
    solve = Toy(name="solve", kind="solve")
    plan = Plan(Graph([*fetches, solve]), {})
    assert labels(plan.ready("io", 2)) == ["realise 4", "realise 3"]
    assert plan.ready("io", 2) == plan.ready("io", 2)
    assert labels(plan.ready("cpu")) == ["realise solve"]
    plan.started(plan.ready("io", 1)[0])
    assert labels(plan.ready("io", 2)) == ["realise 3", "realise 2"]


def test_an_input_is_prepared_as_soon_as_it_is_done_and_the_link_waits():
    a, b = fetch("a"), fetch("b")
    prefix = link(a, b)
    plan = Plan(Graph([a, b, prefix]), {}, prepared_kinds={"link"})
    job_a, job_b = sorted(plan.ready(), key=lambda job: job.derivation.label)
    plan.started(job_b)
    run_one(plan, job_a)
    prepare = plan.ready()[0]
    assert (prepare.phase, prepare.input, prepare.key) == ("prepare", a.key, prefix.key)
    assert set(plan.inputs(prepare)) == {a.key}
    plan.started(prepare)
    plan.finished(job_b, OUT)
    assert [job.input for job in plan.ready()] == [b.key]  # nothing is awaited any more, but the link waits for a
    plan.finished(prepare, OUT)
    assert labels(plan.ready()) == ["realise prefix"]


@pytest.mark.parametrize(("running", "offered"), [(26, 1), (24, 0)])
def test_a_large_input_that_comes_last_is_prepared_beside_others_that_take_as_long(running: int, offered: int) -> None:
    large, other = fetch("large", 100), fetch("other", running)
    prefix = link(large, other)
    plan = Plan(Graph([large, other, prefix]), {}, prepared_kinds={"link"})
    jobs = {job.derivation.label: job for job in plan.ready("io")}
    plan.started(jobs["large"])
    run_one(plan, jobs["other"])
    (beside,) = plan.ready("cpu")
    plan.started(beside)
    plan.finished(jobs["large"], OUT)
    assert [job.input for job in plan.ready()] == [large.key] * offered
    plan.finished(beside, OUT)
    assert labels(plan.ready()) == ["realise prefix"]


@pytest.mark.parametrize(("left", "offered"), [(26, 1), (24, 0), (None, 1)])
def test_a_large_input_is_not_prepared_when_few_bytes_are_awaited(left: int | None, offered: int) -> None:
    large, small, other = fetch("large", 100), fetch("small", left), fetch("other", 1)
    prefix = link(large, small, other)
    plan = Plan(Graph([large, small, other, prefix]), {}, prepared_kinds={"link"})
    jobs = {job.derivation.label: job for job in plan.ready("io")}
    run_one(plan, jobs["other"])
    for job in plan.ready("cpu"):
        run_one(plan, job)
    run_one(plan, jobs["large"])
    prepared = plan.ready("cpu")
    assert [job.input for job in prepared] == [large.key] * offered
    for job in prepared:
        run_one(plan, job)
    run_one(plan, jobs["small"])
    assert labels(plan.ready()) == ["realise prefix"]


def test_inputs_that_come_faster_than_they_are_prepared_are_left_to_the_link():
    sizes = {"a": 400, "b": 200, "c": 40, "d": 30, "e": 5}
    fetches = [fetch(name, size) for name, size in sizes.items()]
    prefix = link(*fetches)
    plan = Plan(Graph([*fetches, prefix]), {}, prepared_kinds={"link"})
    coming = {job.derivation.label: job for job in plan.ready("io")}

    def worth() -> list[str]:
        return sorted(plan.graph[job.input].label for job in plan.ready("cpu") if job.input)

    for name, left in (("a", ["a"]), ("b", ["b"]), ("c", ["c"]), ("d", [])):  # awaited: 275, 75, 35, 5
        run_one(plan, coming[name])
        assert worth() == left, name
    run_one(plan, coming["e"])
    assert labels(plan.ready()) == ["realise prefix"]


def test_a_known_input_is_prepared_while_another_is_awaited():
    a, b = fetch("a"), fetch("b")
    prefix = link(a, b)
    plan = Plan(Graph([a, b, prefix]), {a.key: OUT}, prepared_kinds={"link"})
    assert labels(plan.ready("cpu")) == ["prepare prefix"]
    run_one(plan, plan.ready("cpu")[0])
    run_one(plan, plan.ready("io")[0])
    assert labels(plan.ready()) == ["realise prefix"]


def test_preparations_that_have_not_begun_when_the_last_input_is_done_are_taken_back():
    a, b, c = fetch("a"), fetch("b"), fetch("c")
    prefix = link(a, b, c)
    plan = Plan(Graph([a, b, c, prefix]), {}, prepared_kinds={"link"})
    last, *others = plan.ready("io")
    plan.started(last)
    for job in others:
        run_one(plan, job)
    assert labels(plan.ready()) == ["prepare prefix", "prepare prefix"]
    taken, _ = plan.ready()
    plan.finished(last, OUT)
    assert labels(plan.ready()) == ["realise prefix"]
    with pytest.raises(ValueError, match="not ready"):
        plan.started(taken)


def test_others_are_prepared_beside_those_that_ran_when_the_last_input_came():
    fetches = [fetch(name) for name in "abcdef"]
    prefix = link(*fetches)
    plan = Plan(Graph([*fetches, prefix]), {}, prepared_kinds={"link"})
    last, *others = plan.ready("io")
    plan.started(last)
    for job in others:
        run_one(plan, job)
    older = plan.ready()[0]
    plan.started(older)
    plan.finished(last, OUT)
    run_one(plan, plan.ready()[0])  # while the older one runs
    beside = plan.ready()[0]
    plan.started(beside)
    assert len(plan.ready()) == 3
    plan.finished(older, OUT)
    assert plan.ready() == ()  # ``realise`` readies the three; it waits for what began
    plan.finished(beside, OUT)
    assert labels(plan.ready()) == ["realise prefix"]


def test_where_nothing_is_awaited_nothing_is_prepared():
    a = fetch("a")
    prefix = link(a)
    plan = Plan(Graph([a, prefix]), {a.key: OUT}, prepared_kinds={"link"})
    assert labels(plan.ready()) == ["realise prefix"]


def test_an_input_of_two_links_is_fetched_once_and_prepared_for_each():
    a, b = fetch("a", 9), fetch("b")
    one, two = link(a, b, name="one"), link(a, b, name="two")
    plan = Plan(Graph([a, b, one, two]), {}, prepared_kinds={"link"})
    job, other = plan.ready()
    plan.started(other)
    run_one(plan, job)
    assert sorted(labels(plan.ready())) == ["prepare one", "prepare two"]


def test_a_failure_ends_the_offering():
    a, b = fetch("a"), fetch("b")
    plan = Plan(Graph([a, b, link(a, b)]), {})
    first, second = plan.ready()
    plan.started(first)
    plan.failed(first, OSError("no"))
    assert plan.ready() == ()
    assert plan.over
    assert not plan.succeeded
    assert plan.failures[0].job == first
    assert second.key not in plan.blocked


def test_keep_going_goes_on_with_what_does_not_depend_on_it():
    a, b = fetch("a"), fetch("b")
    one, two, both = link(a, name="one"), link(b, name="two"), link(a, b, name="both")
    plan = Plan(Graph([a, b, one, two, both]), {}, keep_going=True, prepared_kinds={"link"})
    job_a, job_b = sorted(plan.ready(), key=lambda job: job.derivation.label)
    plan.started(job_a)
    plan.failed(job_a, OSError("no"))
    assert plan.blocked == {one.key: a.key, both.key: a.key}
    run_one(plan, job_b)
    assert labels(plan.ready()) == ["realise two"]
    run_one(plan, plan.ready()[0])
    assert plan.over
    assert two.key in plan.outputs


def test_a_failed_preparation_fails_its_link_and_takes_back_the_others():
    a, b, c = fetch("a"), fetch("b"), fetch("c")
    prefix = link(a, b, c)
    plan = Plan(Graph([a, b, c, prefix]), {a.key: OUT, b.key: OUT}, prepared_kinds={"link"}, keep_going=True)
    run_one(plan, plan.ready("io")[0])
    first, *_ = plan.ready("cpu")
    plan.started(first)
    plan.failed(first, OSError("corrupt"))
    assert plan.ready() == ()
    assert plan.over
    assert [failure.job.key for failure in plan.failures] == [prefix.key]


def test_events_out_of_turn_are_refused():
    a = fetch("a")
    prefix = link(a)
    plan = Plan(Graph([a, prefix]), {})
    early = Job(key=prefix.key, derivation=prefix)
    with pytest.raises(ValueError, match="not ready"):
        plan.started(early)
    (job,) = plan.ready()
    with pytest.raises(ValueError, match="not running"):
        plan.finished(job, OUT)
    run_one(plan, job)
    with pytest.raises(ValueError, match="not ready"):
        plan.started(job)
    with pytest.raises(KeyError):
        plan.inputs(Job(key=prefix.key, phase="prepare", input=prefix.key, derivation=prefix))


def test_what_is_far_is_pulled_and_nothing_that_leads_to_it_is_done():
    source = fetch("source")
    wheel = Toy(name="wheel", kind="build-wheel", inputs=(source.key,))
    prefix = link(wheel)
    plan = Plan(Graph([source, wheel, prefix]), {}, far={wheel.key, source.key}, prepared_kinds={"link"})
    assert plan.needed == (wheel.key, prefix.key)
    assert (plan.summary().pulls, plan.summary().builds) == (1, 0)
    (job,) = plan.ready("io")
    assert (job.phase, job.derivation) == ("pull", wheel)
    run_one(plan, job)
    assert labels(plan.ready()) == ["realise prefix"]


def test_what_is_gone_when_it_is_pulled_is_done_after_its_inputs():
    source, tool = fetch("source"), fetch("tool")
    wheel = Toy(name="wheel", kind="build-wheel", inputs=(source.key, tool.key))
    prefix = link(wheel, tool)
    plan = Plan(Graph([source, tool, wheel, prefix]), {}, far={wheel.key})
    second, first = plan.ready("io")
    assert labels([second, first]) == ["realise tool", "pull wheel"]
    run_one(plan, second)
    plan.started(first)
    plan.missed(first)
    assert plan.needed == (tool.key, wheel.key, prefix.key, source.key)
    assert plan.summary().builds == 1
    for label in ("realise source", "realise wheel", "realise prefix"):
        (job,) = plan.ready()
        assert labels([job]) == [label]
        run_one(plan, job)
    assert plan.over
    assert plan.succeeded


def test_the_summary_says_what_it_will_cost():
    a, b, c = fetch("a", 1_000_000), fetch("b"), fetch("c", 7)
    prefix = link(a, b, c)
    summary = Plan(Graph([a, b, c, prefix]), {c.key: OUT}).summary()
    assert (summary.hits, summary.needed) == (1, (("fetch", 2), ("link", 1)))
    assert (summary.fetch_bytes, summary.unknown_sizes) == (1_000_000, 1)
    assert summary.milliseconds == estimate(a) + estimate(prefix)


def test_estimates_grow_with_size():
    assert estimate(fetch("a", 10**9)) > estimate(fetch("a", 10**6)) > 0
    assert estimate(Toy(name="x", kind="another")) > 0


def test_a_deep_chain_is_planned_and_blocked_without_recursion():
    keys = [Digest(f"{index:064x}") for index in range(10_000)]
    chain = [Toy(name=key, given_key=key, inputs=tuple(keys[index - 1 : index])) for index, key in enumerate(keys)]
    plan = Plan(Graph(chain), {}, keep_going=True)
    (job,) = plan.ready()
    plan.started(job)
    plan.failed(job, OSError("no"))
    assert len(plan.blocked) == 9_999
    assert plan.over


def test_a_hundred_thousand_hits_are_planned_in_linear_time():
    def seconds(count: int) -> float:
        keys = [Digest(f"{index:064x}") for index in range(count)]
        nodes = [
            Toy(name=key, given_key=key, inputs=tuple(keys[index - 1 : index]) if index % 100 else ())
            for index, key in enumerate(keys)
        ]
        known: dict = dict.fromkeys(keys, OUT)
        began = time.perf_counter()
        plan = Plan(Graph(nodes, keys), known)
        took = time.perf_counter() - began
        assert plan.over
        assert len(plan.hits) == count
        return took

    assert seconds(100_000) < max(
        8 * 25 * seconds(4_000), 1.5
    )  # linear with room for a busy machine; square would be 625


@st.composite
def runs(draw):
    """A graph, what is known, which kinds prepare, which jobs fail, and how jobs interleave."""
    shape = draw(st.lists(st.lists(st.integers(0, 20), max_size=4), min_size=1, max_size=14))
    keys = [Digest(f"{index:064x}") for index in range(len(shape))]
    kinds = draw(st.lists(st.sampled_from(["fetch", "link", "toy"]), min_size=len(shape), max_size=len(shape)))
    nodes = [
        Toy(
            name=str(index),
            given_key=keys[index],
            kind=kinds[index],
            inputs=tuple(keys[each % index] for each in needed) if index else (),
            size=index * 1_000_000,
        )
        for index, needed in enumerate(shape)
    ]
    targets = draw(st.lists(st.sampled_from(keys), max_size=3)) or None
    known = draw(st.sets(st.sampled_from(keys), max_size=4))
    phases = st.sampled_from(["prepare", "realise", "pull"])
    failing = draw(st.sets(st.tuples(st.sampled_from(keys), phases), max_size=3))
    far = draw(st.sets(st.sampled_from(keys), max_size=5)) - known
    gone = {key for key in sorted(far) if draw(st.booleans())}
    random = draw(st.randoms(use_true_random=False))
    return Graph(nodes, targets), known, far, gone, failing, draw(st.booleans()), random


def demanded(graph: Graph, known: set[Digest], far: set[Digest]) -> set[Digest]:
    """The definition, written naively: targets that are not known, and the inputs of what is needed and not far."""
    needed: set[Digest] = set()
    todo = [key for key in graph.targets if key not in known]
    while todo:
        key = todo.pop()
        if key not in needed:
            needed.add(key)
            todo += [each for each in graph.inputs(key) if each not in known and key not in far]
    return needed


@settings(max_examples=300, deadline=None)
@given(runs())
def test_any_interleaving_runs_each_needed_job_once_after_its_inputs(case):
    graph, known, far, gone, failing, keep_going, random = case
    plan = Plan(graph, dict.fromkeys(known, OUT), prepared_kinds={"link"}, far=far, keep_going=keep_going)
    assert set(plan.needed) == demanded(graph, known, far)
    assert set(plan.hits) <= known

    ran: list[Job] = []
    running: list[Job] = []
    complete = set(known)
    broken: set[Digest] = set()
    older: dict[Digest, set[Job]] = {}
    for _ in range(10_000):
        ready = plan.ready()
        for key in graph.derivations:  # preparations that ran when the last input came
            if key not in older and set(graph.inputs(key)) <= complete:
                older[key] = {job for job in running if job.key == key}
        if ready and (not running or random.random() < 0.5):
            job = random.choice(ready)
            if job.key in far:
                assert job.phase == "pull"
            elif job.input is None:
                assert job.phase == "realise"
                assert set(graph.inputs(job.key)) <= complete
                assert all(other.key != job.key for other in running)
            else:
                assert job.input in complete
                assert job.key not in older or older[job.key] & set(running)
            assert not any(_leads(graph, bad, job.key, known | far) for bad in broken)
            expected = () if job.phase == "pull" else graph.inputs(job.key) if job.input is None else (job.input,)
            assert set(plan.inputs(job)) == set(expected)
            plan.started(job)
            running.append(job)
            ran.append(job)
        elif running:
            job = running.pop(random.randrange(len(running)))
            if (job.key, job.phase) in failing:
                plan.failed(job, OSError("no"))
                broken.add(job.key)
            elif job.phase == "pull" and job.key in gone:
                plan.missed(job)
                far.remove(job.key)
                ran.remove(job)
            else:
                plan.finished(job, OUT)
                if job.input is None:
                    complete.add(job.key)
        else:
            break
    assert plan.over
    assert len(ran) == len(set(ran))
    needed = demanded(graph, known, far)
    assert set(plan.needed) == needed
    assert {job.key for job in ran} <= needed

    done = {job.key for job in ran if job.input is None} - broken
    assert done == set(plan.outputs) - known
    lost = {key for key in needed if any(_leads(graph, bad, key, known | far) for bad in broken)}
    assert set(plan.blocked) <= lost
    assert set(plan.blocked) | broken == lost
    if keep_going:
        assert done == needed - lost
    if not broken:
        assert plan.succeeded
        assert done == needed


def _leads(graph: Graph, start: Digest, end: Digest, known: set[Digest]) -> bool:
    """Whether a failure of ``start`` reaches ``end`` through derivations that are not known."""
    todo, seen = [start], set()
    while todo:
        key = todo.pop()
        if key == end:
            return True
        if key not in seen:
            seen.add(key)
            todo += [user for user in graph.users(key) if user not in known]
    return False
