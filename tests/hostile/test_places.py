"""H13: a name that two indices have, by the command line: which one answers is the recipe's word, and stays so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.case import Case
from tests.hostile.attack import attack
from tests.support.servers import Server
from tests.support.wheel_index import WheelIndex
from tests.support.wheels import make_wheel


def test_a_package_that_moves_to_another_index_is_refused(
    case: Case, tmp_path: Path, serving: Callable[..., Server]
) -> None:
    mine, other = tmp_path / "mine", tmp_path / "other"
    mine.mkdir()
    other.mkdir()
    make_wheel(mine, "inner", "1.0")
    make_wheel(other, "unrelated", "1.0")
    default, extra = serving(WheelIndex(folder=mine)), serving(WheelIndex(folder=other))
    text = (
        f"interpreter: host\npython: 3.11\npypi:\n  index: {default.url}/simple\n"
        f"  extra-indices: [{{name: extra, url: '{extra.url}/simple'}}]\n  packages:\n    inner:\n"
    )
    case.recipe(text).run("lock", "x.yaml")
    make_wheel(other, "inner", "9.0")  # somebody claims the name where it is asked for first
    case.recipe(text + "    unrelated:\n")
    before = (case.project / "x.lock.yaml").read_bytes()
    case.run("lock", "x.yaml", code=4).mentions("index-moved", "inner", "x.yaml:7:5", "hint: ")
    assert (case.project / "x.lock.yaml").read_bytes() == before
    # Asked for by name, the right one answers.
    case.recipe(text.replace("    inner:\n", "    inner: {index: extra}\n"))
    case.run("lock", "x.yaml", "--upgrade").mentions("inner 1.0 -> 9.0")


def test_an_index_that_nobody_defines(case: Case) -> None:
    case.recipe("interpreter: host\npython: 3.11\npypi:\n  packages:\n    toy: {index: evil}\n")
    attack(case, "lock", "x.yaml", code=3, reference="unknown-index")
