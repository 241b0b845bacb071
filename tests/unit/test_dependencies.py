"""Chains between packages, held against a search that tries every path."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice, pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from envbuild.locks.dependencies import shortest_chains

NAMES = "abcdefgh"
graphs = st.dictionaries(st.sampled_from(NAMES), st.lists(st.sampled_from(NAMES), max_size=5))


def every_path(graph: Mapping[str, list[str]], path: tuple[str, ...], goal: str) -> Iterator[tuple[str, ...]]:
    """Every path without a repetition, by trying each."""
    if path[-1] == goal:
        yield path
        return
    for needed in set(graph.get(path[-1], ())):
        if needed not in path:
            yield from every_path(graph, (*path, needed), goal)


@settings(max_examples=500)
@given(graphs, st.sampled_from(NAMES), st.sampled_from(NAMES))
def test_the_chains_are_the_shortest_of_all_paths_and_all_of_them(
    graph: dict[str, list[str]], start: str, goal: str
) -> None:
    paths = list(every_path(graph, (start,), goal))
    shortest = min(map(len, paths), default=0)
    assert list(shortest_chains(lambda name: graph.get(name, ()), start, goal)) == sorted(
        path for path in paths if len(path) == shortest
    )


@given(graphs, st.sampled_from(NAMES), st.sampled_from(NAMES))
def test_each_package_is_asked_once_and_none_beyond_the_goal(
    graph: dict[str, list[str]], start: str, goal: str
) -> None:
    asked: list[str] = []

    def edges(name: str) -> list[str]:
        asked.append(name)
        return graph.get(name, [])

    chain = next(shortest_chains(edges, start, goal), None)
    assert len(asked) == len(set(asked))
    if chain is not None:
        for name in asked:
            distance = min(map(len, every_path(graph, (start,), name)))
            assert distance < len(chain) or name == start


def test_chains_without_number_come_one_by_one_and_long_ones_need_no_recursion() -> None:
    layers = [[f"{layer}-{number}" for number in range(10)] for layer in range(40)]  # 10 to the 40th chains
    wide = {"start": layers[0], **{name: below for above, below in pairwise(layers) for name in above}}
    wide |= {key: ["goal"] for key in layers[-1]}
    assert len(list(islice(shortest_chains(lambda name: wide.get(name, ()), "start", "goal"), 1000))) == 1000
    (only,) = shortest_chains(lambda name: [str(int(name) + 1)], "0", "20000")
    assert len(only) == 20001
