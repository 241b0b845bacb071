"""Turns, and plans that grow: everybody is served, nothing is done twice or forgotten."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from envbuild.digest import Digest
from envbuild.graph import Graph
from envbuild.job import Job
from envbuild.plan import Plan
from envbuild.turns import COMMON, Turns
from tests.toy import Toy

OUT: dict[str, Any] = {}


def served(pending: set[str], turns: Turns[str], shares: dict[str, int], count: int) -> list[str]:
    """Take so many, one after the other, as a scheduler with one slot does."""
    taken = []
    for _ in range(count):
        (item,) = turns.first(1, 50)
        pending.remove(item)
        turns.spend(shares[item], 50)
        taken.append(item)
    return taken


def test_who_has_much_to_do_keeps_nobody_waiting_who_has_little() -> None:
    shares = {f"huge-{number}": 0 for number in range(100)} | {f"small-{number}": number for number in range(1, 10)}
    pending = set(shares)
    turns = Turns[str](pending)
    for item, share in shares.items():
        turns.put(item, 1000 if share == 0 else 1, share)  # the huge one is the more urgent
    first = served(pending, turns, shares, 20)
    assert {item for item in first if item.startswith("small")} == {f"small-{number}" for number in range(1, 10)}
    assert len(served(pending, turns, shares, len(pending))) == 89


def test_what_all_need_gets_as_much_as_all_together() -> None:
    shares = {f"base-{number}": COMMON for number in range(40)}
    shares |= {f"own-{share}-{number}": share for share in range(20) for number in range(4)}
    pending = set(shares)
    turns = Turns[str](pending)
    for item, share in shares.items():
        turns.put(item, 1, share)
    first = served(pending, turns, shares, 40)
    assert 15 <= sum(item.startswith("base") for item in first) <= 25


def test_for_one_alone_the_most_urgent_is_first() -> None:
    pending = {"a", "b", "c", "d"}
    turns = Turns[str](pending)
    for urgency, item in enumerate(["c", "a", "d", "b"]):
        turns.put(item, urgency, 0)
    assert turns.first(None, 50) == ["b", "d", "a", "c"]
    pending.remove("d")
    assert turns.first(2, 50) == ["b", "a"]
    assert turns.first(2, 50) == ["b", "a"], "they stay until they are taken"


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("put"), st.integers(-1, 4), st.integers(0, 5)),
            st.tuples(st.sampled_from(["take", "withdraw", "look"]), st.integers(0, 3), st.integers(0, 3)),
        ),
        max_size=60,
    )
)
def test_each_item_that_is_pending_is_given_once_and_none_is_forgotten(steps: list[tuple[str, int, int]]) -> None:
    pending: set[str] = set()
    shares: dict[str, int] = {}
    turns = Turns[str](pending)
    for number, (what, first, second) in enumerate(steps):
        if what == "put":
            shares[str(number)] = first
            pending.add(str(number))
            turns.put(str(number), second, first)
        elif what == "withdraw" and pending:
            pending.remove(sorted(pending)[0])
        elif what == "take":
            for item in turns.first(first, 50):
                pending.remove(item)
                turns.spend(shares[item], 50 * second)
        found = turns.first(None, 50)
        assert sorted(found) == sorted(pending)


@st.composite
def growing(draw: st.DrawFn) -> tuple[list[Graph], Graph, set[Digest], Any]:
    """Parts of a graph in the order in which they come, all of it, what is known, and how things interleave."""
    shape = draw(st.lists(st.lists(st.integers(0, 20), max_size=3), min_size=2, max_size=14))
    nodes: list[Toy] = []
    for index, needed in enumerate(shape):
        inputs = tuple(dict.fromkeys(nodes[each % index].key for each in needed)) if index else ()
        nodes.append(Toy(name=str(index), kind="link" if index % 3 == 2 else "toy", inputs=inputs))
    whole = Graph(nodes, [node.key for node in nodes])
    chosen = draw(st.lists(st.sampled_from(nodes), min_size=1, max_size=5))
    parts = []
    for node in chosen:
        closure = whole.closure((node.key,))
        parts.append(Graph((item for item in nodes if item.key in closure), (node.key,)))
    known = draw(st.sets(st.sampled_from([node.key for node in nodes]), max_size=3))
    return parts, Graph.union(parts), known, draw(st.randoms(use_true_random=False))


@settings(max_examples=200, deadline=None)
@given(growing())
def test_a_plan_that_grows_does_what_the_whole_plan_does(case: tuple[list[Graph], Graph, set[Digest], Any]) -> None:
    parts, whole, known, random = case
    outputs = dict.fromkeys(known, OUT)
    plan = Plan(parts[0], outputs, prepared_kinds={"link"}, shares=dict.fromkeys(parts[0].derivations, 0))
    coming = list(enumerate(parts))[1:]
    running: list[Job] = []
    done: list[Digest] = []
    while coming or running or not plan.over:
        ready = plan.ready()
        choice = random.random()
        if coming and (choice < 0.3 or not (ready or running)):
            number, part = coming.pop(0)
            added = plan.add(part, outputs, shares=dict.fromkeys(part.derivations, number))
            assert set(added.hits) <= known
        elif ready and (choice < 0.7 or not running):
            job = random.choice(ready)
            assert set(plan.inputs(job)) <= plan.outputs.keys()
            plan.started(job)
            running.append(job)
        else:
            job = running.pop(random.randrange(len(running)))
            plan.finished(job, OUT)
            done += [job.key] if job.input is None else []
    assert len(done) == len(set(done)), "nothing is done twice"
    assert set(done) == set(Plan(whole, outputs).needed)
    assert plan.succeeded
    assert set(plan.graph.derivations) == set(whole.derivations)
    assert all(set(plan.graph.users(key)) == set(whole.users(key)) for key in whole.derivations)
    place = {key: number for number, key in enumerate(plan.graph.order())}
    assert all(place[needed] < place[key] for key in place for needed in plan.graph.inputs(key))


def test_what_is_added_to_a_failed_plan_is_blocked_where_it_needs_what_failed() -> None:
    bad, good = Toy(name="bad"), Toy(name="good")
    plan = Plan(Graph([bad, good]), {}, keep_going=True)
    (job,) = [job for job in plan.ready() if job.key == bad.key]
    plan.started(job)
    plan.failed(job, OSError("no"))
    user, other = Toy(name="user", inputs=(bad.key,)), Toy(name="other", inputs=(good.key,))
    plan.add(Graph([bad, good, user, other], (user.key, other.key)), {})
    assert plan.blocked == {user.key: bad.key}
    for key in (good.key, other.key):
        (job,) = plan.ready()
        assert job.key == key
        plan.started(job)
        plan.finished(job, OUT)
    assert plan.over
