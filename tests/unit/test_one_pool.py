"""Whether indices are one pool is part of the question: machines that differ in it share no answer."""

from __future__ import annotations

from envbuild.addresses import Addresses
from envbuild.derivations.solve import Solve
from envbuild.locks.lock_graph import addressed
from envbuild.package import Platform
from envbuild.recipe import Index, PypiRequirement
from envbuild.request import PlatformRequest

MAIN, EXTRA = "https://one.example/simple", "https://two.example/simple"
UV = Addresses(root="/project", index=MAIN, extra_indices=(EXTRA,))
PIP = Addresses(root="/project", index=MAIN, extra_indices=(EXTRA,), one_pool=True)


def solved(addresses: Addresses, **asked: object) -> Solve:
    request = PlatformRequest(
        platform=Platform("linux-64"),
        python="3.12",
        system=(),
        pypi=(PypiRequirement(name="apple"),),
        **asked,  # type: ignore[arg-type]
    )
    return addressed(Solve(ecosystem="pypi", request=request, interpreter="host", cut_off="2024-01-01"), addresses)


def test_the_same_indices_asked_in_order_and_as_one_pool_are_two_questions() -> None:
    assert solved(UV).indices == solved(PIP).indices
    assert solved(UV).key != solved(PIP).key


def test_where_the_recipe_names_the_indices_no_setting_of_pip_counts() -> None:
    index = Index(name="main", url=MAIN)
    assert solved(UV, index=index).key == solved(PIP, index=index).key
    assert solved(UV, extra_indices=(index,)).key == solved(PIP, extra_indices=(index,)).key
    alone = Addresses(root="/project", index=MAIN, one_pool=True)
    assert solved(alone).key == solved(Addresses(root="/project", index=MAIN)).key
