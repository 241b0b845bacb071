from __future__ import annotations

import pickle
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envbuild.digest import Digest
from envbuild.errors import EnvbuildError
from envbuild.graph import Graph
from tests.toy import Toy


def diamond() -> tuple[Toy, Toy, Toy, Toy]:
    top = Toy(name="top")
    left, right = Toy(name="left", inputs=(top.key,)), Toy(name="right", inputs=(top.key,))
    return top, left, right, Toy(name="bottom", inputs=(left.key, right.key))


def test_inputs_users_and_targets():
    top, left, right, bottom = diamond()
    graph = Graph([bottom, right, left, top])
    assert graph.targets == (bottom.key,)
    assert graph.inputs(bottom.key) == (left.key, right.key)
    assert set(graph.users(top.key)) == {left.key, right.key}
    assert graph.users(bottom.key) == ()
    assert graph[left.key] is left
    assert len(graph) == 4
    assert top.key in graph
    with pytest.raises(KeyError):
        graph.users(Digest("0" * 64))


def test_the_order_has_inputs_first_whatever_order_came_in():
    for derivations in (diamond(), diamond()[::-1]):
        graph = Graph(derivations)
        place = {key: index for index, key in enumerate(graph.order())}
        assert all(place[needed] < place[each.key] for each in derivations for needed in each.inputs)
        assert len(place) == 4


def test_equal_work_is_one_node():
    top, left, right, bottom = diamond()
    again = Toy(name="top")
    graph = Graph([top, again, left, right, bottom, bottom], [bottom.key, bottom.key])
    assert len(graph) == 4
    assert graph[again.key] is top
    assert graph.targets == (bottom.key,)


def test_an_input_read_twice_is_one_edge():
    top = Toy(name="top")
    twice = Toy(name="twice", inputs=(top.key, top.key))
    graph = Graph([top, twice])
    assert graph.users(top.key) == (twice.key,)
    assert graph.order() == (top.key, twice.key)


def test_union_merges_and_keeps_all_targets():
    top, left, right, _ = diamond()
    merged = Graph.union([Graph([top, left]), Graph([top, right])])
    assert len(merged) == 3
    assert merged.targets == (left.key, right.key)


def test_closure_and_dependents():
    top, left, right, bottom = diamond()
    graph = Graph([top, left, right, bottom])
    assert graph.closure([left.key]) == {left.key, top.key}
    assert graph.dependents([left.key]) == {left.key, bottom.key}
    assert graph.closure([bottom.key]) == graph.dependents([top.key]) == set(graph.order())


def test_a_missing_input_is_a_defect_that_names_its_reader():
    lonely = Toy(name="numpy 1.26", inputs=(Digest("ab" * 32),))
    with pytest.raises(EnvbuildError, match=r"numpy 1\.26 reads abababababab") as caught:
        Graph([lonely])
    assert (caught.value.reference, caught.value.exit_code) == ("graph-missing-input", 1)


def test_a_missing_target_is_a_defect():
    with pytest.raises(EnvbuildError) as caught:
        Graph([Toy(name="a")], [Digest("cd" * 32)])
    assert caught.value.reference == "graph-missing-input"


def test_a_cycle_is_printed():
    keys = [Digest(f"{index:064x}") for index in range(4)]
    ring = [Toy(name=f"n{index}", given_key=keys[index], inputs=(keys[(index + 1) % 3],)) for index in range(3)]
    tail = Toy(name="tail", given_key=keys[3], inputs=(keys[0],))
    with pytest.raises(EnvbuildError) as caught:
        Graph([tail, *ring])
    assert caught.value.reference == "graph-cycle"
    shown = caught.value.message.split(": ")[1].split(" -> ")
    assert shown[0] == shown[-1]
    assert sorted(shown[:-1]) == ["n0", "n1", "n2"]


def test_a_derivation_that_reads_itself_is_a_cycle():
    key = Digest("ef" * 32)
    with pytest.raises(EnvbuildError, match="me -> me"):
        Graph([Toy(name="me", given_key=key, inputs=(key,))])


def test_deep_chains_need_no_recursion():
    keys = [Digest(f"{index:064x}") for index in range(10_000)]
    chain = [Toy(name=key, given_key=key, inputs=keys[index - 1 : index]) for index, key in enumerate(keys)]
    graph = Graph(reversed(chain))
    assert graph.order() == tuple(keys)
    assert len(graph.closure([keys[-1]])) == len(graph.dependents([keys[0]])) == 10_000
    loop = Toy(name="0", given_key=keys[0], inputs=(keys[-1],))
    with pytest.raises(EnvbuildError) as caught:
        Graph([loop, *chain[1:]])
    assert caught.value.reference == "graph-cycle"


@given(st.lists(st.lists(st.integers(0, 30), max_size=4), max_size=30), st.randoms(use_true_random=False))
def test_any_dag_is_ordered_and_any_order_of_giving_gives_the_same_graph(shape, random):
    keys = [Digest(f"{index:064x}") for index in range(len(shape))]
    nodes = [
        Toy(
            name=str(index), given_key=keys[index], inputs=tuple(keys[each % index] for each in needed) if index else ()
        )
        for index, needed in enumerate(shape)
    ]
    shuffled = list(nodes)
    random.shuffle(shuffled)
    graph = Graph(shuffled)
    place = {key: index for index, key in enumerate(graph.order())}
    assert sorted(place) == sorted(keys)
    for node in nodes:
        assert all(place[needed] < place[node.key] for needed in node.inputs)
        assert all(node.key in graph.users(needed) for needed in node.inputs)
        assert all(node.key in graph.inputs(user) for user in graph.users(node.key))


def test_networkx_agrees():
    import networkx

    top, left, right, bottom = diamond()
    graph = Graph([top, left, right, bottom])
    copy = graph.to_networkx()
    assert set(copy.nodes) == set(graph.order())
    assert set(copy.edges) == {(needed, key) for key in graph.order() for needed in graph.inputs(key)}
    assert networkx.ancestors(copy, bottom.key) == graph.closure([bottom.key]) - {bottom.key}


def test_the_critical_path_is_the_longest_chain():
    top, left, right, bottom = diamond()
    graph = Graph([top, left, right, bottom])
    assert graph.critical_path({top.key: 1, left.key: 5, right.key: 9, bottom.key: 1}) == (
        top.key,
        right.key,
        bottom.key,
    )
    assert graph.critical_path({top.key: 1, left.key: 50, right.key: 9, bottom.key: 1}) == (
        top.key,
        left.key,
        bottom.key,
    )
    assert Graph([]).critical_path({}) == ()


def test_planning_does_not_import_networkx():
    code = "import sys, envbuild.compile, envbuild.scheduler, envbuild.worker; print('networkx' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout == "False\n"


def test_a_hundred_thousand_nodes_take_seconds_not_minutes():
    def seconds(count: int) -> float:
        keys = [Digest(f"{index:064x}") for index in range(count)]
        nodes = [Toy(name=key, given_key=key, inputs=keys[index - 1 : index]) for index, key in enumerate(keys)]
        began = time.perf_counter()
        Graph(nodes)
        return time.perf_counter() - began

    assert seconds(100_000) < max(
        8 * 25 * seconds(4_000), 1.5
    )  # linear with room for a busy machine; square would be 625


def test_derivations_can_be_pickled():
    top, *_ = diamond()
    assert pickle.loads(pickle.dumps(top)) == top
